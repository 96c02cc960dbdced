"""The serving port in process: answers, refusals, health, metrics, and what becomes a record."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.unit.server.served import FEATURES, ROWS, make_config, request_for, tensor, train_xgboost, write_artifact

from perennial_contract.artifacts import verify_artifact
from perennial_contract.serving import FORWARDED_HEADER, VERSION_HEADER
from perennial_server.application import Application, Parts, State
from perennial_server.metrics import Metrics
from perennial_server.models import Matrix, load_model
from perennial_server.protocol import inputs_of
from perennial_server.records import Scored

INFER = "/v2/models/ensemble/infer"


@dataclass
class Sink:
    """Keeps what it is offered."""

    taken: list[Any] = field(default_factory=list)

    def offer(self, thing: Any) -> None:
        self.taken.append(thing)


@dataclass
class Served:
    """An application and what it is put together from."""

    client: httpx.AsyncClient
    state: State
    metrics: Metrics
    recorder: Sink
    forwarder: Sink

    @property
    def records(self) -> list[Scored]:
        return self.recorder.taken

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"perennial_server_{name}", labels)


def build(folder: Path, algorithm: str = "xgboost", model: Any = None, **changes: Any) -> Served:
    digest = write_artifact(folder, algorithm)
    config = make_config(folder, digest, algorithm=algorithm, **changes)
    manifest = verify_artifact(folder, digest)
    recorder, forwarder, state, metrics = Sink(), Sink(), State(), Metrics(config)
    inputs = inputs_of(config, manifest, records=True)
    model = model or load_model(folder, manifest)
    app = Application(Parts(config, model, inputs, metrics, state, recorder, forwarder))  # type: ignore[arg-type]  # sinks
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")
    return Served(client, state, metrics, recorder, forwarder)


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return build(tmp_path)


@pytest.mark.parametrize("algorithm", ["xgboost", "lightgbm"])
async def test_it_answers_with_scores(tmp_path: Path, algorithm: str) -> None:
    served = build(tmp_path, algorithm)
    answer = await served.client.post(INFER, json={"id": "r1", **request_for(["a", "b"])})
    assert answer.status_code == 200, answer.text
    assert answer.headers[VERSION_HEADER] == "uid-1"
    body = answer.json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("ensemble", "ensemble-v1", "r1")
    (output,) = body["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("score", "FP64", [2])
    assert all(0 < score < 1 for score in output["data"])


async def test_the_score_is_the_models(served: Served) -> None:
    answer = await served.client.post(INFER, json=request_for(["a", "b"]))
    expected = train_xgboost().inplace_predict(ROWS[:2])
    assert answer.json()["outputs"][0]["data"] == expected.astype(float).tolist()


async def test_an_answer_is_recorded_as_live_and_forwarded(served: Served) -> None:
    answer = await served.client.post(INFER, json=request_for(["a", "b"]))
    (record,) = served.records
    assert (list(record.ids), list(record.series), list(record.tracks)) == (["a", "b"], ["BTC"] * 2, ["live"] * 2)
    np.testing.assert_array_equal(record.rows, ROWS[:2])
    assert record.scores.tolist() == answer.json()["outputs"][0]["data"]
    assert served.forwarder.taken == [answer.request.content]
    assert served.value("rows_total", track="live") == 2


async def test_a_forwarded_request_is_shadow_and_goes_no_further(served: Served) -> None:
    answer = await served.client.post(INFER, json=request_for(["a"]), headers={FORWARDED_HEADER: "uid-2"})
    assert answer.status_code == 200
    assert [record.tracks for record in served.records] == [["shadow"]]
    assert served.forwarder.taken == []


async def test_a_request_that_came_back_to_its_own_version_is_no_record(served: Served) -> None:
    answer = await served.client.post(INFER, json=request_for(["a"]), headers={FORWARDED_HEADER: "uid-1"})
    assert answer.status_code == 200
    assert (served.records, served.forwarder.taken) == ([], [])


async def test_a_shadow_pod_records_everything_as_shadow(tmp_path: Path) -> None:
    served = build(tmp_path, track="shadow")
    await served.client.post(INFER, json=request_for(["a"]))
    assert [record.tracks for record in served.records] == [["shadow"]]


async def test_where_the_client_records_samples_no_series_is_asked_for(tmp_path: Path) -> None:
    served = build(tmp_path, recordedBy="Client")
    answer = await served.client.post(INFER, json=request_for(["a"], series=None))
    assert answer.status_code == 200, answer.text
    assert len(served.records) == 1


async def test_large_requests_score_the_same_in_a_thread(served: Served) -> None:
    rows = np.tile(ROWS, (20, 1))
    ids = [f"s{i}" for i in range(len(rows))]
    answer = await served.client.post(INFER, json=request_for(ids, rows=rows.tolist()))
    expected = train_xgboost().inplace_predict(rows).astype(float).tolist()
    assert answer.json()["outputs"][0]["data"] == expected


async def test_a_refusal_names_the_tensor_and_records_nothing(served: Served) -> None:
    bad = request_for(["a"], at=tensor("at", ["2024-05-01T12:00:00"], "BYTES"))
    answer = await served.client.post(INFER, json=bad)
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "tensor 'at': row 0: '2024-05-01T12:00:00' has no time zone: "
        "write it with an offset, as in 2024-05-01T12:00:00Z"
    }
    assert answer.headers[VERSION_HEADER] == "uid-1"
    assert (served.records, served.forwarder.taken) == ([], [])
    assert served.value("requests_total", code="400") == 1


async def test_a_body_without_end_is_cut_off(served: Served) -> None:
    answer = await served.client.post(INFER, content=b" " * (64 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert "larger than 67108864 bytes" in answer.json()["error"]


class Broken:
    """A model that fails, or answers nonsense."""

    def __init__(self, score: float | None) -> None:
        self._score = score

    def score(self, rows: Matrix, _: None) -> tuple[Matrix, None]:
        if self._score is None:
            raise OSError("secret detail")
        return np.full(len(rows), self._score), None


@pytest.mark.parametrize("score", [float("nan"), 1.5, -0.1, float("inf")])
async def test_a_score_that_is_no_probability_is_an_error_and_no_record(tmp_path: Path, score: float) -> None:
    served = build(tmp_path, model=Broken(score))
    answer = await served.client.post(INFER, json=request_for(["a"]))
    assert answer.status_code == 500
    assert "no probability" in answer.json()["error"]
    assert served.records == []


async def test_a_failing_model_is_a_500_that_tells_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    served = build(tmp_path, model=Broken(None))
    answer = await served.client.post(INFER, json=request_for(["a"]))
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text
    assert served.value("requests_total", code="500") == 1


async def test_health_and_metadata(served: Served) -> None:
    assert (await served.client.get("/v2/health/live")).status_code == 200
    assert (await served.client.get("/v2/health/ready")).json() == {"ready": True}
    assert (await served.client.get("/v2/models/ensemble/ready")).status_code == 200
    assert (await served.client.get("/v2")).json()["name"] == "perennial"
    answer = await served.client.get("/v2/models/ensemble")
    assert answer.headers[VERSION_HEADER] == "uid-1"
    assert answer.json()["versions"] == ["ensemble-v1"]
    assert answer.json()["parameters"]["features"] == list(FEATURES)
    assert [one["name"] for one in answer.json()["inputs"]] == ["features", "sample_id", "series", "at"]


async def test_a_stopping_server_is_live_but_not_ready_and_still_answers(served: Served) -> None:
    served.state.ready = False
    assert (await served.client.get("/v2/health/ready")).status_code == 503
    assert (await served.client.get("/v2/models/ensemble/ready")).status_code == 503
    assert (await served.client.get("/v2/health/live")).status_code == 200
    assert (await served.client.post(INFER, json=request_for(["a"]))).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", INFER, 404), ("POST", "/v2/models/other/infer", 404), ("DELETE", "/v2", 405), ("GET", "/", 404)],
)
async def test_what_is_not_there_is_refused_as_json(served: Served, method: str, path: str, status: int) -> None:
    answer = await served.client.request(method, path)
    assert answer.status_code == status
    assert path in answer.json()["error"]


async def test_metrics_tell_the_story(served: Served) -> None:
    await served.client.post(INFER, json=request_for(["a", "b", "c"]))
    page = (await served.client.get("/metrics")).text
    assert 'perennial_server_requests_total{code="200"} 1.0' in page
    assert 'perennial_server_rows_total{track="live"} 3.0' in page
    assert "perennial_server_request_seconds_count 1.0" in page
    assert 'version_name="ensemble-v1"' in page
    assert 'perennial_server_records_dropped_total{reason="queue_full"} 0.0' in page
