"""Plans of any world: deciding again changes nothing, and no limit is passed."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.models import CREATED, DAY, HOUR, NOW, POLICY, counts, health, in_flight, model, policy

from perennial.api.retrain_policy import Plan, PlannedJob, RetrainPolicySpec, RetrainPolicyStatus
from perennial.domain.plan import decide_plan
from perennial.domain.triggers import ModelView

World = tuple[RetrainPolicySpec, list[ModelView], Plan | None, int, str | None]
flights = st.sampled_from(["Pending", "Training", "Evaluated", "Canary"])


def job_of(**fields: Any) -> PlannedJob:
    """By field names: hypothesis would fill the aliases as well."""
    return PlannedJob(**fields)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Models in any state, with a plan from any other."""
    names = draw(st.lists(st.sampled_from("abcde"), unique=True, max_size=5))
    models = []
    for name in names:
        state, trend = (
            draw(st.sampled_from(["Healthy", "Degraded", "Critical", "Unknown"])),
            draw(st.sampled_from(["Stable", "Declining"])),
        )
        phase, own = draw(st.none() | flights), draw(st.booleans())
        models.append(
            model(
                name,
                health=health(state, draw(st.sampled_from([0.44, 0.45, 0.52])), trend),
                has_stable=draw(st.booleans()),
                in_flight=(in_flight(f"{name}-v1", phase, policy=POLICY if own else None),) if phase else (),
                counts=draw(st.none() | st.sampled_from([counts(10), counts(3000), counts(90_000)])),
                starts=draw(st.sampled_from([(), (NOW - HOUR,), (NOW - 10 * DAY,)])),
                failures=draw(st.integers(0, 1)),
                retry_not_before=NOW + HOUR,
                measured_seconds=draw(st.sampled_from([(), (90.5,), (10.0, 700.0)])),
                pinned=draw(st.booleans()),
                conflict=draw(st.none() | st.just("older")),
            )
        )
    spec = policy(
        mode=draw(st.sampled_from(["Enforced", "Advisory"])),
        limits={"maxParallel": draw(st.integers(1, 3))},
        triggers={"health": {}, "schedule": {"every": "24h"}, "newSamples": {}},
    )
    before = draw(
        st.none()
        | st.lists(
            st.builds(
                job_of,
                model=st.sampled_from("abcde"),
                version=st.none() | st.sampled_from(["a-v1", "b-v1", "c-v2", "d-v2"]),
                priority=st.sampled_from(["High", "Low"]),
                trigger=st.sampled_from(["Health", "Manual"]),
                reason=st.sampled_from(["HealthDegraded", "RetrainRequested", "ScheduleDue"]),
                state=st.sampled_from(["Waiting", "Planned", "Running", "Done"]),
                estimated_seconds=st.just(900.0),
            ),
            max_size=4,
            unique_by=lambda job: job.model,
        ).map(lambda j: Plan(id="plan-20260228-000000", created_at=NOW - DAY, estimated_duration="15m", jobs=j))
    )
    return spec, models, before, draw(st.integers(0, 4)), draw(st.none() | st.just("token"))


@given(worlds())
def test_decided_again_on_its_own_outcome_nothing_changes(
    world: World,
) -> None:
    spec, models, before, running, token = world
    given_status = RetrainPolicyStatus(plan=before)
    fixed: dict[str, Any] = {"policy": POLICY, "running": running, "created_at": CREATED, "operator_slots": 3}
    once = decide_plan(spec, given_status, models, now=NOW, retrain_token=token, **fixed)
    written = RetrainPolicyStatus.model_validate(
        RetrainPolicyStatus(
            plan=once.plan, retrain_token=once.retrain_token, last_schedule_time=once.last_schedule_time
        ).to_dict()
    )
    again = decide_plan(spec, written, models, now=NOW + timedelta(seconds=20), retrain_token=token, **fixed)
    assert again.plan == once.plan
    assert again.create == once.create
    assert again.message == once.message


@given(worlds())
def test_a_plan_keeps_its_limits_and_has_one_job_a_model(
    world: World,
) -> None:
    spec, models, before, running, token = world
    decision = decide_plan(
        spec,
        RetrainPolicyStatus(plan=before),
        models,
        policy=POLICY,
        running=running,
        now=NOW,
        created_at=CREATED,
        operator_slots=3,
        retrain_token=token,
    )
    planned = decision.plan.jobs if decision.plan else []
    running_models = {job.model for job in planned if job.state == "Running"}
    behind = [job for job in planned if job.model in running_models and job.state != "Running"]
    assert len({job.model for job in planned}) == len(planned) - len(behind)
    assert all((job.trigger, job.state) == ("Manual", "Waiting") for job in behind)
    trains = sum(job.state == "Running" for job in planned)
    assert len(decision.create) <= max(0, min(spec.limits.max_parallel - trains, 3 - running))
    assert [new.name for new in decision.create] == [job.version for job in planned if job.state == "Planned"]
    assert all((job.state == "Waiting") == (job.waiting_for is not None) for job in planned)
    assert spec.mode == "Enforced" or not decision.create
