"""Tensors of the protocol as arrays; whatever is wrong with one is said with its name, its value and the fix."""

from array import array
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from perennial_server.errors import RequestError
from perennial_server.models import Matrix

Tensor = Mapping[str, Any]

MAX_TEXT = 256
"""Characters of an id or a series: an index entry has to hold them."""
_FLOATS = frozenset({"FP64", "FP32", "FP16"})
_WHOLE = frozenset({"INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8"})
_NUMBERS = _FLOATS | _WHOLE | {"BOOL"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_column(tensor: Tensor) -> list[Any]:
    """The values of a tensor of shape ``[n]`` or ``[n, 1]``."""
    data = _data_of(tensor)
    shape = tensor.get("shape")
    if shape == [len(data)] or (shape == [len(data), 1] and not (data and isinstance(data[0], list))):
        return data
    if isinstance(shape, list) and shape == [len(data), 1] and all(isinstance(r, list) and len(r) == 1 for r in data):
        return list(chain.from_iterable(data))
    raise RequestError(
        f"tensor {_name(tensor)}: shape {_show(shape)} does not fit {len(data)} values: give one value a row, shape [n]"
    )


def read_feature(tensor: Tensor) -> Matrix:
    """A feature's values; null and NaN are missing."""
    _check_datatype(tensor, _NUMBERS, "a number, as in FP64")
    return _numbers(tensor, [read_column(tensor)])


def read_rows(tensor: Tensor, features: tuple[str, ...]) -> Matrix:
    """All features as one tensor of shape ``[n, k]``, columns in the manifest's order, nested or flat."""
    _check_datatype(tensor, _FLOATS, "FP64 or FP32")
    data, shape, width = _data_of(tensor), tensor.get("shape"), len(features)
    if not isinstance(shape, list) or len(shape) != 2 or shape[1] != width:
        raise RequestError(
            f"tensor {_name(tensor)}: shape {_show(shape)} should be [n, {width}]: "
            f"the columns are {', '.join(features[:8])}{', …' if width > 8 else ''}, in this order"
        )
    if data and isinstance(data[0], list):
        if len(data) != shape[0] or any(not isinstance(row, list) or len(row) != width for row in data):
            raise RequestError(f"tensor {_name(tensor)}: its rows do not fit shape {shape}: give {width} values a row")
    elif len(data) != shape[0] * width:
        raise RequestError(f"tensor {_name(tensor)}: {len(data)} values do not fit shape {shape}")
    else:
        data = [data]
    return _numbers(tensor, data).reshape(-1, width)


def read_block(tensor: Tensor, shape: tuple[int | None, ...]) -> Matrix:
    """Numbers of a shape, nested or flat; None stands for any size. Null and NaN are missing."""
    _check_datatype(tensor, _FLOATS | _WHOLE, "FP64, or INT64 for times")
    data, given = _data_of(tensor), tensor.get("shape")
    fits = isinstance(given, list) and len(given) == len(shape) and all(type(size) is int for size in given)
    if not fits or any(size not in (None, found) for size, found in zip(shape, given or (), strict=True)):
        wanted = ", ".join("m" if size is None else str(size) for size in shape)
        raise RequestError(f"tensor {_name(tensor)}: shape {_show(given)} should be [{wanted}]")
    assert isinstance(given, list)
    for size in given[:-1]:
        if not data or not isinstance(data[0], list):
            break
        if len(data) != size or not all(isinstance(part, list) for part in data):
            raise RequestError(f"tensor {_name(tensor)}: its data does not fit shape {given}")
        data = list(chain.from_iterable(data))
    numbers = _numbers(tensor, [data])
    if numbers.size != prod(given):
        raise RequestError(f"tensor {_name(tensor)}: {numbers.size} values do not fit shape {given}")
    return numbers.reshape(given)


def read_texts(tensor: Tensor) -> list[str]:
    """Ids or symbols."""
    _check_datatype(tensor, {"BYTES"}, "BYTES")
    values = read_column(tensor)
    for row, value in enumerate(values):
        if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or "\0" in value:
            raise RequestError(
                f"tensor {_name(tensor)}: row {row}: {_show(value)} is not a text of 1 to {MAX_TEXT} characters"
            )
    return values


def read_times(tensor: Tensor) -> list[datetime]:
    """Instants: RFC 3339 with a zone (BYTES), or whole milliseconds since 1970 UTC (INT64)."""
    _check_datatype(tensor, {"BYTES", "INT64"}, "BYTES (2024-05-01T12:00:00Z) or INT64 (milliseconds since 1970)")
    read = _parse_time if tensor["datatype"] == "BYTES" else _from_epoch
    times = []
    for row, value in enumerate(read_column(tensor)):
        try:
            times.append(read(value))
        except (ValueError, TypeError, OverflowError) as error:
            raise RequestError(f"tensor {_name(tensor)}: row {row}: {_show(value)} {error}") from None
    return times


def _parse_time(value: Any) -> datetime:
    wrong = "is not a time: write it as in 2024-05-01T12:00:00Z"
    if not isinstance(value, str):
        raise TypeError(wrong)
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(wrong) from None
    if time.tzinfo is None:
        raise ValueError("has no time zone: write it with an offset, as in 2024-05-01T12:00:00Z")
    return time if time.tzinfo is UTC else time.astimezone(UTC)


def _from_epoch(value: Any) -> datetime:
    if type(value) is not int:
        raise TypeError("is not a whole number of milliseconds")
    try:
        return _EPOCH + timedelta(milliseconds=value)
    except OverflowError:
        raise OverflowError("is no time before the year 10000: give milliseconds since 1970") from None


def _numbers(tensor: Tensor, parts: list[list[Any]]) -> Matrix:
    """All values in one row; null becomes NaN."""
    buffer = array("d")
    try:
        for part in parts:
            buffer.fromlist(part)  # twice as fast as an array of numpy's, and takes nothing but numbers
        numbers = np.array(buffer)
    except TypeError:
        values = list(chain.from_iterable(parts))
        _check_numbers(tensor, values)
        numbers = np.array(values, dtype=np.float64)
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(infinite.argmax())
        raise RequestError(f"tensor {_name(tensor)}: value {row}: {numbers[row]} is not finite: send null if missing")
    return numbers


def _check_numbers(tensor: Tensor, values: list[Any]) -> None:
    """Names the first value that is neither a number nor null."""
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, int | float):
            raise RequestError(f"tensor {_name(tensor)}: value {row}: {_show(value)} is not a number (null is missing)")


def _data_of(tensor: Tensor) -> list[Any]:
    data = tensor.get("data")
    if not isinstance(data, list):
        hint = (
            "binary tensor data is not supported: send JSON"
            if "binary_data_size" in (tensor.get("parameters") or {})
            else "give a list"
        )
        raise RequestError(f"tensor {_name(tensor)}: data is {_show(data)}: {hint}")
    return data


def _check_datatype(tensor: Tensor, allowed: frozenset[str] | set[str], fix: str) -> None:
    if tensor.get("datatype") not in allowed:
        raise RequestError(f"tensor {_name(tensor)}: datatype {_show(tensor.get('datatype'))} does not do: use {fix}")


def _name(tensor: Tensor) -> str:
    return _show(tensor.get("name"))


def _show(value: Any) -> str:
    """A value for a message: a request's size must not become the answer's."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
