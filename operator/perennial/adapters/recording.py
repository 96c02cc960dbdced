"""Recorded samples, from a database or a Parquet file, as arrays on disk in the order of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perennial.adapters.recorded_rows import Rows, read_rows
from perennial.domain.evidence import StoreMisconfigured
from perennial_contract.recording import KEYS_FILE, RECORDING_FILE, UNRESOLVED, VALUES_FILE, Recording, key_hash

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(value: datetime | timedelta) -> int:
    """Microseconds; since 1970 for an instant."""
    return (value - _EPOCH if isinstance(value, datetime) else value) // _MICROSECOND


def to_instant(micros: int) -> datetime:
    """And back, in UTC."""
    return _EPOCH + timedelta(microseconds=int(micros))


@dataclass(frozen=True)
class History:
    """One table of a recording: n samples in the order of time. Features stay on disk: only trainers read them."""

    folder: Path
    recording: Recording
    at: Ints
    """(n,) µs since 1970, ascending."""
    resolved_at: Ints
    """(n,) µs; `UNRESOLVED` where an outcome has no time of its own."""
    id_hash: Ints
    target: Floats
    """(n,) 0, 1 or NaN: the outcome as it was recorded in the end; `known_at` says from when on it may be seen."""
    reward: Floats

    def known_at(self, label_delay: timedelta) -> Ints:
        """(n,) from when on each outcome is there; an outcome without a time is taken to have come when it was due."""
        return np.where(self.resolved_at == UNRESOLVED, self.at + to_micros(label_delay), self.resolved_at)

    @cached_property
    def outcomes(self) -> int:
        """Samples with an outcome."""
        return int((~np.isnan(self.target)).sum())

    def __len__(self) -> int:
        return len(self.at)


def record_table(url: str, table: str, features: Sequence[str], folder: Path) -> History:
    """Copies a table's samples into a folder; features beside the named ones are copied too.

    Raises:
        StoreError: the table, a column or an outcome is missing, or the source cannot be read.
    """
    chunks = read_rows(url, table, features)
    keys, values, order, recording = _gather(table, chunks)
    folder.mkdir(parents=True, exist_ok=True)
    keys = keys[order]
    np.save(folder / KEYS_FILE, keys, allow_pickle=False)
    stored = np.lib.format.open_memmap(folder / VALUES_FILE, mode="w+", dtype=np.float64, shape=values.shape)
    for first in range(0, len(order), 65_536):
        stored[first : first + 65_536] = values[order[first : first + 65_536]]
    stored.flush()
    (folder / RECORDING_FILE).write_text(recording.to_json())
    return open_history(folder)


def open_history(folder: Path) -> History:
    """A table that was recorded before."""
    recording = Recording.model_validate_json((folder / RECORDING_FILE).read_bytes())
    keys = np.load(folder / KEYS_FILE, allow_pickle=False)
    values = np.load(folder / VALUES_FILE, mmap_mode="r", allow_pickle=False)
    at, resolved_at, id_hash = (np.ascontiguousarray(keys[:, column]) for column in (0, 1, 3))
    return History(folder, recording, at, resolved_at, id_hash, np.array(values[:, 0]), np.array(values[:, 1]))


def _gather(table: str, rows: Rows) -> tuple[Ints, Floats, NDArray[np.intp], Recording]:
    keys, values = [], []
    for chunk in filter(None, rows.chunks):
        keys.append(_keys_of(chunk))
        values.append(_values_of(chunk, table))
    if not keys:
        raise StoreMisconfigured("samples.table", f"{table!r} has no sample with an `at`", "load samples first")
    all_keys, all_values = np.concatenate(keys), np.concatenate(values)
    if np.isnan(all_values[:, 0]).all():
        raise StoreMisconfigured("samples.target", f"no sample of {table!r} has an outcome", "record outcomes first")
    wrong = ~np.isin(all_values[:, 0], (0, 1)) & ~np.isnan(all_values[:, 0])
    if wrong.any():
        raise StoreMisconfigured(f"{table}.target", f"{all_values[wrong, 0][0]:g} stands in it", "write 0, 1 or NULL")
    order = np.lexsort((all_keys[:, 3], all_keys[:, 2], all_keys[:, 0]))
    recording = Recording(table=table, rows=len(all_keys), features=rows.features)
    return all_keys, all_values, order, recording


def _keys_of(chunk: Sequence[Sequence[Any]]) -> Ints:
    """(n, 4) of rows (id, series, at, resolved_at, …)."""
    return np.array(
        [
            (_micros(at), UNRESOLVED if resolved is None else _micros(resolved), key_hash(series), key_hash(key))
            for key, series, at, resolved, *_ in chunk
        ],
        dtype=np.int64,
    )


def _micros(at: datetime) -> int:
    return to_micros(at.replace(tzinfo=UTC) if at.tzinfo is None else at)


def _values_of(chunk: Sequence[Sequence[Any]], table: str) -> Floats:
    try:
        return np.array([row[4:] for row in chunk], dtype=np.float64)
    except (TypeError, ValueError):
        raise StoreMisconfigured(f"table {table}", "a value is not a number", "write numbers, or NULL") from None
