"""The store's tables: what `perennial store init` creates, and how queries name what users created themselves."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.sql.elements import quoted_name

from perennial_contract.samples import REPORTS_TABLE

_KEPT_TABLES = 128


class UtcTime(TypeDecorator[datetime]):
    """An instant. Naive times are refused on the way in and never come out, not even of SQLite, which has no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC; without its zone where the database cannot keep one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(
                f"{value.isoformat()} has no time zone: write it with an offset, as in 2024-05-01T12:00:00Z"
            )
        utc = value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Aware, in UTC."""
        if value is None:
            return None
        found: datetime = value
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _index_name(table: str, columns: str) -> str:
    """Short enough for PostgreSQL's 63 bytes, whatever the table's name."""
    return f"{table[:50]}_{columns}"


def samples_table(name: str, features: Sequence[str] = ()) -> Table:
    """The samples; an outcome may come before its sample, so all but the key may be null."""
    return _samples_table(name, tuple(features))


# Statements on one and the same Table object are compiled once for all models. On a new one each time, every look would
# be compiled anew, and the engine would keep the last 500 of them: 200 KB each.
@lru_cache(_KEPT_TABLES)
def _samples_table(name: str, features: tuple[str, ...]) -> Table:
    table = Table(
        quoted_name(name, quote=True),
        MetaData(),
        Column("id", Text, primary_key=True),
        Column("series", Text),
        Column("at", UtcTime),
        *(Column(quoted_name(feature, quote=True), Float(53)) for feature in features),
        Column("target", SmallInteger, CheckConstraint("target IN (0, 1)")),
        Column("reward", Float(53)),
        Column("resolved_at", UtcTime),
    )
    # Training reads a range of time; counting samples and outcomes never has to touch the wide rows.
    Index(_index_name(name, "at"), table.c.at, postgresql_include=["target", "resolved_at"])
    # A server whose model looks back reads the newest rows of one series.
    Index(_index_name(name, "series_at"), table.c.series, table.c.at)
    return table


@lru_cache(_KEPT_TABLES)
def predictions_table(name: str) -> Table:
    """The recorded scores. No foreign key: a prediction may be there before its sample."""
    table = Table(
        quoted_name(name, quote=True),
        MetaData(),
        Column("model", Text, primary_key=True),
        Column("version", Text, primary_key=True),
        Column("sample_id", Text, primary_key=True),
        Column("track", Text, CheckConstraint("track IN ('live', 'shadow')"), nullable=False),
        Column("score", Float(53), CheckConstraint("score >= 0 AND score <= 1"), nullable=False),
        Column("at", UtcTime, nullable=False),
    )
    # Every look is at one or two versions of one model over a range of time.
    Index(
        _index_name(name, "version_at"),
        table.c.model,
        table.c.version,
        table.c.at,
        postgresql_include=["sample_id", "track", "score"],
    )
    return table


@lru_cache(1)
def reports_table() -> Table:
    """What the trainer left of each version; texts byte for byte, since digests are over them."""
    return Table(
        REPORTS_TABLE,
        MetaData(),
        Column("version", Text, primary_key=True),
        Column("model", Text, nullable=False),
        Column("created_at", UtcTime, nullable=False),
        Column("digest", Text, nullable=False),
        Column("manifest", Text, nullable=False),
        Column("report", Text, nullable=False),
        Column("profile", Text, nullable=False),
    )
