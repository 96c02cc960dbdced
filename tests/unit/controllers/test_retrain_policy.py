"""What a policy creates, and what it knows of the store."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.controllers.objects_in_memory import MODEL, NS, Object, ObjectsInMemory, build_context, put_policy

from perennial.adapters.cluster import MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY
from perennial.controllers.context import Context
from perennial.controllers.model_version import reconcile_version
from perennial.controllers.queue import Key
from perennial.controllers.retrain_policy import reconcile_policy
from perennial.domain.evidence import SampleCounts

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
POLICY = Key("RetrainPolicy", NS, "p")


class Counts:
    """What is counted: it can be taken away."""

    def __init__(self) -> None:
        self.found: SampleCounts | None = SampleCounts(1000, 1000, NOW, NOW, 1000, NOW, NOW)
        self.asked = 0

    async def __call__(self, *_: object) -> SampleCounts | None:
        self.asked += 1
        return self.found


@pytest.fixture
def cluster() -> ObjectsInMemory:
    """A model without a version, and its policy."""
    found = ObjectsInMemory()
    put_policy(found)
    found.put(MODEL_DEPLOYMENT, "m", labels={"book": "spot"}, spec=MODEL)
    return found


@pytest.fixture
def context(cluster: ObjectsInMemory) -> Context:
    """What its controller works with."""
    found = build_context(cluster)
    found.now = lambda: NOW
    return found


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """The store that it asks."""
    found = Counts()
    monkeypatch.setattr("perennial.controllers.model_view._count", found)
    return found


@pytest.mark.usefixtures("counts")
@pytest.mark.parametrize(
    "spec",
    [
        {"modelDeployment": "m", "training": {"seed": "none"}},
        {"modelDeployment": "other"},
        {"modelDeployment": ["m"]},
        {},
    ],
    ids=["invalid", "of another model", "of no model that can be told", "of none"],
)
async def test_a_plan_goes_round_a_name_that_is_taken(
    cluster: ObjectsInMemory, context: Context, spec: dict[str, Any]
) -> None:
    cluster.put(MODEL_VERSION, "m-v1", spec=spec)
    for _ in range(2):
        await reconcile_version(context, Key("ModelVersion", NS, "m-v1"))
        await reconcile_policy(context, POLICY)
    assert cluster.named(MODEL_VERSION) == ["m-v1", "m-v2"]
    conditions = cluster.objects[MODEL_VERSION, "m-v1"]["status"]["conditions"]
    assert any(c["type"] == "Stalled" for c in conditions)
    assert not context.lanes.holds(NS, "m-v1")
    assert context.lanes.holds(NS, "m-v2")


async def test_an_invalid_version_belongs_to_the_model_that_it_names(
    cluster: ObjectsInMemory, context: Context
) -> None:
    cluster.put(MODEL_VERSION, "m-v1", spec={"modelDeployment": "m", "training": {"seed": "none"}})
    await reconcile_version(context, Key("ModelVersion", NS, "m-v1"))
    metadata = cluster.objects[MODEL_VERSION, "m-v1"]["metadata"]
    assert metadata["labels"]["perennial.dev/model"] == "m"
    assert [owner["name"] for owner in metadata["ownerReferences"]] == ["m"]


def _jobs(cluster: ObjectsInMemory) -> list[Object]:
    found: list[Object] = cluster.objects[RETRAIN_POLICY, "p"]["status"].get("plan", {}).get("jobs", [])
    return found


async def test_a_count_serves_for_an_interval_while_the_store_answers(
    cluster: ObjectsInMemory, context: Context, counts: Counts
) -> None:
    put_policy(cluster, suspend=True)
    for _ in range(3):
        await reconcile_policy(context, POLICY)
    assert counts.asked == 1
    context.now = lambda: NOW + timedelta(minutes=6)
    await reconcile_policy(context, POLICY)
    assert counts.asked == 2


async def test_what_was_counted_is_not_believed_once_the_store_is_gone(
    cluster: ObjectsInMemory, context: Context, counts: Counts
) -> None:
    put_policy(cluster, mode="Advisory")
    await reconcile_policy(context, POLICY)
    assert [job["waitingFor"] for job in _jobs(cluster)] == ["Advisory"]
    counts.found = None
    unknown = {"type": "StoreReady", "status": "Unknown", "reason": "StoreUnavailable", "message": ""}
    stamp = {"lastTransitionTime": "2026-01-05T12:00:00Z", "observedGeneration": 1}
    cluster.objects[MODEL_DEPLOYMENT, "m"]["status"] = {"conditions": [{**unknown, **stamp}]}
    await reconcile_policy(context, POLICY)
    assert [job["waitingFor"] for job in _jobs(cluster)] == ["StoreUnavailable"]
    counts.found = Counts().found
    del cluster.objects[MODEL_DEPLOYMENT, "m"]["status"]
    await reconcile_policy(context, POLICY)
    assert [job["waitingFor"] for job in _jobs(cluster)] == ["Advisory"], "nor is it believed that it is gone still"


@pytest.mark.usefixtures("counts")
@pytest.mark.parametrize(("value", "token"), [("monday", "monday"), ("", "(empty)")])
async def test_an_annotation_asks_once_whatever_its_value(
    cluster: ObjectsInMemory, context: Context, value: str, token: str
) -> None:
    put_policy(cluster, suspend=True)
    cluster.objects[RETRAIN_POLICY, "p"]["metadata"]["annotations"] = {"perennial.dev/retrain": value}
    await reconcile_policy(context, POLICY)
    assert [job["reason"] for job in _jobs(cluster)] == ["RetrainRequested"]
    assert cluster.objects[RETRAIN_POLICY, "p"]["status"]["retrainToken"] == token
    cluster.objects[RETRAIN_POLICY, "p"]["status"].pop("plan")
    await reconcile_policy(context, POLICY)
    assert [job["reason"] for job in _jobs(cluster)] == ["NoVersion"], "it was acted on"
