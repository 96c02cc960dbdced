"""A recording as a source of rows: arrays that stay on disk until a row of them is needed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.types import TypeEngine

from perennial_contract.recording import (
    KEYS_FILE,
    RECORDING_FILE,
    REPORTS_FOLDER,
    UNRESOLVED,
    VALUES_FILE,
    Recording,
    ReportDocument,
)
from perennial_trainer.errors import TaskWrong
from perennial_trainer.instants import to_micros
from perennial_trainer.reading import Chunk, FloatArray, IntArray
from perennial_trainer.reports import ReportRow
from perennial_trainer.sequences import Past, Sequences
from perennial_trainer.series import Series, average

_FEATURE_TYPES: Mapping[str, TypeEngine[Any]] = {
    "float64": sa.Double(),
    "float32": sa.REAL(),
    "int64": sa.BigInteger(),
    "bool": sa.Boolean(),
}
_OWN_TYPES: Mapping[str, TypeEngine[Any]] = {
    "id": sa.Text(),
    "series": sa.Text(),
    "at": sa.DateTime(timezone=True),
    "target": sa.SmallInteger(),
    "reward": sa.Double(),
    "resolved_at": sa.DateTime(timezone=True),
}


@dataclass(frozen=True)
class RecordedTable:
    """One table of a recording, mapped into memory."""

    recording: Recording
    keys: IntArray
    values: FloatArray

    def matrix(self, names: Sequence[str], rows: slice) -> FloatArray:
        """(n, len(names)) of some rows' features, in the order of the names.

        Raises:
            TaskWrong: a name is none of its features.
        """
        return np.ascontiguousarray(self.values[rows, self._positions(names)])

    def past(self, names: Sequence[str], rows: slice, label_delay: int) -> Past:
        """Some rows in the whole table: what stands before them is read when it is looked at."""
        keys, delay = self.keys, label_delay
        known_at = np.maximum(keys[:, 1], keys[:, 0] + delay)
        sequences = Sequences(np.array(keys[:, 2]), np.array(keys[:, 0]), known_at, np.array(self.values[:, 0]), delay)
        return Past(sequences, np.arange(len(keys))[rows], _MappedColumns(self.values, self._positions(names)))

    def _positions(self, names: Sequence[str]) -> list[int]:
        position = {feature.name: 2 + index for index, feature in enumerate(self.recording.features)}
        missing = [name for name in names if name not in position]
        if missing:
            raise TaskWrong(f"recording of {self.recording.table}: column {', '.join(missing)} is missing")
        return [position[name] for name in names]


@dataclass(frozen=True)
class _MappedColumns:
    """Some columns of values that stay on disk."""

    values: FloatArray
    positions: list[int]

    def __getitem__(self, rows: IntArray, /) -> FloatArray:
        """(…, k) for numbers of shape (…)."""
        wanted, which = np.unique(rows, return_inverse=True)
        return self.values[wanted][:, self.positions][which].reshape(*rows.shape, -1)


def open_table(folder: Path) -> RecordedTable:
    """The table in a folder.

    Raises:
        TaskWrong: there is none, or it is none of ours.
    """
    try:
        recording = Recording.model_validate_json((folder / RECORDING_FILE).read_bytes())
        keys = np.load(folder / KEYS_FILE, mmap_mode="r", allow_pickle=False)
        values = np.load(folder / VALUES_FILE, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, ValidationError) as error:
        raise TaskWrong(f"recording {folder}: {' '.join(str(error).split())}; record the samples again") from None
    return RecordedTable(recording, keys, values)


class RecordedSource:
    """A recording's folder: a folder a table, and reports as files."""

    keeps_zones = False

    def __init__(self, root: Path) -> None:
        self._root = root

    def columns(self, table: str) -> dict[str, TypeEngine[object]] | None:
        """See `sources.Source`."""
        if not (self._root / table / RECORDING_FILE).is_file():
            return None
        features = open_table(self._root / table).recording.features
        return {**_OWN_TYPES, **{feature.name: _FEATURE_TYPES[feature.dtype] for feature in features}}

    def chunks(
        self,
        table: str,
        types: Mapping[str, TypeEngine[object]],
        features: Sequence[str],
        since: datetime,
        until: datetime,
        known_at: datetime,
        *,
        unresolved: bool = False,
    ) -> Iterator[Chunk]:
        """See `sources.Source`: one chunk, of copies."""
        found = open_table(self._root / table)
        first = int(np.searchsorted(found.keys[:, 0], to_micros(since), "left"))
        last = int(np.searchsorted(found.keys[:, 0], to_micros(until), "right"))
        keys = np.array(found.keys[first:last])
        outcome = np.array(found.values[first:last, :2])
        known = ~np.isnan(outcome[:, 0]) & (keys[:, 1] <= to_micros(known_at))
        if unresolved:
            keys[~known, 1] = UNRESOLVED
            outcome[~known] = np.nan
            known[:] = True
        if not known.any():
            return
        matrix = found.matrix(features, slice(first, last))
        yield Chunk(keys[known], np.hstack([outcome[known], matrix[known]]))

    def series(
        self, table: str, types: Mapping[str, TypeEngine[object]], column: str, until: datetime, most: int
    ) -> Series:
        """See `sources.Source`."""
        found = open_table(self._root / table)
        end = int(np.searchsorted(found.keys[:, 0], to_micros(until), "right"))
        return average(np.array(found.keys[:end, 0]), found.matrix([column], slice(0, end))[:, 0], most)

    def check_reports(self) -> None:
        """Raises TaskWrong when there is no folder for reports."""
        if not (self._root / REPORTS_FOLDER).is_dir():
            raise TaskWrong(f"recording {self._root}: it has no folder {REPORTS_FOLDER!r}; record the samples again")

    def write_report(self, row: ReportRow) -> None:
        """A file a version, whole or not at all."""
        texts = {name: getattr(row, name) for name in ReportDocument.model_fields if name != "schema_version"}
        path = self._root / REPORTS_FOLDER / f"{row.version}.json"
        partial = path.with_suffix(".partial")
        partial.write_text(ReportDocument.model_validate(texts).to_json())
        partial.replace(path)
