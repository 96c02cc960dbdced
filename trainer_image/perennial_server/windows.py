"""From a row and what stands before it to the window that a model takes, or what is wrong with it."""

from collections.abc import Sequence as Items
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from perennial_contract.recording import key_hash
from perennial_contract.sequence import MAX_GAP_STEPS, Sequence, series_key
from perennial_server.errors import RequestError
from perennial_server.instants import to_micros
from perennial_server.models import Matrix, Windows

UNUSABLE = 422
"""The request is well-formed; its series' past is not what the model can work with."""
_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class History:
    """What stood before each of n rows, oldest first: m ≥ input_size rows of its series."""

    features: Matrix
    """``[n, m, k]``."""
    at: NDArray[np.int64] | None = None
    """``[n, m]`` µs since 1970; None: the client did not say."""
    known_at: NDArray[np.int64] | None = None
    """``[n, m]`` when each target counts as known, µs; None: no target is."""
    targets: Matrix | None = None
    """``[n, m]`` 0, 1 or NaN."""


def build_windows(
    rows: Matrix, series: Items[str], times: Items[datetime], history: History, sequence: Sequence, names: Items[str]
) -> Windows:
    """The rows' windows.

    Args:
        rows: ``[n, k]``, the rows themselves.
        series: one a row, or none.
        times: one a row, or none.
        history: what stood before them.
        sequence: the model's window.
        names: of the features.

    Raises:
        RequestError: 422, naming the row and what is wrong with its past.
    """
    length = sequence.input_size
    features = np.concatenate([history.features[:, -length:], rows[:, np.newaxis]], axis=1)
    _check_numbers(features, names)
    at = np.array([to_micros(time) for time in times], dtype=np.int64) if times else None
    if history.at is not None and at is not None:
        _check_times(history.at[:, -length:], at)
        if series:
            _check_gaps(history.at[:, -length:], at, series, sequence)
    targets = np.zeros((len(rows), length), dtype=np.float32)
    if history.targets is not None and history.known_at is not None and at is not None:
        past = history.targets[:, -length:]
        known = (history.known_at[:, -length:] < at[:, np.newaxis]) & ~np.isnan(past)
        targets[known] = 2 * past[known] - 1
    return Windows(np.ascontiguousarray(features), targets)


def check_series(series: Items[str], sequence: Sequence) -> None:
    """Raises RequestError for a series that the model never saw."""
    for row, name in enumerate(series):
        if series_key(key_hash(name)) not in sequence.steps:
            raise RequestError(
                f"tensor 'series': row {row}: {name!r} was not among the {len(sequence.steps)} series that this "
                "version was trained on: train one that has it",
                UNUSABLE,
            )


def _check_numbers(features: Matrix, names: Items[str]) -> None:
    missing = ~np.isfinite(features)
    if not missing.any():
        return
    row, place, column = (int(axis[0]) for axis in np.nonzero(missing))
    back = features.shape[1] - 1 - place
    where = "in the row itself" if not back else f"{back} rows before it"
    raise RequestError(
        f"row {row}: feature {names[column]!r} is missing {where}: this model needs every value of its window", UNUSABLE
    )


def _check_times(past: NDArray[np.int64], at: NDArray[np.int64]) -> None:
    steps = np.diff(np.column_stack([past, at]), axis=1)
    if (steps <= 0).any():
        row = int(np.nonzero(steps <= 0)[0][0])
        raise RequestError(f"row {row}: its history is not in order of time, all before the row: send it oldest first")


def _check_gaps(past: NDArray[np.int64], at: NDArray[np.int64], series: Items[str], sequence: Sequence) -> None:
    steps = np.array([sequence.steps[series_key(key_hash(name))] for name in series], dtype=np.int64)
    largest = np.diff(np.column_stack([past, at]), axis=1).max(axis=1)
    wide = largest > MAX_GAP_STEPS * steps
    if wide.any():
        row = int(wide.argmax())
        raise RequestError(
            f"row {row}: series {series[row]!r} has a gap of {largest[row] / _HOUR:.1f} h in the {sequence.input_size} "
            f"rows before it, its steps are {steps[row] / _HOUR:.1f} h: at most {MAX_GAP_STEPS} of them may be missing",
            UNUSABLE,
        )
