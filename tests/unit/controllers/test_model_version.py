"""What a version's controller says of it, and what it gives back when it cannot go on."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.controllers.objects_in_memory import (
    NS,
    Object,
    ObjectsInMemory,
    build_context,
    untrained,
)

from perennial.adapters.cluster import JOB, MODEL_VERSION
from perennial.controllers.context import Context
from perennial.controllers.model_version import reconcile_version
from perennial.controllers.objects import parse_version, view_version
from perennial.controllers.queue import Key
from perennial.domain.evidence import StoreError, StoreMisconfigured, StoreUnavailable

KEY = Key("ModelVersion", NS, "m-v1")


class Store:
    """A store whose reports cannot be read."""

    def __init__(self, error: StoreError) -> None:
        self.error = error

    def at(self, _: str) -> "Store":
        return self

    async def read_report(self, _: str) -> None:
        raise self.error


@pytest.fixture
def cluster() -> ObjectsInMemory:
    return untrained()


@pytest.fixture
def context(cluster: ObjectsInMemory) -> Context:
    return build_context(cluster)


def status(cluster: ObjectsInMemory) -> Any:
    return cluster.objects[MODEL_VERSION, "m-v1"]["status"]


def conditions(cluster: ObjectsInMemory) -> dict[str, Object]:
    return {c["type"]: c for c in status(cluster)["conditions"]}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"modelDeployment": "m", "training": {"seed": 7}}, "SpecChanged"),
        ({"modelDeployment": "m", "training": {"seed": "seven"}}, "InvalidSpec"),
    ],
)
async def test_a_version_that_is_looked_at_no_more_holds_no_lane(
    cluster: ObjectsInMemory, context: Context, spec: Object, reason: str
) -> None:
    await reconcile_version(context, KEY)
    assert context.lanes.holds(NS, "m-v1")
    declared = cluster.objects[MODEL_VERSION, "m-v1"]["spec"]
    cluster.objects[MODEL_VERSION, "m-v1"]["spec"] = spec
    await reconcile_version(context, KEY)
    assert conditions(cluster)["Stalled"]["reason"] == reason
    assert not context.lanes.holds(NS, "m-v1")
    cluster.objects[MODEL_VERSION, "m-v1"]["spec"] = declared
    await reconcile_version(context, KEY)
    assert "Stalled" not in conditions(cluster)
    assert context.lanes.holds(NS, "m-v1"), "its Job runs still"


@pytest.mark.parametrize(
    ("error", "type_", "reason"),
    [
        (StoreMisconfigured("samples", "model_reports", "run init"), "Stalled", "StoreMisconfigured"),
        (StoreUnavailable("samples URL", "timeout", "wait"), "Reconciling", "StoreUnavailable"),
    ],
    ids=["a person has to change something", "it heals by itself"],
)
async def test_a_report_that_cannot_be_read_says_whether_to_wait(
    cluster: ObjectsInMemory, context: Context, error: StoreError, type_: str, reason: str
) -> None:
    await reconcile_version(context, KEY)
    ended = {"type": "Complete", "status": "True"}
    cluster.objects[JOB, "m-v1-a1"]["status"] = {"conditions": [ended]}
    context.stores = Store(error)  # type: ignore[assignment] # a stand-in
    again = await reconcile_version(context, KEY)
    assert again is not None, "either way it is tried again"
    assert {"Stalled", "Reconciling"} & conditions(cluster).keys() == {type_}
    told = conditions(cluster)[type_]
    assert (told["reason"], told["message"]) == (
        reason,
        f"m-v1-a1 ended, but its report cannot be read: {error}",
    )


async def test_what_has_no_effect_is_named_on_a_version_too(cluster: ObjectsInMemory, context: Context) -> None:
    await reconcile_version(context, KEY)
    assert "NotImplemented" not in conditions(cluster)
    promotion = {"metric": {"type": "Composite"}}
    cluster.put(MODEL_VERSION, "m-v1", spec={"modelDeployment": "m", "promotion": promotion})
    await reconcile_version(context, KEY)
    assert "spec.promotion.metric.type: Composite" in conditions(cluster)["NotImplemented"]["message"]


@pytest.mark.parametrize(
    ("verb", "phase", "approval"), [("approve", "Evaluated", "Approved"), ("reject", "Rejected", "Rejected")]
)
@pytest.mark.parametrize(("value", "acknowledged"), [("yes", "yes"), ("", "(empty)")])
async def test_an_annotation_counts_whatever_its_value(
    cluster: ObjectsInMemory, context: Context, verb: str, phase: str, approval: str, value: str, acknowledged: str
) -> None:
    context.now = lambda: datetime(2026, 1, 5, 12, tzinfo=UTC)
    spec = {"modelDeployment": "m", "promotion": {"approval": "Required"}}
    annotations = {f"perennial.dev/{verb}": value}
    evaluated = {"phase": "Evaluated", "evaluatedAt": "2026-01-05T11:00:00Z"}
    cluster.put(MODEL_VERSION, "m-v1", spec=spec, status=evaluated, metadata={"annotations": annotations})
    await reconcile_version(context, KEY)
    assert (status(cluster)["phase"], status(cluster)["approval"]) == (phase, approval)
    await reconcile_version(context, KEY)
    assert status(cluster)["acknowledged"] == {verb: acknowledged}


@pytest.mark.parametrize(("value", "acknowledged"), [("now", "now"), ("", "(empty)")])
@pytest.mark.parametrize("verb", ["abort", "promote"])
def test_a_rollout_is_told_of_an_annotation_until_it_is_acknowledged(
    cluster: ObjectsInMemory, verb: str, value: str, acknowledged: str
) -> None:
    annotations = {f"perennial.dev/{verb}": value}
    body = cluster.put(MODEL_VERSION, "m-v2", spec={"modelDeployment": "m"}, metadata={"annotations": annotations})
    assert view_version(parse_version(body)).asked == verb
    body["status"] = {"acknowledged": {verb: acknowledged}}
    assert view_version(parse_version(body)).asked is None
