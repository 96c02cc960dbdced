"""Plans: what stands in them, in which order, what starts, and what they remember."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.domain.models import (
    CREATED,
    DAY,
    EVIDENCE,
    HOUR,
    NOW,
    POLICY,
    counts,
    health,
    in_flight,
    model,
    policy,
    poor,
)

from perennial.api.retrain_policy import PlannedJob, RetrainPolicySpec, RetrainPolicyStatus
from perennial.domain.plan import PlanDecision, decide_plan
from perennial.domain.triggers import ModelView


def decide(
    models: Sequence[ModelView],
    before: PlanDecision | None = None,
    spec: RetrainPolicySpec | None = None,
    **world: Any,
) -> PlanDecision:
    status = RetrainPolicyStatus()
    if before is not None:
        status = RetrainPolicyStatus(
            plan=before.plan, retrain_token=before.retrain_token, last_schedule_time=before.last_schedule_time
        )
    given = {"policy": POLICY, "running": 0, "now": NOW, "created_at": CREATED, "operator_slots": 10}
    return decide_plan(spec or policy(), status, models, **(given | world))


def jobs(decision: PlanDecision) -> list[PlannedJob]:
    return decision.plan.jobs if decision.plan else []


def created(view: ModelView, decision: PlanDecision, phase: str = "Training") -> ModelView:
    """The model once its version exists."""
    trigger = next(new.trigger for new in decision.create if new.model == view.name)
    flight = replace(in_flight(view.next_version, "Pending"), trigger=trigger, phase=phase)
    return replace(
        view,
        in_flight=(flight,),
        next_version=f"{view.name}-v3",
        starts=(*view.starts, NOW),
        last_evidence_until=trigger.evidence_until,
        counts=counts(0),
    )


def test_two_models_degraded_at_once_are_one_plan_of_two_jobs() -> None:
    decision = decide([poor("a", 0.48), poor("b", 0.45), model("c"), model("d", health=health("Unknown", 0.45))])
    assert decision.plan is not None
    assert decision.plan.to_dict() == {
        "id": "plan-20260301-120000",
        "createdAt": "2026-03-01T12:00:00Z",
        "estimatedDuration": "15m",
        "jobs": [
            {
                "model": name,
                "version": f"{name}-v2",
                "priority": "High",
                "trigger": "Health",
                "reason": "HealthDegraded",
                "message": f"WinRateBelowMinimum: win rate {win_rate}%",
                "state": "Planned",
                "estimatedSeconds": 900.0,
                "estimatedFrom": 0,
            }
            for name, win_rate in (("b", "45.0"), ("a", "48.0"))
        ],
    }
    assert [new.name for new in decision.create] == ["b-v2", "a-v2"]
    trigger = decision.create[0].trigger
    assert (trigger.policy, trigger.plan, trigger.evidence_until) == (POLICY, "plan-20260301-120000", EVIDENCE)
    assert (decision.reason, decision.message) == (
        "Retraining",
        "plan-20260301-120000: 2 Planned; about 15m",
    )


def test_no_reason_is_no_plan() -> None:
    decision = decide([model("a"), model("b")])
    assert (decision.plan, decision.create, decision.requeue_after) == (None, (), None)
    assert (decision.reason, decision.message) == ("NothingToRetrain", "no reason fires for any of 2 models")


def test_order_is_priority_then_the_worse_health_then_the_older_model() -> None:
    younger = CREATED + DAY
    models = [
        model("declining", health=health("Healthy", 0.52, trend="Declining")),
        poor("younger", 0.45, created_at=younger),
        poor("older", 0.45),
        poor("worse", 0.44, created_at=younger),
        model("critical", health=health("Critical", 0.40)),
        model("missing", has_stable=False, health=None),
    ]
    planned = [job.model for job in jobs(decide(models))]
    assert planned == ["critical", "missing", "worse", "older", "younger", "declining"]


@pytest.mark.parametrize(
    ("lanes", "slots", "running", "states"),
    [
        pytest.param(3, 10, 0, ["Planned", "Planned", "Planned"], id="lanes for all"),
        pytest.param(2, 10, 0, ["Planned", "Planned", "Lane"], id="lanes for two"),
        pytest.param(3, 10, 9, ["Planned", "OperatorLimit", "OperatorLimit"], id="the operator has one place left"),
        pytest.param(3, 10, 12, ["OperatorLimit"] * 3, id="the operator is over its limit"),
        pytest.param(1, 1, 0, ["Planned", "Lane", "Lane"], id="both are full: the policy's own limit is named"),
    ],
)
def test_lanes(lanes: int, slots: int, running: int, states: list[str]) -> None:
    spec = policy(limits={"maxParallel": lanes})
    models = [poor(name, 0.45 + i / 100) for i, name in enumerate("abc")]
    decision = decide(models, spec=spec, operator_slots=slots, running=running)
    assert [job.waiting_for or job.state for job in jobs(decision)] == states
    assert len(decision.create) == states.count("Planned")


def test_a_running_training_takes_a_lane_and_a_waiting_model_none() -> None:
    busy = model("busy", in_flight=(in_flight("busy-v2", "Training"),))
    cooling = poor("cooling", 0.40, starts=(NOW - HOUR,))
    decision = decide([busy, cooling, poor("a", 0.45), poor("b", 0.46)])
    seen = {job.model: job.waiting_for or job.state for job in jobs(decision)}
    assert seen == {"busy": "Running", "cooling": "CoolDown", "a": "Planned", "b": "Lane"}


def test_a_plan_goes_from_planned_over_running_to_done() -> None:
    a, b = poor("a", 0.45), poor("b", 0.46)
    planned = decide([a, b])
    a, b = created(a, planned), created(b, planned)
    running = decide([a, b], planned, now=NOW + timedelta(minutes=1), running=2)
    assert [(job.version, job.state) for job in jobs(running)] == [("a-v2", "Running"), ("b-v2", "Running")]
    assert running.create == ()
    half = decide([a, replace(b, in_flight=())], running, now=NOW + timedelta(minutes=9), running=1)
    assert [(job.version, job.state) for job in jobs(half)] == [("a-v2", "Running"), ("b-v2", "Done")]
    over = decide([replace(a, in_flight=()), replace(b, in_flight=())], half, now=NOW + timedelta(minutes=16))
    assert [(job.version, job.state) for job in jobs(over)] == [("a-v2", "Done"), ("b-v2", "Done")]
    assert {d.plan.id for d in (planned, running, half, over) if d.plan} == {"plan-20260301-120000"}
    assert over.reason == "NothingToRetrain"
    assert "a is held back: HealthDegraded needs 200 outcomes that no attempt has seen" in over.message


def test_a_training_that_is_evaluated_frees_its_lane() -> None:
    a = poor("a")
    planned = decide([a])
    evaluated = created(a, planned, phase="Evaluated")
    after = decide([evaluated, poor("b"), poor("c")], planned, now=NOW + HOUR)
    assert [new.model for new in after.create] == ["b", "c"]


def test_another_job_is_another_plan_which_leaves_the_done_ones_behind() -> None:
    a = poor("a")
    first = decide([a])
    a = replace(created(a, first), in_flight=())
    done = decide([a, model("b")], first, now=NOW + HOUR)
    assert [job.state for job in jobs(done)] == ["Done"]
    second = decide([a, poor("b")], done, now=NOW + 2 * HOUR)
    assert second.plan is not None
    assert second.plan.id == "plan-20260301-140000"
    assert [job.model for job in second.plan.jobs] == ["b"]


def test_another_reason_is_another_plan() -> None:
    spec = policy(suspend=True)
    first = decide([poor("a")], spec=spec)
    second = decide([model("a", health=health("Critical", 0.40))], first, spec=spec, now=NOW + HOUR)
    assert first.plan is not None
    assert second.plan is not None
    assert first.plan.id != second.plan.id


def test_a_job_whose_reason_went_away_leaves_the_plan_as_it_is() -> None:
    spec = policy(suspend=True)
    first = decide([poor("a"), poor("b")], spec=spec)
    second = decide([poor("a"), model("b")], first, spec=spec, now=NOW + HOUR)
    assert first.plan is not None
    assert second.plan is not None
    assert (second.plan.id, [job.model for job in second.plan.jobs]) == (first.plan.id, ["a"])
    assert decide([model("a"), model("b")], second, spec=spec, now=NOW + 2 * HOUR).plan is None


def test_two_plans_within_a_second_have_two_names() -> None:
    spec = policy(suspend=True)
    first = decide([poor("a")], spec=spec)
    second = decide([poor("a"), poor("b")], first, spec=spec)
    assert second.plan is not None
    assert second.plan.id == "plan-20260301-120001"


def test_a_version_whose_creation_was_lost_with_the_operator_is_created_under_the_same_name() -> None:
    first = decide([poor("a")])
    again = decide([poor("a")], first, now=NOW + timedelta(minutes=5))
    assert again.plan == first.plan
    assert [(new.name, new.trigger) for new in again.create] == [(new.name, new.trigger) for new in first.create]


def test_a_plan_that_was_lost_before_it_was_written_is_found_again_in_its_versions() -> None:
    a = poor("a")
    lost = decide([a])
    found = decide([created(a, lost)], None, now=NOW + timedelta(minutes=5), running=1)
    assert found.plan is not None
    assert lost.plan is not None
    assert (found.plan.id, found.plan.created_at) == (lost.plan.id, lost.plan.created_at)
    assert found.create == ()


def test_a_plan_that_somebody_made_up_is_no_plan_to_go_on_with() -> None:
    by_hand = in_flight("a-v2", "Training", plan="zero-hour")
    found = decide([model("a", in_flight=(by_hand,))], running=1)
    assert found.plan is not None
    assert found.plan.id == "plan-20260301-120000"


def test_a_version_made_by_hand_is_waited_for_and_is_no_job_of_the_policy() -> None:
    by_hand = in_flight("a-v2", "Training", policy=None, type="Manual", reason="CreatedByHand")
    assert decide([model("a", in_flight=(by_hand,))]).plan is None
    waiting = jobs(decide([poor("a", in_flight=(by_hand,))]))
    assert [(job.state, job.waiting_for) for job in waiting] == [("Waiting", "InFlight")]


@pytest.mark.parametrize(
    ("lanes", "seconds", "duration"),
    [
        pytest.param(2, [(), (), ()], "30m", id="unmeasured: 15 minutes a job, over the lanes"),
        pytest.param(1, [(60.0,), (120.0,), ()], "18m", id="measured where there is something to measure"),
        pytest.param(2, [(300.0, 500.0, 400.0), (100.0,), (100.0,)], "6m40s", id="the median of a model's own"),
        pytest.param(9, [(0.4,)], "0s", id="quicker than a second"),
    ],
)
def test_estimated_duration(lanes: int, seconds: list[tuple[float, ...]], duration: str) -> None:
    spec = policy(limits={"maxParallel": lanes})
    models = [poor(name, 0.45, measured_seconds=measured) for name, measured in zip("abc", seconds, strict=False)]
    decision = decide(models, spec=spec)
    assert decision.plan is not None
    assert decision.plan.estimated_duration == duration
    assert [job.estimated_from for job in decision.plan.jobs] == [len(measured) for measured in seconds]


def test_advice_is_planned_and_never_created() -> None:
    decision = decide([poor("a")], spec=policy(mode="Advisory"))
    assert [(job.state, job.waiting_for) for job in jobs(decision)] == [("Waiting", "Advisory")]
    assert decision.create == ()
    assert decision.reason == "Waiting"


def test_looks_again_when_the_first_wait_or_the_schedule_is_over() -> None:
    cooling = poor("a", starts=(NOW - HOUR,))
    spec = policy(triggers={"health": {}, "schedule": {"every": "24h"}})
    assert decide([cooling]).requeue_after == 5 * 3600
    assert decide([cooling], spec=spec, created_at=NOW - 20 * HOUR).requeue_after == 4 * 3600
    assert decide([model("a")]).requeue_after is None


def test_schedule_times_stand_in_the_status() -> None:
    spec = policy(triggers={"schedule": {"every": "24h"}})
    decision = decide([model("a")], spec=spec, created_at=NOW - 30 * HOUR)
    assert (decision.last_schedule_time, decision.next_schedule_time) == (NOW - 6 * HOUR, NOW + 18 * HOUR)
    young = decide([model("a")], spec=spec, created_at=NOW - HOUR)
    assert (young.last_schedule_time, young.next_schedule_time) == (None, NOW + 23 * HOUR)


def test_a_token_retrains_every_model_once() -> None:
    a, b = model("a"), model("b")
    asked = decide([a, b], retrain_token="one")
    assert [(job.model, job.trigger, job.priority) for job in jobs(asked)] == [
        ("a", "Manual", "High"),
        ("b", "Manual", "High"),
    ]
    assert asked.retrain_token == "one"
    a, b = created(a, asked), created(b, asked)
    running = decide([a, b], asked, retrain_token="one", running=2)
    over = decide([replace(a, in_flight=()), replace(b, in_flight=())], running, retrain_token="one", now=NOW + HOUR)
    assert [job.state for job in jobs(over)] == ["Done", "Done"]
    assert over.create == ()
    again = decide([replace(a, in_flight=()), replace(b, in_flight=())], over, retrain_token="two", now=NOW + 2 * HOUR)
    assert [new.name for new in again.create] == ["a-v3", "b-v3"]


def test_what_a_token_asked_for_waits_its_turn() -> None:
    spec = policy(limits={"maxParallel": 1})
    a, b = model("a"), model("b")
    asked = decide([a, b], spec=spec, retrain_token="one")
    assert [job.waiting_for or job.state for job in jobs(asked)] == ["Planned", "Lane"]
    a = created(a, asked)
    running = decide([a, b], asked, spec=spec, retrain_token="one", running=1)
    assert [job.waiting_for or job.state for job in jobs(running)] == ["Running", "Lane"]
    over = decide([replace(a, in_flight=()), b], running, spec=spec, retrain_token="one", now=NOW + HOUR)
    assert [new.name for new in over.create] == ["b-v2"]


def test_what_a_token_asks_for_while_its_own_training_runs_comes_after_it() -> None:
    a = poor("a")
    planned = decide([a])
    a = created(a, planned)
    running = decide([a], planned, running=1)
    asked = decide([a], running, retrain_token="one", now=NOW + HOUR, running=1)
    for seen in (asked, decide([a], asked, retrain_token="one", now=NOW + HOUR, running=1)):
        assert [(job.reason, job.version, job.waiting_for) for job in jobs(seen)] == [
            ("HealthDegraded", "a-v2", None),
            ("RetrainRequested", None, "InFlight"),
        ]
        assert seen.create == ()
    free = decide([replace(a, in_flight=())], asked, retrain_token="one", now=NOW + 2 * HOUR)
    assert [(new.name, new.trigger.reason) for new in free.create] == [("a-v3", "RetrainRequested")]
    again = replace(created(a, free), next_version="a-v4")
    assert [job.version for job in jobs(decide([again], free, retrain_token="one", running=1))] == ["a-v3"]


def test_a_training_too_quick_to_be_seen_running_is_not_asked_for_again() -> None:
    asked = decide([model("a")], retrain_token="one")
    quick = replace(created(model("a"), asked), in_flight=())
    assert jobs(decide([quick], asked, retrain_token="one"))[0].state == "Done"


def test_a_model_that_is_gone_leaves_no_job_behind() -> None:
    a = poor("a")
    first = decide([a])
    running = decide([created(a, first)], first, running=1)
    assert decide([model("b")], running, now=NOW + HOUR).plan is None
