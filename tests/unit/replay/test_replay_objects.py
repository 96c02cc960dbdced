"""The simulated cluster answers as an API server does."""

from datetime import UTC, datetime

import pytest

from perennial.adapters.cluster import EVENT, JOB, MODEL_DEPLOYMENT, MODEL_VERSION, ConflictError, NotFoundError, Object
from perennial.replay.objects import SimulatedCluster

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def body(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"x": 1}}


@pytest.fixture
def cluster() -> SimulatedCluster:
    return SimulatedCluster(lambda: NOW)


async def test_a_name_is_taken_once(cluster: SimulatedCluster) -> None:
    assert await cluster.create(MODEL_VERSION, "ns", body("m-v1"))
    assert not await cluster.create(MODEL_VERSION, "ns", body("m-v1"))
    assert await cluster.create(MODEL_VERSION, "other", body("m-v1"))
    found = await cluster.get(MODEL_VERSION, "ns", "m-v1")
    assert found is not None
    assert found["metadata"]["creationTimestamp"].startswith("2024-01-01T00:00:00")


async def test_a_write_on_what_somebody_else_changed_is_refused(cluster: SimulatedCluster) -> None:
    await cluster.create(MODEL_DEPLOYMENT, "ns", body("m"))
    old = await cluster.get(MODEL_DEPLOYMENT, "ns", "m")
    assert old is not None
    await cluster.replace_status(MODEL_DEPLOYMENT, old, {"phase": "Stable"})
    with pytest.raises(ConflictError):
        await cluster.replace_status(MODEL_DEPLOYMENT, old, {"phase": "Canary"})
    version = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}}
    with pytest.raises(ConflictError):
        await cluster.patch(MODEL_DEPLOYMENT, "ns", "m", version)
    with pytest.raises(NotFoundError):
        await cluster.patch(MODEL_DEPLOYMENT, "ns", "none", {})
    assert "status" not in old, "what was handed out does not change"


async def test_patches_merge_and_null_removes(cluster: SimulatedCluster) -> None:
    await cluster.create(MODEL_DEPLOYMENT, "ns", body("m", a="1", b="2"))
    changed = await cluster.patch(MODEL_DEPLOYMENT, "ns", "m", {"metadata": {"labels": {"a": None, "c": "3"}}})
    assert changed["metadata"]["labels"] == {"b": "2", "c": "3"}
    assert changed["spec"] == {"x": 1}


async def test_what_is_owned_goes_with_its_owner(cluster: SimulatedCluster) -> None:
    gone: list[str] = []
    cluster.listeners.append(lambda kind, found, left: gone.append(found["metadata"]["name"]) if left else None)
    await cluster.create(MODEL_VERSION, "ns", body("m-v1"))
    owner = await cluster.get(MODEL_VERSION, "ns", "m-v1")
    assert owner is not None
    job = body("m-v1-a1")
    job["metadata"]["ownerReferences"] = [{"uid": owner["metadata"]["uid"]}]
    await cluster.create(JOB, "ns", job)
    await cluster.delete(MODEL_VERSION, "ns", "m-v1", "another uid")
    assert gone == []
    await cluster.delete(MODEL_VERSION, "ns", "m-v1", owner["metadata"]["uid"])
    assert gone == ["m-v1", "m-v1-a1"]
    assert await cluster.list(JOB, None) == []


async def test_lists_heed_namespace_and_selector(cluster: SimulatedCluster) -> None:
    await cluster.create(MODEL_DEPLOYMENT, "ns", body("a", book="spot"))
    await cluster.create(MODEL_DEPLOYMENT, "ns", body("b", book="futures"))
    await cluster.create(MODEL_DEPLOYMENT, "other", body("c", book="spot"))

    async def names(namespace: str | None, selector: str | dict[str, str] = "") -> list[str]:
        return [found["metadata"]["name"] for found in await cluster.list(MODEL_DEPLOYMENT, namespace, selector)]

    assert await names(None) == ["a", "b", "c"]
    assert await names("ns", {"book": "spot"}) == ["a"]
    assert await names(None, "book in (spot,options)") == ["a", "c"]
    assert await names("ns", "book notin (spot),!desk") == ["b"]


async def test_events_are_told_of_and_not_kept(cluster: SimulatedCluster) -> None:
    told: list[str] = []
    cluster.listeners.append(lambda kind, found, _: told.append(found["reason"]) if kind is EVENT else None)
    assert await cluster.create(EVENT, "ns", {"metadata": {"name": "e"}, "reason": "Promoted"})
    assert told == ["Promoted"]
    assert await cluster.list(EVENT, None) == []
