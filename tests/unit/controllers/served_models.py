"""Models that serve a version, and canaries, for controllers to look at; a store that fails as one chooses."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.controllers.objects_in_memory import MODEL, NS, Object, ObjectsInMemory, build_context, put_secret

from perennial.adapters.cluster import MODEL_DEPLOYMENT, MODEL_VERSION
from perennial.controllers.context import Context
from perennial.controllers.model_deployment import reconcile_model
from perennial.controllers.queue import Key
from perennial.domain.evidence import StoreError, StoreUnavailable

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
RESOLVED: Object = {
    "revision": 1,
    "algorithm": {"name": "xgboost"},
    "samples": {"labelDelay": "1h"},
    "decision": {},
    "artifacts": {"claimName": "models"},
    "training": {},
    "promotion": {},
    "startedAt": "2026-01-05T11:00:00Z",
}
ARTIFACT = {"uri": "file:///artifacts/a", "digest": f"sha256:{'0' * 64}"}


class Store:
    """Every look fails in its own way."""

    def __init__(self, pairs: StoreError) -> None:
        self.pairs = pairs
        self.looked_at_health = 0

    def at(self, _: str) -> "Store":
        return self

    async def check(self, *_: object) -> None:
        """Everything is there."""

    async def observe_pairs(self, *_: object, **__: object) -> None:
        raise self.pairs

    async def observe_health(self, *_: object, **__: object) -> None:
        self.looked_at_health += 1
        raise StoreUnavailable("samples URL", "timeout", "see that the database runs")

    async def observe_counts(self, *_: object, **__: object) -> None:
        raise StoreUnavailable("samples URL", "timeout", "see that the database runs")


def put_model(cluster: ObjectsInMemory, name: str = "m", **status: Any) -> None:
    """A model whose first version serves."""
    cluster.put(MODEL_DEPLOYMENT, name, spec=MODEL)
    cluster.put(
        MODEL_VERSION,
        f"{name}-v1",
        labels={"perennial.dev/model": name},
        spec={"modelDeployment": name},
        status={"phase": "Live", "resolved": RESOLVED, "artifact": ARTIFACT},
    )
    uid = cluster.objects[MODEL_VERSION, f"{name}-v1"]["metadata"]["uid"]
    stable = {"version": f"{name}-v1", "uid": uid, "weight": 1.0}
    cluster.objects[MODEL_DEPLOYMENT, name]["status"] = {"stable": stable, **status}


def condition(cluster: ObjectsInMemory, type_: str, model: str = "m") -> Object:
    """A model's condition; empty when it has none of that type."""
    found = cluster.objects[MODEL_DEPLOYMENT, model]["status"]["conditions"]
    return next((c for c in found if c["type"] == type_), {})


async def reconcile(context: Context, name: str = "m") -> timedelta | None:
    """One look at a model."""
    return await reconcile_model(context, Key("ModelDeployment", NS, name))


def build_failing(cluster: ObjectsInMemory) -> Context:
    """What the controller works with; the store is away."""
    put_secret(cluster)
    found = build_context(cluster)
    found.now = lambda: NOW
    found.stores = Store(StoreUnavailable("a", "b", "c"))  # type: ignore[assignment] # a stand-in
    return found


async def begin_canary(cluster: ObjectsInMemory, context: Context) -> None:
    """A challenger of the version that serves goes into its canary."""
    cluster.put(
        MODEL_VERSION,
        "m-v2",
        labels={"perennial.dev/model": "m"},
        metadata={"uid": "uid-canary"},
        spec={"modelDeployment": "m"},
        status={
            "phase": "Evaluated",
            "resolved": {**RESOLVED, "revision": 2, "champion": _champion(cluster)},
            "artifact": ARTIFACT,
            "verdict": {"decision": "Canary", "reason": "R", "message": "", "at": "2026-01-05T11:00:00Z"},
        },
    )
    await reconcile(context)
    assert cluster.objects[MODEL_DEPLOYMENT, "m"]["status"]["canary"]["version"] == "m-v2"


def _champion(cluster: ObjectsInMemory) -> Object:
    return {"name": "m-v1", "uid": cluster.objects[MODEL_VERSION, "m-v1"]["metadata"]["uid"], "artifact": ARTIFACT}
