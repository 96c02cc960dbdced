"""What a model's controller writes, and what it leaves alone."""

from datetime import timedelta

import pytest
from tests.unit.controllers.objects_in_memory import ObjectsInMemory
from tests.unit.controllers.served_models import Store, build_failing, condition, put_model, reconcile

from perennial.adapters.cluster import CONFIG_MAP, DEPLOYMENT, MODEL_DEPLOYMENT, SERVICE, ConflictError, Kind
from perennial.controllers.claims import NAME_TAKEN, NOT_GONE_YET
from perennial.controllers.context import Context
from perennial.domain.evidence import StoreUnavailable


@pytest.fixture
def cluster() -> ObjectsInMemory:
    return ObjectsInMemory()


@pytest.fixture
def context(cluster: ObjectsInMemory) -> Context:
    return build_failing(cluster)


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
