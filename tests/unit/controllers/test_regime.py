"""A model's regime, from the store's points to its status, its condition, its Events and a training."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.controllers.objects_in_memory import (
    MODEL,
    NS,
    Object,
    ObjectsInMemory,
    build_context,
    put_policy,
    put_secret,
)
from tests.unit.controllers.served_models import condition, put_model, reconcile
from tests.unit.domain.regimes import HOUR, START, path, profile

from perennial.adapters.cluster import CONFIG_MAP, EVENT, MODEL_DEPLOYMENT, MODEL_VERSION
from perennial.controllers.context import Context
from perennial.controllers.model_version import reconcile_version
from perennial.controllers.queue import Key
from perennial.controllers.retrain_policy import reconcile_policy
from perennial.domain.evidence import (
    HealthLook,
    ReportRow,
    SampleCounts,
    SeriesLook,
    StoreError,
    StoreMisconfigured,
    StoreUnavailable,
)
from perennial_contract.profile import ReferenceProfile
from perennial_contract.report import FileDigest, Manifest
from perennial_contract.samples import SampleContract
from perennial_contract.task import TrainingTask

REGIME = {"column": "ret_1"}
POINTS = path(("Calm", 1200), ("Turbulent", 200), seed=1)
TURN = 1200


class Store:
    """A series that grows by the hour, the report of the version that serves, and no outcomes."""

    def __init__(self) -> None:
        self.looks = 0
        self.error: StoreError | None = None
        self.row: ReportRow | None = None

    def at(self, _: str) -> "Store":
        return self

    async def check(self, *_: object) -> None:
        """Everything is there."""

    async def read_report(self, _: str) -> ReportRow | None:
        return self.row

    async def observe_health(self, *_: object, **__: object) -> HealthLook:
        return HealthLook((), (), 3600, (), total=0, resolved=0, overdue=0, late=0, newest_resolved=None)

    async def observe_counts(self, contract: SampleContract, *, since: datetime, now: datetime) -> SampleCounts:
        return SampleCounts(5000, 5000, now, now, 5000, since, now - contract.label_delay)

    async def observe_series(self, contract: SampleContract, column: str, *, until: datetime, limit: int) -> SeriesLook:
        assert column == "ret_1"
        self.looks += 1
        if self.error:
            raise self.error
        visible = until - contract.label_delay
        end = min(len(POINTS), (visible - START) // HOUR)
        at = tuple(START + (point + 1) * HOUR for point in range(end - limit, end))
        return SeriesLook(at, tuple(POINTS[end - limit : end]), visible)


class Clock:
    """Stands at a point of the path, as far as it is visible."""

    def __init__(self) -> None:
        self.at(TURN - 1)

    def at(self, point: int) -> None:
        self.moment = START + (point + 1) * HOUR + HOUR

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster() -> ObjectsInMemory:
    """A model that watches regimes and serves its first version."""
    found = ObjectsInMemory()
    put_secret(found)
    put_model(found)
    body = found.objects[MODEL_DEPLOYMENT, "m"]
    body["spec"] = {**MODEL, "regime": REGIME}
    body["metadata"]["labels"] = {"book": "spot"}
    return found


@pytest.fixture
def store(cluster: ObjectsInMemory) -> Store:
    found = Store()
    put_profile(cluster, found, ReferenceProfile(rows=1, from_=START, until=START, features=(), regime=profile()))
    return found


@pytest.fixture
def context(cluster: ObjectsInMemory, store: Store, clock: Clock) -> Context:
    found = build_context(cluster)
    found.now, found.stores = clock, store  # type: ignore[assignment] # a stand-in
    return found


def put_profile(cluster: ObjectsInMemory, store: Store, fitted: ReferenceProfile) -> None:
    """What the trainer left of the version that serves."""
    text = fitted.to_json()
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    file = FileDigest(name="profile.json", bytes=len(text), digest=digest)
    manifest = Manifest(
        algorithm="xgboost", model_file="m", features=(), seed=1, fingerprint="f", libraries={}, files=(file,)
    ).to_json()
    whole = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
    store.row = ReportRow("u", "ns/m", START, whole, manifest, "{}", text)
    cluster.objects[MODEL_VERSION, "m-v1"]["status"]["artifact"] = {"uri": "file:///artifacts/a", "digest": whole}


def regime(cluster: ObjectsInMemory) -> Object:
    found: Object = cluster.objects[MODEL_DEPLOYMENT, "m"]["status"].get("regime", {})
    return found


def told(cluster: ObjectsInMemory) -> list[str]:
    """The reasons of the Events about regimes."""
    found = [body["reason"] for (kind, _), body in cluster.objects.items() if kind is EVENT]
    return [reason for reason in found if "Regime" in reason]


def writes(cluster: ObjectsInMemory) -> int:
    return sum(verb == "status" for verb, *_ in cluster.calls)


async def look(context: Context) -> None:
    """The monitors are due, and the model comes to rest."""
    context.monitored.clear()
    for _ in range(3):
        await reconcile(context)


async def test_a_change_is_in_the_status_the_condition_and_one_event(
    cluster: ObjectsInMemory, context: Context, clock: Clock
) -> None:
    await look(context)
    assert (regime(cluster)["state"], regime(cluster)["trainedOn"]) == ("AsTrained", "Calm")
    assert condition(cluster, "RegimeChanged")["status"] == "False"
    assert told(cluster) == []
    for point in (TURN + 20, TURN + 40):
        clock.at(point)
        await look(context)
        assert regime(cluster)["candidate"] == "Turbulent"
        assert condition(cluster, "RegimeChanged")["status"] == "True"
    assert condition(cluster, "RegimeChanged")["reason"] == "OtherRegime"
    assert condition(cluster, "RegimeChanged")["message"] == regime(cluster)["message"]
    assert told(cluster) == ["RegimeCandidate"]


async def test_a_look_that_saw_the_same_writes_nothing(
    cluster: ObjectsInMemory, context: Context, store: Store, clock: Clock
) -> None:
    clock.at(TURN + 20)
    await look(context)
    written, looks = writes(cluster), store.looks
    for _ in range(3):
        clock.moment += timedelta(minutes=7)
        await look(context)
    assert store.looks > looks
    assert writes(cluster) == written


OUTAGES = [
    (StoreUnavailable("samples URL", "timeout", "wait"), "StoreUnavailable"),
    (StoreMisconfigured("spec.regime.column", "gone", "name another one"), "StoreMisconfigured"),
]


@pytest.mark.parametrize(("error", "reason"), OUTAGES, ids=[reason for _, reason in OUTAGES])
async def test_an_outage_is_unknown_and_not_another_change(
    cluster: ObjectsInMemory, context: Context, store: Store, clock: Clock, error: StoreError, reason: str
) -> None:
    clock.at(TURN + 20)
    await look(context)
    before, store.error = regime(cluster), error
    await look(context)
    said = condition(cluster, "RegimeChanged")
    assert (said["status"], said["reason"]) == ("Unknown", reason)
    assert "current" not in regime(cluster)
    store.error = None
    await look(context)
    assert regime(cluster) == before
    assert told(cluster) == ["RegimeCandidate"]


@pytest.mark.parametrize("fitted", [None, "without"])
async def test_a_version_that_knows_no_regimes_is_unknown(
    cluster: ObjectsInMemory, context: Context, store: Store, fitted: str | None
) -> None:
    if fitted is None:
        store.row = None
    else:
        put_profile(cluster, store, ReferenceProfile(rows=1, from_=START, until=START, features=()))
    await look(context)
    assert (regime(cluster)["state"], regime(cluster)["reason"]) == ("Unknown", "NotFitted")
    assert condition(cluster, "RegimeChanged")["status"] == "Unknown"


async def test_regimes_that_are_off_are_not_looked_at_and_leave_nothing(
    cluster: ObjectsInMemory, context: Context, store: Store
) -> None:
    await look(context)
    looks = store.looks
    cluster.objects[MODEL_DEPLOYMENT, "m"]["spec"] = MODEL
    await look(context)
    assert store.looks == looks
    assert regime(cluster) == {}
    assert condition(cluster, "RegimeChanged") == {}


async def test_a_model_without_a_version_says_so(cluster: ObjectsInMemory, context: Context) -> None:
    del cluster.objects[MODEL_DEPLOYMENT, "m"]["status"]["stable"]
    del cluster.objects[MODEL_VERSION, "m-v1"]
    await look(context)
    assert regime(cluster) == {}
    assert condition(cluster, "RegimeChanged")["reason"] == "NoVersion"


@pytest.mark.parametrize("declared", [None, {"column": "ret_1", "lookback": 2000}])
async def test_a_training_is_told_which_series_tells_the_regime(
    cluster: ObjectsInMemory, context: Context, declared: Object | None
) -> None:
    cluster.objects[MODEL_DEPLOYMENT, "m"]["spec"] = {**MODEL, **({"regime": declared} if declared else {})}
    cluster.put(MODEL_VERSION, "m-v2", labels={"perennial.dev/model": "m"}, spec={"modelDeployment": "m"})
    await reconcile_version(context, Key("ModelVersion", NS, "m-v2"))
    task = TrainingTask.model_validate_json(cluster.objects[CONFIG_MAP, "m-v2-task"]["data"]["task.json"])
    assert (task.regime and task.regime.model_dump()) == declared


async def plan(cluster: ObjectsInMemory, context: Context, **policy: Any) -> list[Object]:
    """The versions that the policy made, once it has had its turn."""
    given = {"regime": {"sustainedFor": "2d"}}
    put_policy(cluster, triggers=given, training={"dataWindow": "700d", "dataWindows": {"Regime": "90d"}}, **policy)
    context.counted.clear()
    await reconcile_policy(context, Key("RetrainPolicy", NS, "p"))
    return [cluster.objects[MODEL_VERSION, name]["spec"] for name in cluster.named(MODEL_VERSION) if name != "m-v1"]


async def test_a_change_that_lasts_starts_one_training_over_a_window_of_its_own(
    cluster: ObjectsInMemory, context: Context, clock: Clock
) -> None:
    clock.at(TURN + 40)
    await look(context)
    assert await plan(cluster, context) == []
    clock.at(TURN + 70)
    await look(context)
    [made] = await plan(cluster, context)
    assert (made["trigger"]["type"], made["trigger"]["priority"]) == ("Regime", "Medium")
    assert made["trigger"]["reason"] == "RegimeChanged"
    assert made["training"]["dataWindow"] == "90d"
    kept_out = cluster.objects[MODEL_VERSION, "m-v2"]
    kept_out["status"] = {"phase": "Rejected", "startedAt": "2026-02-01T00:00:00Z"}
    clock.at(TURN + 190)
    await look(context)
    assert regime(cluster)["candidate"] == "Turbulent"
    assert len(await plan(cluster, context)) == 1, "the challenger was kept out, and the change is the same"
