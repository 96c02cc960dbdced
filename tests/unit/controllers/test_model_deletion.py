"""A model that is deleted: what takes traffic beside the stable version goes first, and then the model."""

import pytest
from tests.unit.controllers.objects_in_memory import MODEL, ObjectsInMemory
from tests.unit.controllers.served_models import begin_canary, build_failing, put_model, reconcile

from perennial.adapters.cluster import DEPLOYMENT, MODEL_DEPLOYMENT, Kind
from perennial.controllers.context import Context
from perennial.resources.names import FINALIZER


class Slow(ObjectsInMemory):
    """What is deleted is there until it is let go, as a Deployment is whose pods drain."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def delete(self, kind: Kind, _: str, name: str, uid: str | None = None) -> None:
        if (kind, name) in self.objects:
            self.asked.append(f"{kind.kind} {name}")
            self.objects[kind, name]["metadata"]["deletionTimestamp"] = "2026-01-05T12:00:00Z"


@pytest.fixture
def cluster() -> Slow:
    return Slow()


@pytest.fixture
def context(cluster: Slow) -> Context:
    return build_failing(cluster)


def finalizers(cluster: Slow) -> list[str]:
    found: list[str] = cluster.objects[MODEL_DEPLOYMENT, "m"]["metadata"]["finalizers"]
    return found


async def test_the_canary_goes_first_and_the_model_only_after_it(cluster: Slow, context: Context) -> None:
    put_model(cluster)
    cluster.objects[MODEL_DEPLOYMENT, "m"]["spec"] = {**MODEL, "server": {"replicas": 2}, "canary": {"steps": [0.5]}}
    await begin_canary(cluster, context)
    await reconcile(context)
    assert cluster.named(DEPLOYMENT) == ["m-v1", "m-v2", "m-v2-shadow"]
    theirs = ["of-another-controller"]
    metadata = cluster.objects[MODEL_DEPLOYMENT, "m"]["metadata"]
    metadata |= {"deletionTimestamp": "2026-01-05T12:00:00Z", "finalizers": [*theirs, FINALIZER]}

    for _ in range(3):
        assert await reconcile(context) is not None, "it looks again"
        assert finalizers(cluster) == [*theirs, FINALIZER], "the canary is there still"
    status = cluster.objects[MODEL_DEPLOYMENT, "m"]["status"]
    assert [(o["version"], o["reason"]) for o in status["outcomes"]] == [("m-v2", "Deleted")]
    assert status["stable"]["weight"] == 1
    deployments = {name for name in cluster.asked if name.startswith("Deployment")}
    assert deployments == {"Deployment m-v2", "Deployment m-v2-shadow"}

    del cluster.objects[DEPLOYMENT, "m-v2"]
    await reconcile(context)
    assert finalizers(cluster) == [*theirs, FINALIZER]
    del cluster.objects[DEPLOYMENT, "m-v2-shadow"]
    assert await reconcile(context) is None
    assert finalizers(cluster) == theirs
    assert cluster.named(DEPLOYMENT) == ["m-v1"], "it goes with its owner"
    assert "deletionTimestamp" not in cluster.objects[DEPLOYMENT, "m-v1"]["metadata"]
