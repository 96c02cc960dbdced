"""Models that look back: their windows from the request or the store, and every way to have none."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.unit.server.looking_back import HOUR, LENGTH, WIDTH, expected, write_look_back
from tests.unit.server.served import FEATURES, ROWS, make_config, request_for, tensor, write_artifact

from perennial_contract.artifacts import ArtifactError, describe_file, digest_file, verify_artifact
from perennial_contract.report import MANIFEST_FILE, Feature
from perennial_contract.samples import SampleContract
from perennial_server.application import Application, Parts, State
from perennial_server.errors import RequestError
from perennial_server.instants import to_micros
from perennial_server.metrics import Metrics
from perennial_server.models import load_model
from perennial_server.protocol import inputs_of
from perennial_server.records import Scored
from perennial_server.statements import RecordStatements
from perennial_server.windows import History

INFER = "/v2/models/ensemble/infer"
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
PAST = ROWS[100 : 100 + LENGTH]
HOURS = [to_micros(NOON - back * HOUR) // 1000 for back in range(LENGTH, 0, -1)]


@dataclass
class Stored:
    """A sample store with one answer."""

    answer: History | RequestError
    asked: list[tuple[list[str], list[datetime]]] = field(default_factory=list)

    async def read(self, rows: Any, series: Any, times: Any) -> History:
        self.asked.append((list(series), list(times)))
        if isinstance(self.answer, RequestError):
            raise self.answer
        return self.answer


class Recorder:
    """Hands on what it is offered."""

    def __init__(self, offer: Callable[[Scored], None]) -> None:
        self.offer = offer


def build(
    folder: Path,
    stored: Stored | None = None,
    *,
    records: bool = True,
    offer: Callable[[Scored], None] = lambda scored: None,
    **artifact: Any,
) -> httpx.AsyncClient:
    digest = write_look_back(folder, **artifact)
    config = make_config(folder, digest, algorithm="nhits")
    manifest = verify_artifact(folder, digest)
    model = load_model(folder, manifest)
    inputs = inputs_of(config, manifest, records=records, window=model.sequence, members=len(model.members))
    recorder: Any = Recorder(offer)
    history: Any = stored
    parts = Parts(config, model, inputs, Metrics(config), State(), recorder if records else None, history=history)
    return httpx.AsyncClient(transport=httpx.ASGITransport(Application(parts)), base_url="http://server")


def asking(past: Any = PAST, *, at: Any = HOURS, targets: Any = None, **changes: Any) -> dict[str, Any]:
    """A request for one row at noon with what stood before it."""
    tensors: dict[str, Any] = {"history": tensor("history", [np.asarray(past).tolist()], shape=[1, *np.shape(past)])}
    if at is not None:
        tensors["history_at"] = tensor("history_at", list(at), "INT64", [1, len(at)])
    if targets is not None:
        tensors["history_target"] = tensor("history_target", [targets], shape=[1, len(targets)])
    return request_for(["a"], **{**tensors, **changes})


def window(past: Any = PAST) -> Any:
    return np.concatenate([np.asarray(past), ROWS[:1]])[np.newaxis]


async def score(client: httpx.AsyncClient, request: dict[str, Any]) -> float:
    answer = await client.post(INFER, json=request)
    assert answer.status_code == 200, answer.text
    (value,) = answer.json()["outputs"][0]["data"]
    return float(value)


async def test_a_history_in_the_request_is_the_models_window(tmp_path: Path) -> None:
    client = build(tmp_path)
    assert await score(client, asking()) == pytest.approx(float(expected(window())[0]), abs=1e-6)
    longer = np.concatenate([ROWS[300:302], PAST])
    times = [HOURS[0] - 7_200_000, HOURS[0] - 3_600_000, *HOURS]
    assert await score(client, asking(longer, at=times)) == pytest.approx(float(expected(window())[0]), abs=1e-6)
    nested = asking()
    flat = asking(history=tensor("history", PAST.ravel().tolist(), shape=[1, LENGTH, WIDTH]))
    assert await score(client, flat) == await score(client, nested)


async def test_a_target_younger_than_the_label_delay_changes_nothing(tmp_path: Path) -> None:
    client = build(
        tmp_path
    )  # outcomes take 90 minutes: those of two and three hours ago are known, the last one is not
    known = await score(client, asking(targets=[1, 0, None]))
    assert known == pytest.approx(float(expected(window(), [[1, -1, 0]])[0]), abs=1e-6)
    assert await score(client, asking(targets=[1, 0, 1])) == known
    assert await score(client, asking(targets=[1, 0, 0])) == known
    assert await score(client, asking(targets=[0, 0, None])) != known


async def test_without_a_history_the_store_is_asked(tmp_path: Path) -> None:
    history = History(
        PAST[np.newaxis],
        np.array([HOURS]) * 1000,
        np.array([[0, to_micros(NOON), to_micros(NOON) - 1]]),
        np.array([[1.0, 1.0, 0.0]]),
    )
    stored = Stored(history)
    found = await score(build(tmp_path, stored), request_for(["a"]))
    assert stored.asked == [(["BTC"], [NOON])]
    # What is known at the very instant of the row came too late for it.
    assert found == pytest.approx(float(expected(window(), [[1, 0, -1]])[0]), abs=1e-6)


async def test_the_stores_refusal_is_the_answer(tmp_path: Path) -> None:
    client = build(tmp_path, Stored(RequestError("row 0: too short", 422)))
    answer = await client.post(INFER, json=request_for(["a"]))
    assert (answer.status_code, answer.json()) == (422, {"error": "row 0: too short"})


async def test_a_row_that_cannot_be_scored_is_recorded_all_the_same(tmp_path: Path) -> None:
    recorded: list[Scored] = []
    client = build(tmp_path, Stored(RequestError("row 0: too short", 422)), offer=recorded.append)
    assert (await client.post(INFER, json=request_for(["a"]))).status_code == 422
    [one] = recorded
    assert (list(one.ids), list(one.series), list(one.times)) == (["a"], ["BTC"], [NOON])
    assert one.rows.tolist() == ROWS[:1].tolist()
    assert np.isnan(one.scores).all()
    statements = RecordStatements(SampleContract(label_delay=HOUR), [Feature(name=name) for name in FEATURES])
    assert len(json.loads(statements.encode_samples(one))) == 1
    assert statements.encode_predictions(one) == "[]"


SPOILT = np.where(np.arange(LENGTH * WIDTH).reshape(LENGTH, WIDTH) == 4, np.nan, PAST)


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        (asking(PAST[1:], at=HOURS[1:]), 400, "tensor 'history': shape [1, 2, 3]: this model looks back on 3 rows"),
        (asking(PAST[:, :2]), 400, "tensor 'history': shape [1, 3, 2] should be [1, m, 3]"),
        (asking(history=tensor("history", [1.0] * 8, shape=[1, 3, 3])), 400, "8 values do not fit shape [1, 3, 3]"),
        (asking(history=tensor("history", PAST.tolist(), shape=[3, 3])), 400, "shape [3, 3] should be [1, m, 3]"),
        (asking(np.where(np.isnan(SPOILT), None, SPOILT)), 422, "row 0: feature 'vol_24' is missing 2 rows before it"),
        (
            asking(features=tensor("features", [0.1, None, 0.2], shape=[1, 3])),
            422,
            "row 0: feature 'vol_24' is missing in the row itself",
        ),
        (asking(series=tensor("series", ["DOGE"], "BYTES")), 422, "'DOGE' was not among the 2 series"),
        (
            asking(at=[HOURS[0] - 4 * 3_600_000, *HOURS[1:]]),
            None,
            "a gap of exactly five steps is none",
        ),
        (
            asking(at=[HOURS[0] - 4 * 3_600_000 - 1, *HOURS[1:]]),
            422,
            "row 0: series 'BTC' has a gap of 5.0 h in the 3 rows before it, its steps are 1.0 h",
        ),
        (asking(at=HOURS[::-1]), 400, "row 0: its history is not in order of time"),
        (asking(at=[*HOURS[:2], to_micros(NOON) // 1000]), 400, "all before the row: send it oldest first"),
        (asking(at=[1.5, *HOURS[1:]]), 400, "tensor 'history_at': 1.5 is no time"),
        (asking(at=None, targets=[1, 0, None]), 400, "tensor 'history_target' goes with 'history_at'"),
        (asking(targets=[2, 0, None]), 400, "tensor 'history_target': 2 is no target: send 0 or 1"),
        (request_for(["a"], history_at=tensor("history_at", HOURS, "INT64", [1, 3])), 400, "goes with 'history'"),
        (request_for(["a"]), 400, "tensor 'history' is missing: this server reads no sample store"),
        (asking(series=None), 400, "tensor 'series' is missing"),
    ],
)
async def test_what_is_wrong_with_a_history_is_said(
    tmp_path: Path, request_: dict[str, Any], status: int | None, message: str
) -> None:
    answer = await build(tmp_path).post(INFER, json=request_)
    if status is None:
        assert answer.status_code == 200, message
    else:
        assert answer.status_code == status, answer.text
        assert message in answer.json()["error"]


async def test_a_tree_leaves_a_history_alone(tmp_path: Path) -> None:
    digest = write_artifact(tmp_path)
    config, manifest = make_config(tmp_path, digest), verify_artifact(tmp_path, digest)
    parts = Parts(
        config, load_model(tmp_path, manifest), inputs_of(config, manifest, records=True), Metrics(config), State()
    )
    client = httpx.AsyncClient(transport=httpx.ASGITransport(Application(parts)), base_url="http://server")
    assert await score(client, asking()) == await score(client, request_for(["a"]))


async def test_an_ensemble_says_how_far_its_members_are_apart(tmp_path: Path) -> None:
    answer = await build(tmp_path, members=3).post(INFER, json=asking())
    mean, spread = answer.json()["outputs"]
    assert (mean["name"], spread["name"], spread["shape"]) == ("score", "score_spread", [1])
    assert mean["data"][0] == pytest.approx(float(expected(window())[0]), abs=1e-6)
    assert spread["data"] == [0.0]  # all three are the same


async def test_the_metadata_says_what_a_model_looks_back_on(tmp_path: Path) -> None:
    found = (await build(tmp_path, members=2).get("/v2/models/ensemble")).json()
    assert {"name": "history", "datatype": "FP64", "shape": [-1, LENGTH, WIDTH]} in found["inputs"]
    assert [output["name"] for output in found["outputs"]] == ["score", "score_spread"]
    assert (found["parameters"]["input_size"], found["parameters"]["series"]) == (LENGTH, 2)


def test_an_artifact_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    digest = write_look_back(tmp_path / "length", input_size=4)
    with pytest.raises(ArtifactError, match=r"model\.onnx: takes 4 rows, sequence\.json says 4 and one"):
        load_model(tmp_path / "length", verify_artifact(tmp_path / "length", digest))
    digest = write_look_back(tmp_path / "file")
    (tmp_path / "file" / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ArtifactError, match=r"model\.onnx: .* expected .*: refused"):
        verify_artifact(tmp_path / "file", digest)
    manifest = verify_artifact(tmp_path / "length", digest_file(tmp_path / "length" / MANIFEST_FILE))
    (tmp_path / "length" / "model.onnx").write_bytes(b"not a model")
    described = describe_file(tmp_path / "length" / "model.onnx")
    with pytest.raises(ArtifactError, match=r"model\.onnx: not an ONNX model of ours"):
        load_model(tmp_path / "length", manifest.model_copy(update={"files": (described,)}))
