"""A canary in its model's status and pods: what holds it, what it gets to score with, what ends it."""

from typing import Any

import pytest
from tests.unit.controllers.objects_in_memory import MODEL, Object, ObjectsInMemory
from tests.unit.controllers.served_models import Store, begin_canary, build_failing, condition, put_model, reconcile

from perennial.adapters.cluster import DEPLOYMENT, MODEL_DEPLOYMENT
from perennial.api.model_deployment import ModelDeploymentSpec, Server
from perennial.api.validation import parse_spec
from perennial.controllers.context import Context
from perennial.controllers.model_deployment import canary_cause
from perennial.domain.evidence import StoreError, StoreMisconfigured, StoreUnavailable


@pytest.fixture
def cluster() -> ObjectsInMemory:
    return ObjectsInMemory()


@pytest.fixture
def context(cluster: ObjectsInMemory) -> Context:
    return build_failing(cluster)


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
    await begin_canary(cluster, context)
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
    await begin_canary(cluster, context)
    await reconcile(context)
    deployments = {name: cluster.objects[DEPLOYMENT, name] for name in cluster.named(DEPLOYMENT)}
    pods = {d["metadata"]["labels"]["perennial.dev/track"]: d["spec"]["replicas"] for d in deployments.values()}
    assert pods == {"live": 1, "shadow": 3}, "of one stable pod, a tenth is none"


EXPLICIT: Object = {
    **MODEL,
    "samples": {**MODEL["samples"], "table": "samples", "outcomes": "All", "recordedBy": "Server"},
    "decision": {"rule": "Direction", "threshold": 0.5},
    "server": {"replicas": 1, "port": 8080},
}


@pytest.mark.parametrize(
    ("changed", "ended"),
    [
        (EXPLICIT, []),
        ({**MODEL, "server": {"replicas": 2}}, []),
        ({**MODEL, "canary": {"minReplicas": 2}}, []),
        ({**MODEL, "server": {"port": 9090}}, ["SpecChanged"]),
        ({**MODEL, "decision": {"threshold": 0.6}}, ["SpecChanged"]),
        ({**MODEL, "samples": {**MODEL["samples"], "labelDelay": "2h"}}, ["SpecChanged"]),
        ({**MODEL, "algorithm": {"name": "lightgbm"}}, ["SpecChanged"]),
    ],
    ids=["defaults written out", "more pods", "more to score with", "server", "decision", "samples", "algorithm"],
)
async def test_a_canary_ends_with_what_it_stands_on(
    cluster: ObjectsInMemory, context: Context, changed: Object, ended: list[str]
) -> None:
    put_model(cluster)
    await begin_canary(cluster, context)
    cluster.objects[MODEL_DEPLOYMENT, "m"]["spec"] = changed
    await reconcile(context)
    status = cluster.objects[MODEL_DEPLOYMENT, "m"]["status"]
    assert [outcome["reason"] for outcome in status.get("outcomes", [])] == ended
    assert ("canary" in status) is (not ended)


class LaterServer(Server):
    """Of a release that has a field more."""

    surge: int = 1


def test_a_field_that_a_release_adds_ends_no_canary() -> None:
    spec = parse_spec(ModelDeploymentSpec, EXPLICIT)

    def later(**server: Any) -> str:
        declared = {**EXPLICIT["server"], **server}
        return canary_cause(spec.model_copy(update={"server": parse_spec(LaterServer, declared)}))

    assert later() == canary_cause(spec)
    assert later(surge=2) != canary_cause(spec)
