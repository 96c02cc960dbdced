"""A promotion that goes bad is taken back by itself, from what both versions said of the same requests."""

from datetime import UTC, datetime, timedelta

from tests.integration.operator_api import eventually
from tests.integration.operator_traffic import Traffic
from tests.integration.operator_world import World

from perennial.adapters.cluster import DEPLOYMENT, MODEL_DEPLOYMENT, MODEL_VERSION

ON_PROBATION = {"rollback": {"window": "2h", "minPairs": 20}}


def promoted(world: World) -> None:
    """Version 2 serves, and version 1 has scored beside it for an hour."""
    world.trained(**ON_PROBATION)
    world.version("m-v2")
    world.await_live("m-v2")
    eventually(lambda: world.api.find(DEPLOYMENT, world.namespace, "m-v1-shadow"), "the version before stays warm")
    begun = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"previous": {"replacedAt": begun}}
    world.api.patch(MODEL_DEPLOYMENT, world.namespace, "m", {"status": status}, "status")


def scored(world: World, before_wins: float) -> None:
    """Requests of the last hour: who serves is right where the version before is wrong."""
    traffic = Traffic(world, "m-v2", "m-v1", canary_wins=before_wins)
    now = datetime.now(UTC)
    traffic.send([now - timedelta(seconds=7 * i) for i in range(1, 500)])


def test_a_promoted_version_that_does_worse_is_rolled_back_by_itself(world: World) -> None:
    promoted(world)
    scored(world, before_wins=0.9)
    status = world.await_live("m-v1")
    world.await_phase("m-v2", "Rejected")
    assert [(o["version"], o["reason"]) for o in status["outcomes"]] == [("m-v2", "RolledBack")]
    assert "warmUntil" not in status["previous"]
    told = world.events("m")
    assert told[told.index("RollingBack") :] == ["RollingBack", "RolledBack", "Promoted"]
    eventually(lambda: not world.api.find(DEPLOYMENT, world.namespace, "m-v2"), "the bad one goes")
    assert world.metrics()[f'perennial_rollbacks_total{{name="m",namespace="{world.namespace}"}}'] == 1
    assert world.status(MODEL_VERSION, "m-v1")["phase"] == "Live"


def test_a_promoted_version_that_does_better_stays(world: World) -> None:
    promoted(world)
    scored(world, before_wins=0.1)

    def weighed() -> bool:
        evidence = world.status(MODEL_DEPLOYMENT, "m").get("previous", {}).get("evidence", {})
        return bool(evidence.get("harm", 0) > 20)

    eventually(weighed, "the evidence is told")
    status = world.status(MODEL_DEPLOYMENT, "m")
    assert status["stable"]["version"] == "m-v2"
    assert status["previous"]["evidence"]["eValue"] < 1
    assert "RollingBack" not in world.events("m")
