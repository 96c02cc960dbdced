"""The rows of a task as arrays, in time order, or one line that says what is wrong with them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from perennial_contract.report import Feature
from perennial_contract.samples import RESERVED_COLUMNS, SAMPLE_COLUMNS, Dtype
from perennial_contract.task import TrainingTask
from perennial_trainer.errors import NotEnoughData, TaskWrong
from perennial_trainer.instants import to_micros
from perennial_trainer.progress import Throttle, log
from perennial_trainer.reading import BoolArray, FloatArray, IntArray
from perennial_trainer.sequences import Past, Sequences
from perennial_trainer.sources import Source, Types

MAX_TWINS = 0.05
"""Rows that are there twice: more of them are no accident."""


@dataclass(frozen=True)
class Rows:
    """Resolved samples by (at, series, id): the same rows give the same arrays whatever the database's order."""

    at: IntArray
    """Microseconds since 1970, ascending."""
    known_at: IntArray
    """When the outcome counts as known: max(resolved_at, at + labelDelay)."""
    target: FloatArray
    """0 or 1."""
    reward: FloatArray
    """NaN: none recorded."""
    features: FloatArray
    """(n, columns); NaN: missing."""
    columns: tuple[str, ...]
    fingerprint: str
    """SHA-256 over everything that was read."""
    history: "History | None" = None
    """Where the rows stand in their series; only where a model looks back."""

    def __len__(self) -> int:
        return len(self.at)

    def matrix(self, names: Sequence[str]) -> FloatArray:
        """(n, len(names)) in the order of the names; no copy when that is the order at hand."""
        return _choose(self.features, self.columns, names)

    def past(self, names: Sequence[str]) -> Past | None:
        """The rows in their table, with the columns in the order of the names."""
        if self.history is None:
            return None
        columns = _choose(self.history.features, self.columns, names)
        return Past(self.history.sequences, self.history.rows, columns)


@dataclass(frozen=True)
class History:
    """All samples of the window, resolved or not: what a model that looks back sees of the past."""

    sequences: Sequences
    rows: IntArray
    """Numbers of the resolved ones."""
    features: FloatArray


def _choose(features: FloatArray, columns: Sequence[str], names: Sequence[str]) -> FloatArray:
    if tuple(names) == tuple(columns):
        return features
    return features[:, [columns.index(name) for name in names]]


@dataclass(frozen=True)
class Table:
    """What there is to read: the table's columns, and those that are the model's features."""

    name: str
    types: Types
    features: tuple[Feature, ...]


def inspect_table(source: Source, task: TrainingTask) -> Table:
    """The samples table and the contract's features in it.

    Raises:
        TaskWrong: the table or a column is missing, or of a type that cannot work.
    """
    name = task.samples.table
    types = source.columns(name)
    if types is None:
        raise TaskWrong(f"samples.table: no table or view {name!r} in the sample store; run `perennial store init`")
    _require(types, SAMPLE_COLUMNS, name, "every samples table has it")
    at = types["at"]
    if source.keeps_zones and not getattr(at, "timezone", False):
        raise TaskWrong(f"column at of {name}: {at} has no time zone; make it timestamptz")
    features = _declared(types, task) if task.samples.features else _numeric(types)
    if not features:
        raise TaskWrong(f"samples.features: {name} has no numeric column beside {', '.join(SAMPLE_COLUMNS)}")
    return Table(name, types, features)


def check_series(table: Table, column: str) -> None:
    """Raises TaskWrong when the column that tells regimes is missing, or no number."""
    if column not in table.types:
        raise TaskWrong(f"regime.column: table {table.name} has no column {column}; add it, or name another one")
    if _dtype(table.types[column]) in (None, "bool"):
        raise TaskWrong(
            f"regime.column: column {column} of {table.name} is {table.types[column]}; name a numeric column"
        )


def _declared(types: Types, task: TrainingTask) -> tuple[Feature, ...]:
    names, table = task.samples.features, task.samples.table
    _require(types, names, table, "samples.features asks for it")
    features = []
    for name in names:
        dtype = _dtype(types[name])
        if dtype is None:
            raise TaskWrong(f"samples.features: column {name} of {table} is {types[name]}, not a number")
        features.append(Feature(name=name, dtype=dtype))
    return tuple(features)


def _numeric(types: Types) -> tuple[Feature, ...]:
    dtypes = {name: _dtype(kind) for name, kind in types.items() if name not in RESERVED_COLUMNS}
    features = [Feature(name=name, dtype=dtype) for name, dtype in dtypes.items() if dtype and dtype != "bool"]
    others = sorted(dtypes.keys() - {feature.name for feature in features})
    if others:
        log.info("not features, since not numeric: %s", ", ".join(others))
    return tuple(features)


def _require(types: Types, names: Sequence[str], table: str, reason: str) -> None:
    missing = [name for name in names if name not in types]
    if missing:
        raise TaskWrong(f"table {table}: column {', '.join(missing)} is missing; {reason}")


def _dtype(kind: TypeEngine[object]) -> Dtype | None:
    """How a feature is declared to whoever sends it; the arrays here are float64 throughout."""
    if isinstance(kind, sa.Boolean):
        return "bool"
    if isinstance(kind, sa.Integer):
        return "int64"
    if isinstance(kind, sa.REAL):
        return "float32"
    return "float64" if isinstance(kind, sa.Numeric | sa.Float) else None


def load_rows(
    source: Source, task: TrainingTask, table: Table, also: Sequence[str] = (), *, looks_back: bool = False
) -> Rows:
    """The window's rows that were resolved when the attempt was planned, with the features, and the columns that only
    the champion reads (``also``). With ``looks_back`` the others are read too, for what stands before a row.

    Raises:
        TaskWrong: a column of ``also`` is missing.
        NotEnoughData: values that nothing can be learned from; the message names the column and how many.
    """
    names = [feature.name for feature in table.features]
    names += [name for name in also if name not in names]
    _require(table.types, names, table.name, "the champion reads it")
    keys, values = _read(source, task, table, names, looks_back)
    if looks_back:
        keys, values = _without_twins(keys, values)
    known = ~np.isnan(values[:, 0])
    if not known.any():
        since = (task.until - task.data_window).isoformat()
        raise NotEnoughData(
            f"table {table.name}: no resolved rows with at from {since} to {task.visible_until.isoformat()}"
        )
    known_at = np.maximum(keys[:, 1], keys[:, 0] + to_micros(task.samples.label_delay))
    fingerprint = _fingerprint(names, keys, values)
    history = _history(task, keys, values, known_at, known) if looks_back else None
    if not known.all():
        keys, values, known_at = keys[known], values[known], known_at[known]
    return Rows(
        at=np.ascontiguousarray(keys[:, 0]),
        known_at=known_at,
        target=np.ascontiguousarray(values[:, 0]),
        reward=np.ascontiguousarray(values[:, 1]),
        features=np.ascontiguousarray(values[:, 2:]),
        columns=tuple(names),
        fingerprint=fingerprint,
        history=history,
    )


def _read(
    source: Source, task: TrainingTask, table: Table, names: Sequence[str], unresolved: bool
) -> tuple[IntArray, FloatArray]:
    """Keys (n, 4) and values (n, 2 + features) by (at, series, id)."""
    throttle, count, chunks = Throttle(), 0, []
    since = task.until - task.data_window
    for chunk in source.chunks(
        table.name, table.types, names, since, task.visible_until, task.until, unresolved=unresolved
    ):
        count += len(chunk.keys)
        chunks.append(chunk)
        if throttle.due():
            log.info("read %d rows  %.0f rows/s", count, count / throttle.seconds)
    if not chunks:
        return np.empty((0, 4), dtype=np.int64), np.empty((0, 2 + len(names)))
    log.info("read %d rows x %d features in %.1f s", count, len(names), throttle.seconds)
    keys = np.concatenate([chunk.keys for chunk in chunks])
    values = np.concatenate([chunk.values for chunk in chunks])
    chunks.clear()
    order = np.lexsort((keys[:, 3], keys[:, 2], keys[:, 0]))
    if (np.diff(order) != 1).any():
        keys, values = keys[order], values[order]
    return keys, values


def _without_twins(keys: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Of rows with the same series and ``at`` one counts, as it does for a server that looks back.

    Raises:
        NotEnoughData: they are more than a client's repetitions make.
    """
    twin = np.concatenate([[False], (np.diff(keys[:, 0]) == 0) & (np.diff(keys[:, 2]) == 0)])[: len(keys)]
    count = int(twin.sum())
    if not count:
        return keys, values
    said = f"column at: {count} of {len(keys)} rows share series and at with another"
    if count > MAX_TWINS * len(keys):
        raise NotEnoughData(f"{said}; a model that looks back needs one row of a series at a time")
    log.info("%s: one of each is read", said)
    return keys[~twin], values[~twin]


def _history(task: TrainingTask, keys: IntArray, values: FloatArray, known_at: IntArray, known: BoolArray) -> History:
    """The rows in their series."""
    delay = to_micros(task.samples.label_delay)
    sequences = Sequences(keys[:, 2], np.ascontiguousarray(keys[:, 0]), known_at, values[:, 0], delay)
    return History(sequences, np.flatnonzero(known), np.ascontiguousarray(values[:, 2:]))


def check_rows(rows: Rows, features: Sequence[Feature]) -> None:
    """Raises NotEnoughData on what no model should learn from: infinities, empty columns, labels other than 0 and 1."""
    wrong = int(((rows.target != 0) & (rows.target != 1)).sum())
    if wrong:
        raise NotEnoughData(f"column target: {wrong} of {len(rows)} rows are neither 0 nor 1")
    if rows.target.min() == rows.target.max():
        raise NotEnoughData(
            f"column target: all {len(rows)} labels are {int(rows.target[0])}; a model needs both 0 and 1"
        )
    for feature in features:
        column = rows.features[:, rows.columns.index(feature.name)]
        infinite = int(np.isinf(column).sum())
        if infinite:
            raise NotEnoughData(
                f"column {feature.name}: {infinite} of {len(rows)} values are infinite; store NULL instead"
            )
        if np.isnan(column).all():
            raise NotEnoughData(
                f"column {feature.name}: all {len(rows)} values are missing; fill it or drop the feature"
            )
    unusable = int(np.isinf(rows.reward).sum())
    if unusable:
        raise NotEnoughData(f"column reward: {unusable} of {len(rows)} values are infinite; store NULL instead")


def _fingerprint(names: Sequence[str], keys: IntArray, values: FloatArray) -> str:
    digest = hashlib.sha256("\n".join(names).encode())
    digest.update(np.ascontiguousarray(keys).data)
    digest.update(np.ascontiguousarray(values).data)
    return f"sha256:{digest.hexdigest()}"
