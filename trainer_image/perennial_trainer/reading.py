"""Reads samples as arrays: PostgreSQL by binary COPY (no Python object a value), anything else row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.sql.elements import ColumnElement, quoted_name
from sqlalchemy.types import TypeEngine

from perennial_contract.recording import UNRESOLVED, key_hash
from perennial_trainer.errors import NotEnoughData
from perennial_trainer.instants import to_micros

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_CHUNK_ROWS = 20_000
_HEADER_BYTES = 19
_KEYS = 4


@dataclass(frozen=True)
class Chunk:
    """Some rows: ``keys`` (n, 4) are at, resolved_at (µs since 1970), hash of series, hash of id; ``values`` are
    (n, 2 + features): target, reward, features; NaN is NULL."""

    keys: IntArray
    values: FloatArray


def read_chunks(
    connection: sa.Connection,
    table: str,
    types: dict[str, TypeEngine[object]],
    features: Sequence[str],
    since: datetime,
    until: datetime,
    known_at: datetime,
    *,
    unresolved: bool = False,
) -> Iterator[Chunk]:
    """Rows with since ≤ at ≤ until and a target that was there at ``known_at``, in the database's order.

    With ``unresolved`` the others too, without an outcome, whatever became known of them later.
    """
    columns: dict[str, sa.ColumnClause[Any]] = {
        name: sa.column(quoted_name(name, quote=True), kind) for name, kind in types.items()
    }
    # SQLite keeps no zones: what is compared must be UTC.
    begin, end = since.astimezone(UTC), until.astimezone(UTC)
    resolved = columns["resolved_at"]
    known = sa.and_(columns["target"].is_not(None), sa.or_(resolved.is_(None), resolved <= known_at.astimezone(UTC)))
    where: list[ColumnElement[bool]] = [columns["at"] >= begin, columns["at"] <= end]
    if not unresolved:
        where.append(known)
    source = sa.table(quoted_name(table, quote=True), *columns.values())
    outcome: list[ColumnElement[Any]] = [columns[name] for name in ("resolved_at", "target", "reward")]
    if unresolved:
        outcome = [sa.case((known, column)) for column in outcome]
    keys = [columns["at"], outcome[0], columns["series"], columns["id"]]
    values = [*outcome[1:], *(columns[name] for name in features)]
    if connection.dialect.name == "postgresql":
        chosen: list[ColumnElement[Any]] = [
            _micros(keys[0]),
            _micros(keys[1]),
            _hash(keys[2]),
            _hash(keys[3]),
            *(_double(v) for v in values),
        ]
        return _read_copy(connection, sa.select(*chosen).select_from(source).where(*where), len(values))
    names = ["at", "resolved_at", "series", "id", "target", "reward", *features]
    labelled = [column.label(name) for name, column in zip(names, [*keys, *values], strict=True)]
    return _read_rows(connection, sa.select(*labelled).select_from(source).where(*where))


def _micros(column: ColumnElement[Any]) -> ColumnElement[int]:
    micros = sa.cast(sa.extract("epoch", column) * 1_000_000, sa.BigInteger)
    return sa.func.coalesce(micros, sa.literal(UNRESOLVED, sa.BigInteger))


def _hash(column: ColumnElement[Any]) -> ColumnElement[int]:
    """`recording.key_hash`: a fixed width for COPY, and the same order in every database."""
    digits = sa.func.substr(sa.func.md5(sa.cast(column, sa.Text)), 1, 16)
    return sa.func.coalesce(sa.cast(sa.cast(sa.literal("x") + digits, BIT(64)), sa.BigInteger), 0)


def _double(column: ColumnElement[Any]) -> ColumnElement[float]:
    number = sa.cast(column, sa.Integer) if isinstance(column.type, sa.Boolean) else column
    return sa.func.coalesce(sa.cast(number, sa.Double), sa.cast(sa.literal("NaN"), sa.Double))


def _read_copy(connection: sa.Connection, statement: sa.Select[*tuple[Any, ...]], width: int) -> Iterator[Chunk]:
    """No column is NULL and all are 8 bytes wide, so that rows have one length and a buffer of them is an array.

    The layout: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
    """
    row = np.dtype(
        [
            ("fields", ">i2"),
            ("keys", [("bytes", ">i4"), ("value", ">i8")], (_KEYS,)),
            ("values", [("bytes", ">i4"), ("value", ">f8")], (width,)),
        ]
    )
    query = str(statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)") as copy:
        buffer = bytearray()
        start = _HEADER_BYTES
        for message in copy:
            buffer += message
            if len(buffer) - start >= _CHUNK_ROWS * row.itemsize:
                yield _parse(buffer[start:], row)
                start, buffer = 0, bytearray()
        if len(buffer) - start >= row.itemsize:
            yield _parse(buffer[start:], row)


def _parse(buffer: bytearray, row: np.dtype[Any]) -> Chunk:
    rows = np.frombuffer(buffer, dtype=row, count=len(buffer) // row.itemsize)
    if not (rows["values"]["bytes"] == 8).all():
        raise RuntimeError("COPY sent a field that is not 8 bytes wide")
    return Chunk(rows["keys"]["value"].astype(np.int64), rows["values"]["value"].astype(np.float64))


def _read_rows(connection: sa.Connection, statement: sa.Select[*tuple[Any, ...]]) -> Iterator[Chunk]:
    result = connection.execution_options(yield_per=_CHUNK_ROWS).execute(statement)
    names = list(result.keys())
    for rows in result.partitions():
        keys = [(_epoch(at), _epoch(known), key_hash(series), key_hash(key)) for at, known, series, key, *_ in rows]
        values = [row[_KEYS:] for row in rows]
        try:
            numbers = np.array(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise NotEnoughData(_not_a_number(names[_KEYS:], values)) from None
        yield Chunk(np.array(keys, dtype=np.int64), numbers)


def _not_a_number(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    for row in rows:
        for name, value in zip(names, row, strict=True):
            if not isinstance(value, int | float | None):
                return f"column {name}: {value!r} is not a number"
    return "a value is not a number"


def _epoch(at: datetime | None) -> int:
    if at is None:
        return UNRESOLVED
    return to_micros(at.replace(tzinfo=UTC) if at.tzinfo is None else at)
