"""The monitor of features in a model's status: looks once a window, tells of beginning and end, and writes no more."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tests.unit.controllers.objects_in_memory import MODEL, ObjectsInMemory, build_context, put_secret
from tests.unit.controllers.served_models import ARTIFACT, Store, condition, put_model, reconcile

from perennial.adapters.cluster import EVENT, MODEL_DEPLOYMENT, MODEL_VERSION
from perennial.controllers.context import Context
from perennial.domain.drift_evidence import ColumnCounts, DriftLook, DriftWindow, Span
from perennial.domain.evidence import ReportRow, StoreUnavailable
from perennial_contract.profile import FeatureProfile, ReferenceProfile
from perennial_contract.report import Manifest
from perennial_contract.samples import SampleContract

TRAINED_UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
"""Windows of ten days begin six days later, and every ten days from then on."""
EVEN = (100,) * 10
SHIFTED = (10, 10, 20, 40, 60, 80, 120, 160, 200, 300)
AWAY = StoreUnavailable("samples URL", "timeout", "see that the database runs")
PROFILE = ReferenceProfile(
    rows=5000,
    from_=TRAINED_UNTIL - timedelta(days=50),
    until=TRAINED_UNTIL,
    features=(
        FeatureProfile(
            name="x",
            edges=tuple(float(i) for i in range(9)),
            shares=(0.1,) * 10,
            effective_rows=(5000.0,) * 10,
            degrees_of_freedom=1000,
            missing_rate=0,
            missing_effective_rows=5000,
            low=-1,
            high=10,
        ),
    ),
)
MANIFEST = Manifest(
    algorithm="xgboost", model_file="m", features=(), seed=1, fingerprint="f", libraries={}, files=()
).to_json()


class Windows(Store):
    """A store whose windows hold what they are told; the other looks fail."""

    def __init__(self) -> None:
        super().__init__(AWAY)
        self.asked: list[Span] = []
        self.shifted_since: datetime | None = None
        self.away = False

    def at(self, _: str) -> "Windows":
        return self

    async def read_report(self, uid: str) -> ReportRow:
        return ReportRow(uid, "ns/m", TRAINED_UNTIL, "", MANIFEST, "", PROFILE.to_json())

    async def observe_drift(self, _: SampleContract, __: ReferenceProfile, *, span: Span, **___: str) -> DriftLook:
        if self.away:
            raise AWAY
        self.asked.append(span)
        return DriftLook(tuple(self._window(span, number) for number in range(span.first, span.first + span.count)))

    def _window(self, span: Span, number: int) -> DriftWindow:
        begins = span.start_of(number)
        shifted = self.shifted_since is not None and begins >= self.shifted_since
        counts: Sequence[int] = SHIFTED if shifted else EVEN
        ends = span.start_of(number + 1) - timedelta(minutes=1)
        return DriftWindow(number, sum(counts), begins, ends, (ColumnCounts("x", tuple(counts), 0, 0),))


class Stage:
    """A model that watches windows of ten days, and a clock."""

    def __init__(self) -> None:
        self.cluster, self.store = ObjectsInMemory(), Windows()
        put_secret(self.cluster)
        put_model(self.cluster)
        digest = f"sha256:{hashlib.sha256(MANIFEST.encode()).hexdigest()}"
        self.cluster.objects[MODEL_VERSION, "m-v1"]["status"]["artifact"] = {**ARTIFACT, "digest": digest}
        spec = {**MODEL, "drift": {"window": "10d", "falseAlarmEvery": "100d"}}
        self.cluster.objects[MODEL_DEPLOYMENT, "m"]["spec"] = spec
        self.now = TRAINED_UNTIL
        self.context = self._start()

    def _start(self) -> Context:
        context = build_context(self.cluster)
        context.stores, context.now = self.store, lambda: self.now  # type: ignore[assignment] # a stand-in
        return context

    def restart(self) -> None:
        """The operator anew: nothing is remembered."""
        self.context = self._start()

    async def state(self, days: float) -> str:
        """What the status says so many days after the training data ended."""
        self.now = TRAINED_UNTIL + timedelta(days=days)
        await reconcile(self.context)
        found: str = self.cluster.objects[MODEL_DEPLOYMENT, "m"]["status"]["drift"]["state"]
        return found

    def told(self) -> list[str]:
        """Reasons of the Events on drift."""
        events = [body for (kind, _), body in self.cluster.objects.items() if kind == EVENT]
        return [event["reason"] for event in events if event["reason"].startswith("Drift")]


async def test_drift_is_suspected_then_certain_and_ends() -> None:
    stage = Stage()
    assert await stage.state(5) == "Unknown"
    assert condition(stage.cluster, "Drifting")["reason"] == "NoCompleteWindow"
    assert await stage.state(25) == "None"
    assert condition(stage.cluster, "Drifting")["status"] == "False"
    stage.store.shifted_since = TRAINED_UNTIL + timedelta(days=20)
    assert await stage.state(37) == "Suspected"
    assert stage.told() == []
    assert await stage.state(47) == "Drifting"
    assert condition(stage.cluster, "Drifting")["status"] == "True"
    drift = stage.cluster.objects[MODEL_DEPLOYMENT, "m"]["status"]["drift"]
    assert [(f["name"], f["sign"]) for f in drift["features"]] == [("x", "PSI")]
    assert drift["evidenceUntil"] == drift["windowUntil"]
    stage.store.shifted_since = None
    assert await stage.state(57) == "None"
    assert stage.told() == ["DriftDetected", "DriftEnded"]


async def test_a_window_is_counted_once_and_a_restart_changes_nothing() -> None:
    stage = Stage()
    assert await stage.state(25) == "None"
    version = stage.cluster.objects[MODEL_DEPLOYMENT, "m"]["metadata"]["resourceVersion"]
    for hour in range(1, 4):
        assert await stage.state(25 + hour / 24) == "None"
    assert len(stage.store.asked) == 1
    stage.restart()
    assert await stage.state(25.5) == "None"
    assert len(stage.store.asked) == 2
    assert stage.cluster.objects[MODEL_DEPLOYMENT, "m"]["metadata"]["resourceVersion"] == version


async def test_a_store_that_is_away_makes_a_new_window_unknown() -> None:
    stage = Stage()
    assert await stage.state(25) == "None"
    stage.store.away = True
    assert await stage.state(35) == "Unknown"
    assert condition(stage.cluster, "Drifting")["reason"] == "StoreUnavailable"
    stage.store.away = False
    assert await stage.state(35.1) == "None"


async def test_a_profile_that_is_not_the_artifact_s_is_not_believed() -> None:
    stage = Stage()
    stage.cluster.objects[MODEL_VERSION, "m-v1"]["status"]["artifact"] = ARTIFACT
    assert await stage.state(25) == "Unknown"
    assert condition(stage.cluster, "Drifting")["reason"] == "NoProfile"


async def test_drift_that_is_no_longer_watched_leaves_no_trace() -> None:
    stage = Stage()
    assert await stage.state(25) == "None"
    stage.cluster.objects[MODEL_DEPLOYMENT, "m"]["spec"] = MODEL
    stage.now += timedelta(days=1)
    await reconcile(stage.context)
    assert "drift" not in stage.cluster.objects[MODEL_DEPLOYMENT, "m"]["status"]
    assert condition(stage.cluster, "Drifting") == {}
