"""A feature's mean over the series at each timestamp: regimes are fitted to it, whatever window a model learns from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.types import TypeEngine

from perennial_contract.regime import LARGEST
from perennial_trainer.instants import to_micros
from perennial_trainer.reading import FloatArray, IntArray


@dataclass(frozen=True)
class Series:
    """n timestamps, ascending."""

    at: IntArray
    """Microseconds since 1970."""
    mean: FloatArray
    """Values that are missing, or beyond ``regime.LARGEST``, are left out of it."""


def read_series(
    connection: sa.Connection,
    table: str,
    types: Mapping[str, TypeEngine[object]],
    column: str,
    until: datetime,
    most: int,
) -> Series:
    """The newest ``most`` timestamps with at ≤ until."""
    at: sa.ColumnClause[Any]
    at, feature = (sa.column(quoted_name(name, quote=True), types[name]) for name in ("at", column))
    source = sa.table(quoted_name(table, quote=True), at, feature)
    value = sa.cast(feature, sa.Double)
    query = (
        sa.select(at, sa.func.avg(value))
        .select_from(source)
        # PostgreSQL holds NaN for greater than any number. SQLite keeps no zones: what is compared must be UTC.
        .where(at <= until.astimezone(UTC), value.between(-LARGEST, LARGEST))
        .group_by(at)
        .order_by(at.desc())
        .limit(most)
    )
    rows = connection.execute(query).all()[::-1]
    moments = [to_micros(at.replace(tzinfo=UTC) if at.tzinfo is None else at) for at, _ in rows]
    return Series(np.array(moments, dtype=np.int64), np.array([mean for _, mean in rows], dtype=np.float64))


def average(at: npt.NDArray[np.int64], values: FloatArray, most: int) -> Series:
    """The same of rows in the order of time."""
    usable = np.abs(values) <= LARGEST
    moments, position = np.unique(at[usable], return_inverse=True)
    sums, rows = np.bincount(position, values[usable], len(moments)), np.bincount(position, minlength=len(moments))
    return Series(moments[-most:], (sums / rows)[-most:])
