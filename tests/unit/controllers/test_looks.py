"""What the store's looks become in a model's status."""

from datetime import UTC, datetime

import pytest
from tests.unit.controllers.objects_in_memory import MODEL, Object, ObjectsInMemory, build_context

from perennial.adapters.cluster import MODEL_DEPLOYMENT
from perennial.controllers.looks import StoreState, observe_canary
from perennial.controllers.objects import parse_model
from perennial.domain.canary import CanaryLook, decide_canary
from perennial.domain.evidence import PairLook
from perennial.domain.traffic import PodsView

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
AT = "2026-01-05T11:00:00Z"
STATUS: Object = {
    "stable": {"version": "m-v1", "uid": "u1", "weight": 0.9},
    "canary": {"version": "m-v2", "uid": "u2", "weight": 0.1, "startedAt": AT, "stepStartedAt": AT},
}


class Store:
    """So many live predictions by version, and what it was asked."""

    def __init__(self, **live: int) -> None:
        self.live = live
        self.asked: Object = {}

    async def observe_pairs(self, *_: object, **asked: object) -> PairLook:
        self.asked = asked
        counts = {"paired": 0, "stable_scored": 0, "canary_scored": 0, "resolved_since": 0}
        return PairLook((), (), **counts, live_by_version=self.live)


@pytest.mark.parametrize(
    ("live", "weight"),
    [
        ({"u1": 90, "u2": 10}, 0.1),
        ({"u1": 667, "u2": 333}, 0.33),
        ({"u1": 0, "u2": 7}, 1.0),
        ({"u1": 7, "u2": 0}, 0.0),
        ({"u1": 0, "u2": 0}, None),
    ],
    ids=["as declared", "to a hundredth", "all", "in the shadow alone", "no traffic"],
)
async def test_a_canarys_weight_is_what_it_answered_since_its_step_began(
    live: dict[str, int], weight: float | None
) -> None:
    cluster = ObjectsInMemory()
    model = parse_model(cluster.put(MODEL_DEPLOYMENT, "m", spec=MODEL, status=STATUS))
    canary, store = model.status.canary, Store(**live)
    assert canary is not None
    assert model.spec is not None
    state = StoreState(store)  # type: ignore[arg-type] # a stand-in
    look = await observe_canary(build_context(cluster), model, canary, state, NOW)
    assert isinstance(look, CanaryLook)
    assert look.observed_weight == weight
    assert (store.asked["canary"], store.asked["step_since"]) == ("u2", canary.step_started_at)
    seen = decide_canary(model.spec.canary, model.spec.samples.label_delay, canary, look, PodsView(1), NOW)
    assert getattr(seen, "observed_weight", "ended") == weight
