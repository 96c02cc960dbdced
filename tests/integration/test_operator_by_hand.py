"""What a person can ask for: a retrain, an approval, an abort, a promotion, a pin, a pause; what holds plans back."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.integration.operator_api import Object, eventually
from tests.integration.operator_reports import CANARY, DEPLOY, HANGS, KEEP, build_manifest, digest, failing
from tests.integration.operator_world import World

from perennial.adapters.cluster import CONFIG_MAP, DEPLOYMENT, MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY
from perennial_contract.serving import ServerConfig
from perennial_contract.task import ArtifactRef, TrainingTask


def _jobs(world: World) -> list[Object]:
    found: list[Object] = world.status(RETRAIN_POLICY, "p").get("plan", {}).get("jobs", [])
    return found


def _waits(world: World, reason: str) -> Object:
    """The one planned job, once it waits for that reason."""
    return eventually(
        lambda: next((job for job in _jobs(world) if job.get("waitingFor") == reason), None), f"it waits: {reason}"
    )


def _canary(world: World) -> None:
    world.trained()
    world.node.trainings["m-v2"] = CANARY
    world.version("m-v2")
    world.await_phase("m-v2", "Canary")


def test_a_version_by_hand_needs_no_more_than_the_model(world: World) -> None:
    world.model()
    name = world.version()
    status = world.await_live(name)
    assert (status["stable"]["version"], status["lastRevision"]) == (name, 1)
    version = world.api.get(MODEL_VERSION, world.namespace, name)
    assert version["metadata"]["labels"]["perennial.dev/model"] == "m"
    assert [owner["kind"] for owner in version["metadata"]["ownerReferences"]] == ["ModelDeployment"]


def test_versions_made_at_the_same_moment_get_revisions_of_their_own(world: World) -> None:
    world.model()
    made = [world.version() for _ in range(6)]
    for name in made:
        world.node.trainings[name] = HANGS
    resolved = [world.await_phase(name, "Training")["resolved"]["revision"] for name in made]
    assert sorted(resolved) == [1, 2, 3, 4, 5, 6]


BROUGHT = build_manifest({})
"""Of a model that was trained elsewhere."""


def test_a_model_that_was_brought_is_judged_and_served_as_it_is(world: World) -> None:
    world.trained()
    given = {"uri": "s3://elsewhere/mine", "digest": digest(BROUGHT)}
    world.node.trainings["m-v2"] = replace(DEPLOY, manifest=BROUGHT)
    world.version("m-v2", artifact=given)
    world.await_live("m-v2")
    task = world.api.get(CONFIG_MAP, world.namespace, "m-v2-task")["data"]["task.json"]
    assert TrainingTask.model_validate_json(task).brought == ArtifactRef(**given)
    status = world.status(MODEL_VERSION, "m-v2")
    assert status["artifact"] == {**given, "bytes": 9}
    assert (status["verdict"]["decision"], status["resolved"]["champion"]["name"]) == ("Deploy", "m-v1")
    server = world.api.get(CONFIG_MAP, world.namespace, "m-v2-server")["data"]["server.json"]
    assert ServerConfig.model_validate_json(server).artifact == ArtifactRef(**given)


def test_another_model_than_the_one_that_was_to_be_brought_is_told_and_not_served(world: World) -> None:
    world.model()
    world.node.trainings["m-v1"] = replace(DEPLOY, manifest=BROUGHT)
    world.version("m-v1", artifact={"uri": "s3://elsewhere/mine", "digest": digest("what was declared")})
    status = world.await_phase("m-v1", "Failed")
    said = f"spec.artifact.digest is {digest('what was declared')}, the artifact's {digest(BROUGHT)}"
    assert status["job"]["message"] == said
    assert world.condition(MODEL_VERSION, "m-v1", "Stalled")["message"] == said
    world.await_event("m-v1", "DigestMismatch")
    assert not {"artifact", "verdict"} & status.keys()
    assert world.api.find(DEPLOYMENT, world.namespace, "m-v1") is None


def test_the_annotation_retrains_once_a_token(world: World) -> None:
    world.trained()
    world.node.trainings["m-v2"] = KEEP
    world.policy(limits={"cooldown": "1h"})
    world.retrain("monday")
    world.await_phase("m-v2", "Rejected")
    assert world.api.get(MODEL_VERSION, world.namespace, "m-v2")["spec"]["trigger"]["reason"] == "RetrainRequested"
    assert world.status(RETRAIN_POLICY, "p")["retrainToken"] == "monday"
    world.annotate(RETRAIN_POLICY, "p", retrain="monday")
    world.change(RETRAIN_POLICY, "p", limits={"cooldown": "2h"})
    eventually(lambda: world.status(RETRAIN_POLICY, "p")["observedGeneration"] == 2, "the policy is looked at again")
    assert list(world.versions()) == ["m-v1", "m-v2"]


def test_approval_is_waited_for_and_given(world: World) -> None:
    world.trained()
    world.version("m-v2", promotion={"approval": "Required"})
    world.await_phase("m-v2", "Evaluated")
    world.version("m-v3", promotion={"approval": "Required"})
    world.await_phase("m-v3", "Evaluated")
    assert world.api.find(DEPLOYMENT, world.namespace, "m-v2") is None
    world.annotate(MODEL_VERSION, "m-v3", reject="no")
    assert world.await_phase("m-v3", "Rejected")["approval"] == "Rejected"
    world.annotate(MODEL_VERSION, "m-v2", approve="yes")
    world.await_live("m-v2")
    status = world.status(MODEL_VERSION, "m-v2")
    assert (status["approval"], status["acknowledged"]) == ("Approved", {"approve": "yes"})
    world.await_event("m-v2", "Approved")


def test_an_approval_that_does_not_come_in_time_is_over(world: World) -> None:
    world.trained()
    world.version("m-v2", promotion={"approval": "Required", "approvalTimeout": "2s"})
    status = world.await_phase("m-v2", "Superseded")
    assert "approval" not in status
    world.await_event("m-v2", "ApprovalTimedOut")


def test_a_canary_is_aborted_by_hand(world: World) -> None:
    _canary(world)
    world.annotate(MODEL_VERSION, "m-v2", abort="now")
    world.await_phase("m-v2", "Rejected")
    (outcome,) = world.status(MODEL_DEPLOYMENT, "m")["outcomes"]
    assert outcome["reason"] == "AbortedByHand"
    eventually(lambda: world.status(MODEL_VERSION, "m-v2").get("acknowledged") == {"abort": "now"}, "acknowledged")


def test_a_canary_is_promoted_by_hand(world: World) -> None:
    _canary(world)
    world.annotate(MODEL_VERSION, "m-v2", promote="now")
    world.await_live("m-v2")
    eventually(lambda: world.status(MODEL_VERSION, "m-v2").get("acknowledged") == {"promote": "now"}, "acknowledged")
    assert world.await_phase("m-v1", "Archived")


def test_a_pin_rolls_back_and_unpinning_changes_nothing(world: World) -> None:
    world.trained()
    world.version("m-v2")
    world.await_live("m-v2")
    world.await_phase("m-v1", "Archived")
    world.node.trainings["m-v3"] = CANARY
    world.version("m-v3")
    world.await_phase("m-v3", "Canary")

    world.change(MODEL_DEPLOYMENT, "m", version="m-v1")
    world.await_live("m-v1")
    assert world.await_phase("m-v2", "Archived")
    assert world.await_phase("m-v3", "Superseded")
    world.version("m-v4")
    world.await_phase("m-v4", "Evaluated")
    assert world.status(MODEL_DEPLOYMENT, "m")["stable"]["version"] == "m-v1"

    series = f'name="m",namespace="{world.namespace}"'
    assert world.metrics()[f"perennial_rollbacks_total{{{series}}}"] == 1
    world.change(MODEL_DEPLOYMENT, "m", version=None)
    # compared with m-v1, which serves: now it may come
    world.await_live("m-v4")


def test_a_pause_holds_a_canary_where_it_is(world: World) -> None:
    _canary(world)
    world.change(MODEL_DEPLOYMENT, "m", paused=True)
    eventually(lambda: world.status(MODEL_DEPLOYMENT, "m")["phase"] == "Paused", "paused")
    world.annotate(MODEL_VERSION, "m-v2", promote="now")
    world.node.trainings["m-v3"] = CANARY
    world.version("m-v3")
    world.await_phase("m-v3", "Evaluated")
    assert world.status(MODEL_DEPLOYMENT, "m")["canary"]["version"] == "m-v2"
    world.change(MODEL_DEPLOYMENT, "m", paused=False)
    world.await_live("m-v2")
    # compared with m-v1, which serves no more
    world.await_phase("m-v3", "Superseded")


def test_a_change_of_the_server_takes_a_canary_out(world: World) -> None:
    _canary(world)
    world.change(MODEL_DEPLOYMENT, "m", server={"resources": {"limits": {"memory": "1Gi"}}})
    world.await_phase("m-v2", "Superseded")
    assert world.status(MODEL_DEPLOYMENT, "m")["outcomes"][0]["reason"] == "SpecChanged"
    world.await_condition(MODEL_DEPLOYMENT, "m", "Ready", "Serving")


@pytest.mark.parametrize(
    ("spec", "reason"), [({"mode": "Advisory"}, "Advisory"), ({"suspend": True}, "Suspended")], ids=["advisory", "held"]
)
def test_a_plan_that_is_only_a_plan(world: World, spec: Object, reason: str) -> None:
    world.model()
    world.policy(**spec)
    job = _waits(world, reason)
    assert (job["state"], job["reason"]) == ("Waiting", "NoVersion")
    assert world.versions() == {}
    world.change(RETRAIN_POLICY, "p", mode="Enforced", suspend=False)
    world.await_live("m-v1")


def test_a_schedule_of_every_few_seconds_keeps_training(world: World) -> None:
    world.model(health={"minOutcomes": 1})
    world.policy(triggers={"schedule": {"every": "3s"}})
    world.await_live("m-v1")
    # the same outcomes are never reason twice: there must be new ones
    now = datetime.now(UTC)
    world.samples([(f"s{i}", now, 1) for i in range(5)])
    world.await_live("m-v2", seconds=60)
    trigger = world.api.get(MODEL_VERSION, world.namespace, "m-v2")["spec"]["trigger"]
    assert (trigger["type"], trigger["reason"], trigger["priority"]) == ("Schedule", "ScheduleDue", "Low")
    status = world.status(RETRAIN_POLICY, "p")
    assert status["nextScheduleTime"] > status["lastScheduleTime"]


def test_a_daily_budget_holds_even_a_person_back_and_a_cooldown_does_not(world: World) -> None:
    world.trained()
    world.policy(limits={"cooldown": "1h", "maxPerDay": 2})
    world.node.trainings["m-v2"] = KEEP
    world.retrain("once")
    world.await_phase("m-v2", "Rejected")
    world.retrain("twice")
    job = _waits(world, "DailyBudget")
    assert job["notBefore"] > datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert list(world.versions()) == ["m-v1", "m-v2"]


def test_a_cooldown_and_a_version_in_flight_are_named(world: World) -> None:
    world.model()
    world.node.trainings["m-v1"] = failing(3, "not enough rows")
    world.version("m-v1")
    world.await_phase("m-v1", "Failed")
    world.policy(limits={"cooldown": "1h"})
    _waits(world, "CoolDown")
    world.node.trainings["m-v2"] = HANGS
    world.version("m-v2")
    world.await_phase("m-v2", "Training")
    world.retrain("now")  # no other reason fires while a version in flight rests on the same outcomes
    _waits(world, "InFlight")


def test_lanes_are_filled_in_order_and_the_rest_waits(world: World) -> None:
    for i in range(3):
        world.node.trainings[f"m{i}-v1"] = HANGS
        world.model(f"m{i}")
    world.policy(limits={"maxParallel": 2})
    eventually(lambda: [j.get("waitingFor", "") for j in _jobs(world)] == ["", "", "Lane"], "two lanes")
    assert world.status(RETRAIN_POLICY, "p")["plan"]["estimatedDuration"] == "30m"
    world.node.trainings.clear()
    for i in range(3):
        world.await_live(f"m{i}-v1", f"m{i}")


def test_a_failed_attempt_is_tried_again_after_a_back_off(world: World) -> None:
    world.node.trainings["m-v1-a1"] = failing(1, '{"error": "the database went away"}')
    world.model()
    world.version("m-v1", training={"resources": {"requests": {"cpu": "1000"}}, "retryBackoff": "2s"})
    backing_off = world.await_condition(MODEL_VERSION, "m-v1", "Reconciling", "BackOff")
    assert backing_off["message"].startswith("attempt 1 failed, next at ")
    assert backing_off["message"].endswith(": the database went away")
    world.await_live("m-v1")
    assert world.jobs() == ["m-v1-a1", "m-v1-a2"]
    assert world.status(MODEL_VERSION, "m-v1")["job"]["attempt"] == 2
    world.await_event("m-v1", "VerdictDeploy")
    assert world.events("m-v1") == ["TrainingStarted", "TrainingFailed", "TrainingRetried", "VerdictDeploy"]


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (2, "TaskWrong", "parameters.max_depth: -3: write a depth above 0"),
        (3, "NotEnoughData", "holdout: 12 rows, 500 are needed"),
    ],
)
def test_what_another_attempt_cannot_mend_is_not_tried_again(world: World, code: int, reason: str, said: str) -> None:
    world.node.trainings["m-v1"] = failing(code, f'{{"error": "{said}"}}')
    world.model()
    world.version("m-v1")
    status = world.await_phase("m-v1", "Failed")
    assert (status["job"]["attempt"], status["job"]["message"]) == (1, said)
    world.await_event("m-v1", reason)
    assert world.events("m-v1") == ["TrainingStarted", reason]
    assert world.condition(MODEL_VERSION, "m-v1", "Stalled")["message"] == said
    assert world.jobs() == ["m-v1-a1"]


def test_a_training_that_hangs_is_stopped_at_its_timeout(world: World) -> None:
    world.node.trainings["m-v1"] = HANGS
    world.model()
    resources = {"requests": {"cpu": "1000"}}
    world.version("m-v1", training={"resources": resources, "timeout": "2s", "retries": 0})
    status = world.await_phase("m-v1", "Failed", 60)
    assert status["job"]["message"] == (
        "m-v1-a1 was stopped at training.timeout (2s): raise it, or shorten training.dataWindow"
    )


def test_old_versions_go_and_what_serves_or_served_stays(world: World) -> None:
    world.trained(versionHistoryLimit=2)
    for i in range(2, 6):
        world.node.trainings[f"m-v{i}"] = KEEP
        world.version(f"m-v{i}")
        world.await_phase(f"m-v{i}", "Rejected")
    # the daily budget counts what was started within a day
    for name in ("m-v2", "m-v3"):
        world.api.patch(
            MODEL_VERSION, world.namespace, name, {"status": {"startedAt": "2020-01-05T12:00:00Z"}}, "status"
        )
    eventually(lambda: list(world.versions()) == ["m-v1", "m-v4", "m-v5"], "the oldest rejected ones go")
    # a revision is never given twice
    name = world.version()
    assert world.await_live(name)["lastRevision"] == 6


def test_the_record_of_the_live_version_may_go_and_the_next_one_takes_over(world: World) -> None:
    world.trained()
    world.policy()
    world.api.delete(MODEL_VERSION, world.namespace, "m-v1")
    world.retrain("again")
    world.await_live("m-v2")
    assert world.status(MODEL_VERSION, "m-v2")["verdict"]["reason"] == "NoChampion"
    assert list(world.versions()) == ["m-v2"]
