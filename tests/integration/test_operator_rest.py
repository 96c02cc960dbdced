"""Nothing to do, nothing written; and when something is deleted, nothing of it is left."""

import time
from datetime import UTC, datetime, timedelta

from tests.integration.operator_api import eventually
from tests.integration.operator_reports import CANARY, HANGS, KEEP, failing
from tests.integration.operator_world import WRITTEN, World

from perennial.adapters.cluster import (
    DEPLOYMENT,
    MODEL_DEPLOYMENT,
    MODEL_VERSION,
    RETRAIN_POLICY,
)

QUIET_SECONDS = 15


def _in_every_state(world: World) -> None:
    """Models with evidence and without, in a canary and failed, planned for and invalid."""
    world.trained("steady")
    now = datetime.now(UTC)
    rows = [(f"s{i}", now - timedelta(seconds=10 + 5 * i)) for i in range(300)]
    world.samples([(name, at, i % 2) for i, (name, at) in enumerate(rows)])
    world.predictions("steady-v1", "live", [(name, at, 0.6) for name, at in rows], "steady")
    world.trained("climbs")
    world.node.trainings |= {"climbs-v2": CANARY, "fails-v1": failing(3, "too few rows"), "trains-v1": HANGS}
    world.version("climbs-v2", "climbs")
    for name in ("fails", "trains"):
        world.model(name)
        world.version(f"{name}-v1", name)
    world.model("wrong", canary={"steps": [0.2, 0.1]})
    world.model("planned", labels={"book": "advisory"})
    world.policy("advisory", mode="Advisory", selector={"matchLabels": {"book": "advisory"}})
    world.policy(triggers={"schedule": {"every": "1h"}, "health": {}}, limits={"cooldown": "1h"})
    world.version("orphan-v1", "orphan")
    world.await_phase("climbs-v2", "Canary")
    world.await_phase("fails-v1", "Failed")
    world.await_phase("trains-v1", "Training")
    world.await_condition(MODEL_VERSION, "orphan-v1", "Stalled", "ModelDeploymentNotFound")
    world.await_condition(RETRAIN_POLICY, "p", "Ready", "Waiting")
    world.await_condition(RETRAIN_POLICY, "advisory", "Ready", "Waiting")
    eventually(
        lambda: world.status(MODEL_DEPLOYMENT, "steady").get("health", {}).get("resolved") == 300, "it is looked at"
    )


def test_a_steady_state_writes_nothing(world: World) -> None:
    _in_every_state(world)
    reconciles = 'perennial_reconcile_seconds_count{kind="ModelDeployment"}'
    reconciled = 0.0
    before, changed, since = {}, [], time.monotonic()

    def quiet() -> bool:
        """Nothing was written for a while. What settles may write before that."""
        nonlocal before, changed, since, reconciled
        now = world.resource_versions()
        if now != before:
            changed = sorted(name for name, _ in now.items() ^ before.items())
            before, since, reconciled = now, time.monotonic(), world.operator.metrics()[reconciles]
            print(datetime.now(UTC), *dict.fromkeys(changed))
        return time.monotonic() - since > QUIET_SECONDS

    eventually(quiet, f"{QUIET_SECONDS} s without a write", seconds=QUIET_SECONDS + 20, pause=0.5)
    # six models are looked at every second or so: it is not for want of looking
    assert world.operator.metrics()[reconciles] - reconciled > QUIET_SECONDS


def test_a_deleted_model_takes_everything_along(world: World) -> None:
    world.trained()
    world.trained("other")
    world.node.trainings |= {"m-v2": CANARY, "m-v3": HANGS}
    world.version("m-v2")
    world.await_phase("m-v2", "Canary")
    eventually(lambda: world.api.find(DEPLOYMENT, world.namespace, "m-v2-shadow"), "the canary has pods")
    world.version("m-v3")
    world.await_phase("m-v3", "Training")
    assert any('name="m"' in series for series in world.metrics())

    world.api.delete(MODEL_DEPLOYMENT, world.namespace, "m")
    eventually(lambda: world.api.find(MODEL_DEPLOYMENT, world.namespace, "m") is None, "the model goes")

    def left() -> list[str]:
        kinds = [kind for kind in WRITTEN if kind.kind != "Event"]
        listed = [item for kind in kinds for item in world.api.list(kind, world.namespace)]
        names = [item["metadata"]["name"] for item in listed]
        return [name for name in names if name == "m" or name.startswith("m-")]

    eventually(lambda: not left(), "nothing is left of it")
    eventually(lambda: not any('name="m"' in series for series in world.metrics()), "its series end")
    assert any('name="other"' in series for series in world.metrics())
    assert world.status(MODEL_DEPLOYMENT, "other")["phase"] == "Stable"


def test_a_deleted_policy_leaves_its_models_alone(world: World) -> None:
    world.model()
    world.policy()
    world.await_live("m-v1")
    jobs = f'perennial_plan_jobs{{name="p",namespace="{world.namespace}",state="Done"}}'
    eventually(lambda: world.metrics().get(jobs) == 1, "the plan is counted")
    world.api.delete(RETRAIN_POLICY, world.namespace, "p")
    eventually(lambda: not any('name="p"' in series for series in world.metrics()), "its series end")
    assert world.api.find(RETRAIN_POLICY, world.namespace, "p") is None
    assert world.status(MODEL_VERSION, "m-v1")["phase"] == "Live"
    assert world.status(MODEL_DEPLOYMENT, "m")["stable"]["version"] == "m-v1"


def test_a_deleted_version_takes_its_job_and_its_canary_along(world: World) -> None:
    world.trained()
    world.node.trainings |= {"m-v2": CANARY, "m-v3": HANGS}
    world.version("m-v2")
    world.await_phase("m-v2", "Canary")
    world.version("m-v3")
    world.await_phase("m-v3", "Training")
    eventually(lambda: world.jobs() == ["m-v1-a1", "m-v2-a1", "m-v3-a1"], "it trains")
    for name in ("m-v2", "m-v3"):
        world.api.delete(MODEL_VERSION, world.namespace, name)
    eventually(lambda: world.jobs() == ["m-v1-a1"], "their Jobs go")
    eventually(lambda: "canary" not in world.status(MODEL_DEPLOYMENT, "m"), "the canary ends")
    (outcome,) = world.status(MODEL_DEPLOYMENT, "m")["outcomes"]
    assert (outcome["version"], outcome["reason"]) == ("m-v2", "VersionDeleted")
    world.node.trainings["m-v4"] = KEEP
    world.version("m-v4")
    assert world.await_phase("m-v4", "Rejected")["resolved"]["revision"] == 4


def test_an_operator_that_was_away_lets_go_of_what_was_deleted_meanwhile(lone_world: World) -> None:
    lone_world.trained()
    lone_world.operator.kill()
    lone_world.api.delete(MODEL_DEPLOYMENT, lone_world.namespace, "m")
    assert lone_world.api.find(MODEL_DEPLOYMENT, lone_world.namespace, "m"), "the finalizer keeps it"
    lone_world.operator.start()
    eventually(lambda: lone_world.api.find(MODEL_DEPLOYMENT, lone_world.namespace, "m") is None, "it goes")
