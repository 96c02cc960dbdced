"""What the store's looks become in a model's status."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.controllers.objects_in_memory import MODEL, Object, ObjectsInMemory, build_context

from perennial.adapters.cluster import MODEL_DEPLOYMENT, MODEL_VERSION
from perennial.api.model_deployment_status import CusumStatus, EarlyEstimate, HealthStatus
from perennial.controllers.looks import StoreState, observe_canary, observe_health
from perennial.controllers.objects import parse_model, parse_version
from perennial.domain.canary import CanaryLook, decide_canary
from perennial.domain.evidence import (
    CalibrationBin,
    HealthLook,
    PairLook,
    ReportRow,
    StoreError,
    StoreMisconfigured,
    StoreUnavailable,
)
from perennial.domain.traffic import PodsView
from perennial_contract.profile import ReferenceProfile, ScoreProfile
from perennial_contract.report import PROFILE_FILE, FileDigest, Manifest

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
AT = "2026-01-05T11:00:00Z"
STATUS: Object = {
    "stable": {"version": "m-v1", "uid": "u1", "weight": 0.9},
    "canary": {"version": "m-v2", "uid": "u2", "weight": 0.1, "startedAt": AT, "stepStartedAt": AT},
}


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


PROFILE = ReferenceProfile(
    rows=1000,
    from_=NOW,
    until=NOW,
    features=(),
    scores=ScoreProfile(
        edges=(0.5,),
        shares=(0.5, 0.5),
        effective_rows=(100.0, 100.0),
        degrees_of_freedom=10.0,
        rows=500,
        mean_scores=(0.2, 0.8),
        target_shares=(0.4, 0.6),
    ),
).to_json()
LISTED = FileDigest(name=PROFILE_FILE, bytes=len(PROFILE), digest=digest_of(PROFILE))
MANIFEST = Manifest(
    algorithm="xgboost", model_file="m", features=(), seed=1, fingerprint="f", libraries={}, files=(LISTED,)
).to_json()
REPORT = ReportRow("u1", "ns/m", NOW, digest_of(MANIFEST), MANIFEST, "{}", PROFILE)


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


SINCE = NOW - timedelta(days=50)
"""When the stable version's sum was last 0."""
BEFORE: Object = {
    "stable": {"version": "m-v1", "uid": "u1", "weight": 1.0},
    "health": {
        "state": "Healthy",
        "reason": "WithinLimits",
        "version": "m-v1",
        "cusum": {"value": 1.5, "threshold": 8.0, "since": SINCE.isoformat()},
    },
}


class HealthStore:
    """One look, or an error; a profile, or none."""

    def __init__(self, error: StoreError | None = None, report: ReportRow | StoreError | None = None) -> None:
        self.error, self.report = error, report
        self.asked: Object = {}

    async def observe_health(self, *_: object, **asked: object) -> HealthLook:
        self.asked = asked
        if self.error:
            raise self.error
        pending = CalibrationBin(8, 0, 0.0, 0, 0.0, pending_up=4, pending_up_sum=3.4)
        return HealthLook((), (), 3600, (pending,), total=4, resolved=0, overdue=4, late=0, newest_resolved=None)

    async def read_report(self, _: str) -> ReportRow | None:
        if isinstance(self.report, StoreError):
            raise self.report
        return self.report


async def look_at_health(store: HealthStore) -> HealthStatus:
    cluster = ObjectsInMemory()
    model = parse_model(cluster.put(MODEL_DEPLOYMENT, "m", spec=MODEL, status=BEFORE))
    artifact = {"uri": "file:///a", "digest": digest_of(MANIFEST)}
    version = parse_version(cluster.put(MODEL_VERSION, "m-v1", spec={}, status={"artifact": artifact}))
    state = StoreState(store)  # type: ignore[arg-type] # a stand-in
    seen = await observe_health(build_context(cluster), model, version, state, NOW)
    assert seen is not None
    return seen


async def test_a_look_at_health_goes_as_far_back_as_the_sum_does() -> None:
    store = HealthStore()
    seen = await look_at_health(store)
    assert (store.asked["since"], store.asked["blocks_since"]) == (NOW - timedelta(days=30), SINCE)
    assert seen.cusum == CusumStatus(since=SINCE)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreUnavailable("samples URL", "timeout", "wait"), "StoreUnavailable"),
        (StoreMisconfigured("samples", "no table", "make it"), "StoreMisconfigured"),
    ],
)
async def test_a_store_that_does_not_answer_leaves_the_cursor_and_no_figures(error: StoreError, reason: str) -> None:
    seen = await look_at_health(HealthStore(error))
    assert (seen.state, seen.reason) == ("Unknown", reason)
    assert (seen.cusum, seen.early_estimate, seen.win_rate) == (CusumStatus(since=SINCE), None, None)


@pytest.mark.parametrize(
    ("report", "win_rate", "calibrated"),
    [
        pytest.param(REPORT, 0.6, True, id="by the profile"),
        pytest.param(None, 0.85, False, id="there is no profile"),
        pytest.param(replace(REPORT, profile="{}"), 0.85, False, id="one that nobody vouches for"),
        pytest.param(StoreUnavailable("a", "b", "c"), 0.85, False, id="it cannot be read now"),
    ],
)
async def test_what_is_pending_is_estimated(
    report: ReportRow | StoreError | None, win_rate: float, calibrated: bool
) -> None:
    seen = await look_at_health(HealthStore(report=report))
    assert seen.early_estimate == EarlyEstimate(win_rate=win_rate, predictions=4, calibrated=calibrated)
    assert seen.state == "Unknown", "an estimate decides nothing"
    assert "0.6" not in seen.message
