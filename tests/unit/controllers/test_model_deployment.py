"""What a model's controller writes, and what it leaves alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.controllers.objects_in_memory import MODEL, NS, Object, ObjectsInMemory, build_context, put_secret

from perennial.adapters.cluster import (
    CONFIG_MAP,
    DEPLOYMENT,
    MODEL_DEPLOYMENT,
    MODEL_VERSION,
    SERVICE,
    ConflictError,
    Kind,
)
from perennial.controllers.claims import NAME_TAKEN, NOT_GONE_YET
from perennial.controllers.context import Context
from perennial.controllers.model_deployment import reconcile_model
from perennial.controllers.queue import Key
from perennial.domain.evidence import StoreError, StoreMisconfigured, StoreUnavailable

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
    found = cluster.objects[MODEL_DEPLOYMENT, model]["status"]["conditions"]
    return next((c for c in found if c["type"] == type_), {})


async def reconcile(context: Context, name: str = "m") -> timedelta | None:
    return await reconcile_model(context, Key("ModelDeployment", NS, name))


@pytest.fixture
def cluster() -> ObjectsInMemory:
    found = ObjectsInMemory()
    put_secret(found)
    return found


@pytest.fixture
def context(cluster: ObjectsInMemory) -> Context:
    found = build_context(cluster)
    found.now = lambda: NOW
    found.stores = Store(StoreUnavailable("a", "b", "c"))  # type: ignore[assignment] # a stand-in
    return found


async def test_what_serves_is_made_once(cluster: ObjectsInMemory, context: Context) -> None:
    put_model(cluster)
    for _ in range(3):
        await reconcile(context)
    assert cluster.named(SERVICE) == ["m", "m-canary", "m-stable"]
    assert (cluster.named(DEPLOYMENT), cluster.named(CONFIG_MAP)) == (["m-v1"], ["m-v1-server"])
    assert sum(verb == "apply" for verb, *_ in cluster.calls) == 5


@pytest.mark.parametrize(
    ("kind", "name"),
    [(SERVICE, "m"), (SERVICE, "m-canary"), (DEPLOYMENT, "m-v1"), (CONFIG_MAP, "m-v1-server")],
)
@pytest.mark.parametrize("labelled", [False, True], ids=["bare", "with our label"])
async def test_what_somebody_else_made_is_told_of_and_left_alone(
    cluster: ObjectsInMemory, context: Context, kind: Kind, name: str, labelled: bool
) -> None:
    put_model(cluster)
    before = cluster.put(kind, name, labels={"perennial.dev/model": "m"} if labelled else {}, spec={"theirs": True})
    assert await reconcile(context) == timedelta(0)
    again = await reconcile(context)
    assert again is not None
    assert again <= NAME_TAKEN
    assert cluster.objects[kind, name] is before
    told = condition(cluster, "Stalled")
    assert told["reason"] == "NameTaken"
    assert told["message"].startswith(f"{kind.kind} {name} was not made for ModelDeployment m: rename or delete it")
    del cluster.objects[kind, name]
    await reconcile(context)
    await reconcile(context)
    assert condition(cluster, "Stalled") == {}
    assert (kind, name) in cluster.objects


async def test_two_models_do_not_fight_for_a_service(cluster: ObjectsInMemory, context: Context) -> None:
    put_model(cluster, "x")
    put_model(cluster, "x-canary")
    for _ in range(2):
        await reconcile(context, "x")
        await reconcile(context, "x-canary")
    assert condition(cluster, "Stalled", "x") == {}
    assert condition(cluster, "Stalled", "x-canary")["message"].startswith(
        "Service x-canary of ModelDeployment x was not made for ModelDeployment x-canary"
    )
    cluster.calls.clear()
    await reconcile(context, "x")
    await reconcile(context, "x-canary")
    assert {verb for verb, *_ in cluster.calls} <= {"get", "list"}


async def test_what_an_earlier_model_of_the_name_left_is_waited_for(cluster: ObjectsInMemory, context: Context) -> None:
    put_model(cluster)
    owner = {"ownerReferences": [{"kind": "ModelDeployment", "name": "m", "uid": "before"}]}
    before = cluster.put(SERVICE, "m", labels={"perennial.dev/model": "m"}, metadata=owner)
    assert await reconcile(context) == NOT_GONE_YET
    assert cluster.objects[SERVICE, "m"] is before
    assert condition(cluster, "Stalled") == {}


async def test_what_a_model_left_behind_is_taken_in_again(cluster: ObjectsInMemory, context: Context) -> None:
    put_model(cluster)
    cluster.put(SERVICE, "m", labels={"perennial.dev/model": "m", "app.kubernetes.io/managed-by": "perennial"}, spec={})
    await reconcile(context)
    uid = cluster.objects[MODEL_DEPLOYMENT, "m"]["metadata"]["uid"]
    assert cluster.objects[SERVICE, "m"]["metadata"]["ownerReferences"][0]["uid"] == uid


async def test_what_must_not_run_goes_though_a_name_is_taken(cluster: ObjectsInMemory, context: Context) -> None:
    put_model(cluster)
    await reconcile(context)
    gone = cluster.objects[DEPLOYMENT, "m-v1"]
    labels = {**gone["metadata"]["labels"], "perennial.dev/version": "m-v0"}
    cluster.put(
        DEPLOYMENT,
        "m-v0",
        labels=labels,
        metadata={"ownerReferences": gone["metadata"]["ownerReferences"]},
        spec={"replicas": 1},
    )
    cluster.put(SERVICE, "m-canary", spec={"theirs": True}, metadata={"ownerReferences": []})
    await reconcile(context)
    assert cluster.named(DEPLOYMENT) == ["m-v1"]


CANARY: Object = {
    "version": "m-v2",
    "uid": "uid-canary",
    "weight": 0.1,
    "startedAt": "2026-01-05T11:00:00Z",
    "stepStartedAt": "2026-01-05T11:00:00Z",
}
FAILURES = [
    (
        StoreMisconfigured("spec.samples.predictionsTable", "predictions", "has no column score: add it"),
        ("False", "StoreMisconfigured"),
        "spec.samples.predictionsTable: predictions: has no column score: add it",
    ),
    (
        StoreUnavailable("samples URL", "statement timeout", "add the index"),
        ("Unknown", "StoreUnavailable"),
        "samples URL: statement timeout: add the index",
    ),
]


@pytest.mark.parametrize(("error", "says", "message"), FAILURES, ids=["misconfigured", "unavailable"])
async def test_what_keeps_a_canarys_evidence_away_is_told(
    cluster: ObjectsInMemory, context: Context, error: StoreError, says: tuple[str, str], message: str
) -> None:
    put_model(cluster)
    context.stores = Store(error)  # type: ignore[assignment] # a stand-in
    await _begin_canary(cluster, context)
    for _ in range(2):
        await reconcile(context)
        canary = cluster.objects[MODEL_DEPLOYMENT, "m"]["status"]["canary"]
        assert (canary["state"], canary["weight"]) == ("Held", 0.1)
        assert canary["message"] == f"weight holds: {message}"
        ready = condition(cluster, "StoreReady")
        assert ((ready["status"], ready["reason"]), ready["message"]) == (says, message)
    told = [body["reason"] for (kind, _), body in cluster.objects.items() if kind.kind == "Event"]
    assert told.count(says[1]) == 1


async def test_a_canary_gets_the_pods_to_score_with_that_are_asked_for(
    cluster: ObjectsInMemory, context: Context
) -> None:
    put_model(cluster)
    cluster.objects[MODEL_DEPLOYMENT, "m"]["spec"] = {**MODEL, "canary": {"minReplicas": 3}}
    await _begin_canary(cluster, context)
    await reconcile(context)
    deployments = {name: cluster.objects[DEPLOYMENT, name] for name in cluster.named(DEPLOYMENT)}
    pods = {d["metadata"]["labels"]["perennial.dev/track"]: d["spec"]["replicas"] for d in deployments.values()}
    assert pods == {"live": 1, "shadow": 3}, "of one stable pod, a tenth is none"


async def _begin_canary(cluster: ObjectsInMemory, context: Context) -> None:
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


async def test_a_look_at_health_that_could_not_be_written_is_made_again(
    cluster: ObjectsInMemory, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_model(cluster)
    store = Store(StoreUnavailable("a", "b", "c"))
    context.stores = store  # type: ignore[assignment] # a stand-in

    async def conflict(*_: object) -> None:
        raise ConflictError(409, "m")

    with monkeypatch.context() as patched:
        patched.setattr(cluster, "replace_status", conflict)
        with pytest.raises(ConflictError):
            await reconcile(context)
    for _ in range(2):
        await reconcile(context)
    assert store.looked_at_health == 2
