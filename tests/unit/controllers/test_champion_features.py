"""What the champion was trained on: a verdict waits until the store has said it."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.operator_reports import FEATURES, Training, build_row, digest

from perennial.adapters.cluster import JOB, MODEL_DEPLOYMENT, MODEL_VERSION, SECRET, Kind
from perennial.adapters.metrics import Metrics
from perennial.controllers.context import Context
from perennial.controllers.model_version import reconcile_version
from perennial.controllers.queue import Key
from perennial.controllers.reports import read_features
from perennial.domain.evidence import ReportRow, StoreUnavailable
from perennial.settings import Settings
from perennial_contract.report import Feature, Manifest
from perennial_contract.samples import Decision, SampleContract
from perennial_contract.task import Algorithm, ArtifactRef, Champion, TrainingTask, VersionRef

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def task(revision: int, champion: Champion | None = None) -> TrainingTask:
    return TrainingTask(
        version=VersionRef(
            namespace="ns",
            model="m",
            model_uid="m-uid",
            name=f"m-v{revision}",
            uid=f"uid-{revision}",
            revision=revision,
        ),
        algorithm=Algorithm(name="xgboost"),
        samples=SampleContract(label_delay=timedelta(hours=1)),
        decision=Decision(),
        until=NOW,
        data_window=timedelta(days=30),
        store="file:///artifacts",
        champion=champion,
    )


def row_of(made: TrainingTask, **changes: Any) -> ReportRow:
    return ReportRow(**{**build_row(made, Training()), **changes})


def champion_of(row: ReportRow) -> Champion:
    return Champion(name="m-v1", uid="uid-1", artifact=ArtifactRef(uri="file:///artifacts/m", digest=row.digest))


class Stores:
    """One store with rows, which may be away for some of them."""

    def __init__(self, *rows: ReportRow) -> None:
        self.rows = {row.version: row for row in rows}
        self.away: set[str] = set()

    def at(self, url: str) -> "Stores":
        return self

    async def read_report(self, uid: str) -> ReportRow | None:
        if uid in self.away:
            raise StoreUnavailable("samples URL", "connection refused", "see that the database runs")
        return self.rows.get(uid)


class Cluster:
    """Objects by kind and name; keeps the last status that was written."""

    def __init__(self, champion: Champion) -> None:
        url = base64.b64encode(b"postgresql+psycopg://u@h/d").decode()
        secret = {"name": "samples-store", "key": "read"}
        samples = {"readUrlFrom": secret, "writeUrlFrom": {**secret, "key": "write"}, "labelDelay": "1h"}
        resolved = {
            "revision": 2,
            "algorithm": {"name": "xgboost"},
            "samples": {"labelDelay": "1h"},
            "decision": {},
            "artifacts": {"claimName": "models"},
            "training": {},
            "promotion": {},
            "champion": champion.model_dump(by_alias=True),
            "startedAt": "2026-01-05T11:00:00Z",
        }
        job = {"name": "m-v2-a1", "attempt": 1, "state": "Running"}
        owner = {"apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment", "name": "m", "uid": "m-uid"}
        ended = {"type": "Complete", "status": "True"}
        self.objects: dict[tuple[Kind, str], Any] = {
            (SECRET, "samples-store"): {"data": {"read": url, "write": url}},
            (MODEL_DEPLOYMENT, "m"): {
                "metadata": {"name": "m", "namespace": "ns", "uid": "m-uid"},
                "spec": {"algorithm": {"name": "xgboost"}, "samples": samples},
            },
            (MODEL_VERSION, "m-v2"): {
                "metadata": {
                    "name": "m-v2",
                    "namespace": "ns",
                    "uid": "uid-2",
                    "generation": 1,
                    "labels": {"perennial.dev/model": "m"},
                    "ownerReferences": [owner],
                },
                "spec": {"modelDeployment": "m"},
                "status": {"phase": "Training", "resolved": resolved, "job": job},
            },
            (JOB, "m-v2-a1"): {
                "metadata": {"name": "m-v2-a1", "ownerReferences": [{**owner, "kind": "ModelVersion", "uid": "uid-2"}]},
                "status": {"conditions": [ended]},
            },
        }

    async def get(self, kind: Kind, namespace: str, name: str) -> Any:
        return self.objects.get((kind, name))

    async def create(self, *_: Any) -> None:
        """Events."""

    async def patch(self, kind: Kind, namespace: str, name: str, patch: dict[str, Any]) -> Any:
        version = self.objects[kind, name]
        return {**version, "metadata": {**version["metadata"], **patch["metadata"]}}

    async def replace_status(self, kind: Kind, observed: Any, status: dict[str, Any]) -> Any:
        found = self.objects[kind, observed["metadata"]["name"]]
        found["status"] = status
        return found

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.objects[MODEL_VERSION, "m-v2"]["status"]
        return found


async def test_a_verdict_waits_for_a_store_that_does_not_tell_the_champions_features() -> None:
    first = row_of(task(1))
    stores, cluster = Stores(first, row_of(task(2, champion_of(first)))), Cluster(champion_of(first))
    stores.away = {"uid-1"}
    context = Context(cluster, stores, Metrics(), Settings(), now=lambda: NOW)  # type: ignore[arg-type] # stand-ins
    again = await reconcile_version(context, Key("ModelVersion", "ns", "m-v2"))
    assert cluster.status["phase"] == "Training"
    assert "verdict" not in cluster.status
    assert any("connection refused" in c["message"] for c in cluster.status["conditions"])
    assert again is not None
    assert again <= timedelta(seconds=30)
    stores.away = set()
    await reconcile_version(context, Key("ModelVersion", "ns", "m-v2"))
    assert cluster.status["verdict"]["decision"] == "Deploy"


async def test_features_that_are_not_the_champions_keep_a_challenger_out() -> None:
    first = row_of(task(1))
    wider = Manifest.model_validate_json(first.manifest).model_copy(
        update={"features": (*FEATURES, Feature(name="f2"))}
    )
    brought = row_of(task(1), manifest=wider.to_json(), digest=digest(wider.to_json()))
    champion = Champion(name="m-v1", uid="uid-1", artifact=ArtifactRef(uri="s3://m/x", digest=digest(wider.to_json())))
    stores, cluster = Stores(brought, row_of(task(2, champion))), Cluster(champion)
    context = Context(cluster, stores, Metrics(), Settings(), now=lambda: NOW)  # type: ignore[arg-type] # stand-ins
    await reconcile_version(context, Key("ModelVersion", "ns", "m-v2"))
    assert cluster.status["verdict"]["reason"] == "FeaturesChanged"
    assert "missing ['f2']" in cluster.status["verdict"]["message"]


@pytest.mark.parametrize("found", [None, row_of(task(1), manifest="{}")], ids=["no row", "another manifest"])
def test_features_that_cannot_be_told_are_not_made_up(found: ReportRow | None) -> None:
    assert read_features(found, champion_of(row_of(task(1))).artifact) is None
