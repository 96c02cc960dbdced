"""What must not change the outcome: an operator that is killed, a database that goes and comes back."""

from collections.abc import Callable, Iterator

import pytest
from tests.integration.operator_api import eventually
from tests.integration.operator_reports import CANARY, DEPLOY, HANGS, KEEP
from tests.integration.operator_stand import Stand, running_world
from tests.integration.operator_traffic import Traffic
from tests.integration.operator_world import World
from tests.integration.postgres import PostgresServer, running_postgres

from perennial.adapters.cluster import DEPLOYMENT, JOB, MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY


def _kill_when(world: World, moment: Callable[[], object], what: str) -> None:
    eventually(moment, what, seconds=60, pause=0.03)
    world.operator.kill()


def _weight(world: World) -> float:
    found: float = world.status(MODEL_DEPLOYMENT, "m").get("canary", {}).get("weight", 0)
    return found


def _waiting(world: World) -> list[str]:
    jobs = world.status(RETRAIN_POLICY, "p").get("plan", {}).get("jobs", [])
    return [job.get("waitingFor", "") for job in jobs]


def _incoming(world: World) -> str | None:
    found: str | None = world.status(MODEL_DEPLOYMENT, "m").get("incoming", {}).get("version")
    return found


def test_an_operator_killed_in_each_phase_comes_to_the_same_end(lone_world: World) -> None:
    world, operator = lone_world, lone_world.operator
    world.node.trainings |= {"m-v1": HANGS, "m-v2": KEEP, "m-v3": CANARY}
    world.model()
    world.policy()
    _kill_when(world, lambda: world.status(RETRAIN_POLICY, "p").get("plan"), "a plan is written")
    operator.launch()
    _kill_when(world, lambda: world.status(MODEL_VERSION, "m-v1").get("phase") == "Training", "a training starts")
    operator.launch()
    _kill_when(world, lambda: world.api.find(JOB, world.namespace, "m-v1-a1"), "its Job is made")
    world.node.trainings["m-v1"] = DEPLOY
    eventually(lambda: world.node.trained["m-v1-a1"], "the Job ends while nobody looks")
    operator.launch()
    _kill_when(world, lambda: world.status(MODEL_VERSION, "m-v1").get("verdict"), "a verdict is found")
    operator.launch()
    _kill_when(world, lambda: _incoming(world) == "m-v1", "the first version is deployed")
    operator.start()
    world.await_live("m-v1")

    world.retrain("keep")
    _kill_when(world, lambda: world.status(RETRAIN_POLICY, "p").get("retrainToken") == "keep", "the wish is noted")
    operator.start()
    world.await_phase("m-v2", "Rejected")

    world.retrain("canary")
    _kill_when(world, lambda: _weight(world) == 0.2, "a canary starts")
    operator.start()
    traffic = Traffic(world, "m-v1", "m-v3", canary_wins=0.9)
    traffic.backfill()
    traffic.start()
    try:
        _kill_when(world, lambda: _weight(world) == 0.5, "it is half-way")
        operator.launch()
        _kill_when(world, lambda: _incoming(world) == "m-v3", "it is promoted")
        operator.start()
        world.await_live("m-v3", seconds=60)
    finally:
        traffic.stop()

    world.await_phase("m-v1", "Archived")
    assert world.jobs() == ["m-v1-a1", "m-v2-a1", "m-v3-a1"]
    assert world.node.trained == {"m-v1-a1": 1, "m-v2-a1": 1, "m-v3-a1": 1}
    phases = {name: version["status"]["phase"] for name, version in world.versions().items()}
    assert phases == {"m-v1": "Archived", "m-v2": "Rejected", "m-v3": "Live"}
    revisions = [version["status"]["resolved"]["revision"] for version in world.versions().values()]
    assert revisions == [1, 2, 3]
    eventually(
        lambda: [d["metadata"]["name"] for d in world.api.list(DEPLOYMENT, world.namespace)] == ["m-v3"],
        "m-v3 alone serves",
    )
    world.await_condition(RETRAIN_POLICY, "p", "Ready", "NothingToRetrain")


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """A database that may be stopped."""
    with running_postgres() as server:
        yield server


def test_a_database_that_goes_and_comes_back_moves_no_traffic(stand: Stand, database: PostgresServer) -> None:
    with running_world(stand.api, stand.operator, stand.next_namespace(), database.url()) as world:
        world.trained()
        world.policy(triggers={"health": {}})
        world.node.trainings["m-v2"] = CANARY
        world.version("m-v2")
        world.await_phase("m-v2", "Canary")
        traffic = Traffic(world, "m-v1", "m-v2", canary_wins=0.5)
        traffic.backfill()
        traffic.send_now()
        eventually(lambda: _weight(world) == 0.5, "the canary is half-way")

        database.stop()
        unknown = world.await_condition(MODEL_DEPLOYMENT, "m", "StoreReady", "StoreUnavailable")
        assert unknown["status"] == "Unknown"
        assert unknown["message"].endswith("see that the database runs and can be reached")
        eventually(lambda: world.status(MODEL_DEPLOYMENT, "m")["canary"]["state"] == "Held", "the canary is held")
        health = eventually(
            lambda: (h := world.status(MODEL_DEPLOYMENT, "m")["health"])["reason"] == "StoreUnavailable" and h,
            "health is unknown",
        )
        assert health["state"] == "Unknown"
        assert "winRate" not in health
        assert _weight(world) == 0.5
        assert world.condition(MODEL_DEPLOYMENT, "m", "Ready")["status"] == "True"
        world.await_event("m", "StoreUnavailable")
        series = f'name="m",namespace="{world.namespace}"'
        eventually(lambda: world.metrics()[f"perennial_store_ready{{{series}}}"] == 0, "a series tells")
        assert world.metrics()[f'perennial_model_health{{{series},state="Unknown"}}'] == 1
        world.retrain("now")
        eventually(lambda: _waiting(world) == ["StoreUnavailable"], "a plan waits")

        database.start()
        world.await_condition(MODEL_DEPLOYMENT, "m", "StoreReady", "Answers")
        eventually(lambda: world.status(MODEL_DEPLOYMENT, "m")["canary"]["state"] == "Progressing", "it goes on")
        assert _weight(world) == 0.5
        world.await_event("m", "StoreAnswers")
        eventually(lambda: world.metrics()[f"perennial_store_ready{{{series}}}"] == 1, "a series tells")


def test_a_report_is_read_once_the_database_answers(stand: Stand, database: PostgresServer) -> None:
    with running_world(stand.api, stand.operator, stand.next_namespace(), database.url()) as world:
        world.model()
        world.version("m-v1")
        world.node.before_done = database.stop
        said = world.await_condition(MODEL_VERSION, "m-v1", "Reconciling", "StoreUnavailable")
        assert said["message"].startswith("m-v1-a1 ended, but its report cannot be read: samples URL: ")
        database.start()
        world.await_live("m-v1", seconds=60)
        assert world.jobs() == ["m-v1-a1"]
