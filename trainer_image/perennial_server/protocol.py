"""The Open Inference Protocol V2: what a request says, and what is answered."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
import orjson

from perennial_contract.report import Manifest
from perennial_contract.samples import Dtype
from perennial_contract.sequence import Sequence as Window
from perennial_contract.serving import ServerConfig
from perennial_server.errors import ConfigError, RequestError
from perennial_server.models import Matrix
from perennial_server.past import HISTORY, PAST_TENSORS, read_history
from perennial_server.tensors import Tensor, read_feature, read_rows, read_texts, read_times
from perennial_server.windows import History

T = TypeVar("T")

ROWS_TENSOR = "features"
SPREAD = "score_spread"
ID_TENSOR, SERIES_TENSOR, TIME_TENSOR = "sample_id", "series", "at"
_RANGES: Mapping[Dtype, tuple[float, float]] = {"int64": (-(2.0**63), np.nextafter(2.0**63, 0)), "bool": (0.0, 1.0)}
_SAMPLE_TENSORS = (ID_TENSOR, SERIES_TENSOR, TIME_TENSOR)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a server takes: the model's features in order, and which tensors say whose they are."""

    features: tuple[str, ...]
    required: tuple[str, ...]
    """Tensors without which a row cannot be recorded."""
    whole: tuple[tuple[int, Dtype], ...] = ()
    """Positions of the features whose columns hold whole numbers, or truth values."""
    window: Window | None = None
    """Of a model that looks back."""
    members: int = 1
    """Of the ensemble."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A request, understood. Lists are one entry a row, empty where a tensor was left out that is not required."""

    request_id: str | None
    rows: Matrix
    ids: Sequence[str]
    series: Sequence[str]
    times: Sequence[datetime]
    history: History | None = None
    """What the client says stood before the rows, where the model looks back."""


def inputs_of(
    config: ServerConfig, manifest: Manifest, *, records: bool, window: Window | None = None, members: int = 1
) -> Inputs:
    """What is needed of each row: nothing but features without a recorder, no series where the client records samples
    (unless the model looks back in it, which is to have a ``window``).

    Raises:
        ConfigError: a feature has the name of a tensor that means something else.
    """
    features = tuple(feature.name for feature in manifest.features)
    for name in (*_SAMPLE_TENSORS, *(PAST_TENSORS if window else ())):
        if name in features:
            raise ConfigError(f"feature {name!r} has the name of the protocol's own tensor: rename the column")
    whole = tuple((n, f.dtype) for n, f in enumerate(manifest.features) if f.dtype in _RANGES)
    required: tuple[str, ...] = ()
    if records:
        named = config.recorded_by == "Server" or window is not None
        required = _SAMPLE_TENSORS if named else (ID_TENSOR, TIME_TENSOR)
    return Inputs(features, required, whole, window, members)


def parse_request(body: bytes, inputs: Inputs) -> Batch:
    """The request's rows.

    Raises:
        RequestError: naming the tensor, the value and the fix.
    """
    request = _load(body)
    tensors = _tensors_of(request)
    for name in inputs.required:
        if name not in tensors:
            raise RequestError(f"tensor {name!r} is missing: send one value a row beside the features")
    rows = _read_features(tensors, inputs.features)
    _check_whole(rows, inputs)
    ids = _read(tensors, ID_TENSOR, read_texts, len(rows))
    if (twice := _first_twice(ids)) is not None:
        raise RequestError(f"tensor {ID_TENSOR!r}: {twice!r} is there twice: give each row an id of its own")
    request_id = request.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestError(f"id: {request_id!r} is not a text")
    return Batch(
        request_id,
        rows,
        ids,
        _read(tensors, SERIES_TENSOR, read_texts, len(rows)),
        _read(tensors, TIME_TENSOR, read_times, len(rows)),
        read_history(tensors, inputs.window, len(rows), inputs.features) if inputs.window else None,
    )


def render_answer(config: ServerConfig, batch: Batch, scores: Matrix, spread: Matrix | None = None) -> bytes:
    """The answer: ``score``, with P(target = 1) of each row, and how far an ensemble's members are apart in it."""
    outputs = [{"name": "score", "datatype": "FP64", "shape": [len(scores)], "data": scores.tolist()}]
    if spread is not None:
        outputs.append({"name": SPREAD, "datatype": "FP64", "shape": [len(spread)], "data": spread.tolist()})
    answer = {
        "model_name": config.name,
        "model_version": config.version_name,
        "outputs": outputs,
    }
    if batch.request_id is not None:
        answer["id"] = batch.request_id
    return orjson.dumps(answer)


def describe_model(config: ServerConfig, inputs: Inputs) -> dict[str, Any]:
    """The model's metadata."""
    sample_tensors = [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in inputs.required]
    window = inputs.window
    width = len(inputs.features)
    past = [{"name": HISTORY, "datatype": "FP64", "shape": [-1, window.input_size, width]}] if window else []
    spread = [{"name": SPREAD, "datatype": "FP64", "shape": [-1]}] if inputs.members > 1 else []
    parameters: dict[str, Any] = {"features": list(inputs.features), "version": config.version}
    if window:
        parameters |= {"input_size": window.input_size, "series": len(window.steps)}
    return {
        "name": config.name,
        "versions": [config.version_name],
        "platform": config.algorithm,
        "inputs": [
            {"name": ROWS_TENSOR, "datatype": "FP64", "shape": [-1, len(inputs.features)]},
            *past,
            *sample_tensors,
        ],
        "outputs": [{"name": "score", "datatype": "FP64", "shape": [-1]}, *spread],
        "parameters": parameters,
    }


def _load(body: bytes) -> Mapping[str, Any]:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # Python's own json writes NaN where JSON has no such word; a missing feature is worth the second look.
        if b"NaN" not in body and b"Infinity" not in body:
            raise RequestError(f"the body is not JSON: {error}") from None
        try:
            request = json.loads(body)
            orjson.dumps(request)  # half a surrogate is nothing that could be stored
        except (ValueError, orjson.JSONEncodeError):
            raise RequestError(f"the body is not JSON: {error}") from None
    if not isinstance(request, dict):
        raise RequestError('the body is not an object: send {"inputs": [...]}')
    return request


def _tensors_of(request: Mapping[str, Any]) -> dict[str, Tensor]:
    listed = request.get("inputs")
    if not isinstance(listed, list) or not listed:
        raise RequestError("inputs: missing or empty: list the tensors there")
    tensors: dict[str, Tensor] = {}
    for position, tensor in enumerate(listed):
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise RequestError(f"inputs[{position}]: a tensor is an object with name, shape, datatype and data")
        if tensor["name"] in tensors:
            raise RequestError(f"tensor {tensor['name']!r} is there twice: send it once")
        tensors[tensor["name"]] = tensor
    return tensors


def _read_features(tensors: Mapping[str, Tensor], features: tuple[str, ...]) -> Matrix:
    together = tensors.get(ROWS_TENSOR) if ROWS_TENSOR not in features else None
    known = {ROWS_TENSOR} if together is not None else set(features)
    # A history is for a model that looks back. To another version of the same model it is of no account, since both
    # are sent the same.
    unknown = tensors.keys() - known - {*_SAMPLE_TENSORS, *PAST_TENSORS}
    if unknown:
        raise RequestError(
            f"tensor {min(unknown)!r} is none of the model's: send {ROWS_TENSOR!r} alone, or one tensor a feature"
        )
    if together is not None:
        return _filled(read_rows(together, features))
    missing = [name for name in features if name not in tensors]
    if missing:
        raise RequestError(
            f"feature {missing[0]!r} is missing ({len(missing)} of {len(features)} are): "
            f"send a tensor for each, or all of them as {ROWS_TENSOR!r}"
        )
    columns = [read_feature(tensors[name]) for name in features]
    for name, column in zip(features, columns, strict=True):
        if len(column) != len(columns[0]):
            raise RequestError(f"tensor {name!r} has {len(column)} rows, {features[0]!r} has {len(columns[0])}")
    return _filled(np.column_stack(columns))


def _check_whole(rows: Matrix, inputs: Inputs) -> None:
    """The column would hold another value than the one that was scored, and training would see that one."""
    for position, dtype in inputs.whole:
        column = rows[:, position]
        lowest, highest = _RANGES[dtype]
        # Written so that NaN, a missing value, is never wrong.
        wrong = (column != np.trunc(column)) & ~np.isnan(column) | (column < lowest) | (column > highest)
        if wrong.any():
            row = int(wrong.argmax())
            fix = "send 0 or 1" if dtype == "bool" else "send a whole number of 64 bits"
            raise RequestError(
                f"feature {inputs.features[position]!r}: row {row}: {column[row]:g} is no {dtype}: {fix}, or null"
            )


def _first_twice(ids: Sequence[str]) -> str | None:
    """The first of the ids that was there before."""
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            return name
        seen.add(name)
    return None


def _filled(rows: Matrix) -> Matrix:
    if not len(rows):
        raise RequestError("the tensors have no rows: send at least one")
    return rows


def _read(tensors: Mapping[str, Tensor], name: str, read: Callable[[Tensor], list[T]], rows: int) -> list[T]:
    """One value a row; none at all where the tensor was left out."""
    if name not in tensors:
        return []
    values = read(tensors[name])
    if len(values) != rows:
        raise RequestError(f"tensor {name!r} has {len(values)} rows, the features have {rows}")
    return values
