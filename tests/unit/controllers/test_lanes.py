"""No more trainings at a time than limits allow: whoever may start, and whenever."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.controllers.objects_in_memory import (
    MODEL,
    NS,
    ObjectsInMemory,
    build_context,
    put_policy,
    put_secret,
)

from perennial.adapters.cluster import JOB, MODEL_DEPLOYMENT, MODEL_VERSION
from perennial.controllers.context import Context
from perennial.controllers.jobs import note_lane
from perennial.controllers.lanes import Lanes
from perennial.controllers.model_version import reconcile_version
from perennial.controllers.objects import parse_version
from perennial.controllers.queue import Key
from perennial.controllers.retrain_policy import reconcile_policy
from perennial.domain.evidence import SampleCounts
from perennial.domain.version import A_LANE


def put_version(cluster: ObjectsInMemory, model: str, policy: str | None = None) -> str:
    if (MODEL_DEPLOYMENT, model) not in cluster.objects:
        cluster.put(MODEL_DEPLOYMENT, model, spec=MODEL)
    trigger = {"trigger": {"policy": policy}} if policy else {}
    cluster.put(MODEL_VERSION, f"{model}-v1", spec={"modelDeployment": model, **trigger})
    return f"{model}-v1"


async def reconcile(context: Context, *names: str) -> list[timedelta | None]:
    return await asyncio.gather(*(reconcile_version(context, Key("ModelVersion", NS, name)) for name in names))


async def _some_counts(*_: object) -> SampleCounts:
    at = datetime(2026, 1, 5, tzinfo=UTC)
    return SampleCounts(1000, 1000, at, at, 1000, at, at)


def status(cluster: ObjectsInMemory, name: str) -> Any:
    return cluster.objects[MODEL_VERSION, name]["status"]


def reason(cluster: ObjectsInMemory, name: str) -> str:
    ready = next(c for c in status(cluster, name)["conditions"] if c["type"] == "Ready")
    return str(ready["reason"])


def end_training(cluster: ObjectsInMemory, name: str, **job: Any) -> None:
    found = status(cluster, name)
    phase = "Training" if job else "Failed"
    job = {**found["job"], "state": "Failed", **job}
    cluster.objects[MODEL_VERSION, name]["status"] = {**found, "phase": phase, "job": job}


@pytest.fixture
def cluster() -> ObjectsInMemory:
    return ObjectsInMemory()


async def test_versions_that_could_not_start_do_not_all_start_at_once(cluster: ObjectsInMemory) -> None:
    context = build_context(cluster)
    put_policy(cluster, limits={"maxParallel": 2})
    names = [put_version(cluster, f"m{i}", "p") for i in range(8)]
    await reconcile(context, *names)
    assert {reason(cluster, name) for name in names} == {"SecretMissing"}
    put_secret(cluster)
    again = await reconcile(context, *names)
    started = cluster.named(JOB)
    assert len(started) == 2
    assert again.count(A_LANE) == 6
    waiting = [name for name in names if f"{name}-a1" not in started]
    assert {reason(cluster, name) for name in waiting} == {"Lane"}
    cluster.calls.clear()
    await reconcile(context, *waiting)
    assert {verb for verb, *_ in cluster.calls} == {"get"}, "who waits writes nothing"
    end_training(cluster, started[0].removesuffix("-a1"))
    await reconcile(context, *names)
    await reconcile(context, *names)
    assert len(cluster.named(JOB)) == 3


async def test_an_attempt_after_a_back_off_waits_for_a_lane(cluster: ObjectsInMemory) -> None:
    context = build_context(cluster)
    put_secret(cluster)
    put_policy(cluster, limits={"maxParallel": 1})
    first, second = put_version(cluster, "a", "p"), put_version(cluster, "b", "p")
    await reconcile(context, first)
    end_training(cluster, first, retryAt="2026-01-05T12:00:00Z", message="out of memory")
    context.lanes.release(NS, first)  # as it does when it begins to back off
    await reconcile(context, second)
    assert await reconcile(context, first) == [A_LANE]
    assert cluster.named(JOB) == ["a-v1-a1", "b-v1-a1"]
    assert reason(cluster, first) == "Lane"
    end_training(cluster, second)
    await reconcile(context, second, first)
    await reconcile(context, first)
    assert cluster.named(JOB) == ["a-v1-a1", "a-v1-a2", "b-v1-a1"]


async def test_versions_by_hand_stay_within_what_the_operator_may_run(cluster: ObjectsInMemory) -> None:
    context = build_context(cluster, max_jobs=3)
    put_secret(cluster)
    put_policy(cluster, limits={"maxParallel": 1})
    names = [put_version(cluster, f"m{i}") for i in range(5)]
    await reconcile(context, *names)
    assert len(cluster.named(JOB)) == 3
    waiting = [name for name in names if f"{name}-a1" not in cluster.named(JOB)]
    assert {reason(cluster, name) for name in waiting} == {"OperatorLimit"}


async def test_what_is_deleted_while_nobody_looks_gives_its_lane_back(cluster: ObjectsInMemory) -> None:
    context = build_context(cluster, max_jobs=1)
    put_secret(cluster)
    name = put_version(cluster, "m")
    await reconcile(context, name)
    assert context.lanes.holds(NS, name)
    del cluster.objects[MODEL_VERSION, name]
    await reconcile(context, name)
    assert not context.lanes.holds(NS, name)


async def test_a_lane_is_free_while_a_version_backs_off(cluster: ObjectsInMemory) -> None:
    context = build_context(cluster, max_jobs=1)
    put_secret(cluster)
    name = put_version(cluster, "m")
    await reconcile(context, name)
    end_training(cluster, name, retryAt="2999-01-05T12:00:00Z")
    await reconcile(context, name)
    assert not context.lanes.holds(NS, name)


async def test_what_trains_counts_when_the_operator_starts_again(cluster: ObjectsInMemory) -> None:
    context = build_context(cluster, max_jobs=1)
    put_secret(cluster)
    name, other = put_version(cluster, "a"), put_version(cluster, "b")
    await reconcile(context, name)
    context = build_context(cluster, max_jobs=1)
    version = parse_version(cluster.objects[MODEL_VERSION, name])
    note_lane(context, version, version.status)
    await reconcile(context, other)
    assert reason(cluster, other) == "OperatorLimit"


async def test_two_policies_that_plan_at_the_same_moment_share_the_slots(
    cluster: ObjectsInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = build_context(cluster, max_jobs=2)
    monkeypatch.setattr("perennial.controllers.model_view._count", _some_counts)
    for desk in ("a", "b"):
        put_policy(cluster, desk, selector={"matchLabels": {"desk": desk}}, limits={"maxParallel": 2})
        for i in range(2):
            cluster.put(MODEL_DEPLOYMENT, f"{desk}{i}", labels={"desk": desk}, spec=MODEL)
    await asyncio.gather(*(reconcile_policy(context, Key("RetrainPolicy", NS, desk)) for desk in ("a", "b")))
    assert len(cluster.named(MODEL_VERSION)) == 2


async def test_a_plan_that_could_not_be_written_gives_its_lanes_back(
    cluster: ObjectsInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = build_context(cluster)
    monkeypatch.setattr("perennial.controllers.model_view._count", _some_counts)
    put_policy(cluster)
    cluster.put(MODEL_DEPLOYMENT, "m", labels={"book": "spot"}, spec=MODEL)

    async def refuse(*_: object) -> None:
        assert context.lanes.holds(NS, "m-v1")
        raise OSError("the API server is gone")

    monkeypatch.setattr(cluster, "replace_status", refuse)
    with pytest.raises(OSError, match="gone"):
        await reconcile_policy(context, Key("RetrainPolicy", NS, "p"))
    assert not context.lanes.holds(NS, "m-v1")


def test_lanes_are_a_policys_and_slots_are_everybodys() -> None:
    lanes = Lanes()
    assert [lanes.take(NS, name, "p", 2, 4) for name in "abc"] == [None, None, "Lane"]
    assert lanes.take("elsewhere", "a", "p", 2, 4) is None
    assert [lanes.take(NS, name, None, None, 4) for name in "xyz"] == [None, "OperatorLimit", "OperatorLimit"]
    assert lanes.take(NS, "a", "p", 1, 1) is None, "who has a lane keeps it"
    lanes.release(NS, "a")
    assert lanes.take(NS, "y", None, None, 4) is None


def test_a_plan_leaves_the_slots_to_those_who_wait_for_one() -> None:
    lanes = Lanes()
    assert [lanes.take(NS, name, None, None, 1) for name in "ab"] == [None, "OperatorLimit"]
    assert lanes.busy(NS, ()) == 2
    lanes.release(NS, "b")
    assert lanes.busy(NS, ()) == 1
    assert lanes.busy(NS, {"a"}) == 0, "its own next version, which a listing may not show yet"
    assert lanes.busy("elsewhere", {"a"}) == 1
