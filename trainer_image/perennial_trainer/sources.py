"""Where an attempt's rows come from and its report goes: a database, or a recording on disk."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from perennial_trainer.database import connect, read_columns
from perennial_trainer.reading import Chunk, read_chunks
from perennial_trainer.recorded import RecordedSource
from perennial_trainer.reports import ReportRow, check_reports_table, write_report
from perennial_trainer.series import Series, read_series

Types = dict[str, TypeEngine[object]]


class Source(Protocol):
    """Samples to learn from, and a place for reports."""

    @property
    def keeps_zones(self) -> bool:
        """Whether a column of instants has to say that it holds their zone."""
        ...

    def columns(self, table: str) -> Types | None:
        """Column types of a table by name; None when there is no such table."""
        ...

    def chunks(
        self,
        table: str,
        types: Types,
        features: Sequence[str],
        since: datetime,
        until: datetime,
        known_at: datetime,
        *,
        unresolved: bool = False,
    ) -> Iterator[Chunk]:
        """Rows with since ≤ at ≤ until and a target that was there at ``known_at``; the others too, without their
        outcome, where ``unresolved`` ones are wanted."""
        ...

    def series(self, table: str, types: Types, column: str, until: datetime, most: int) -> Series:
        """A feature's mean over the series at each of the newest ``most`` timestamps with at ≤ until."""
        ...

    def check_reports(self) -> None:
        """Raises TaskWrong when a report could not be written: better before the training than after it."""
        ...

    def write_report(self, row: ReportRow) -> None:
        """Writes a version's report, over an earlier attempt's."""
        ...


class SqlSource:
    """A database, in one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    @property
    def keeps_zones(self) -> bool:
        """See `Source`."""
        return self._connection.dialect.name == "postgresql"

    def columns(self, table: str) -> Types | None:
        """See `Source`."""
        return read_columns(self._connection, table)

    def chunks(
        self,
        table: str,
        types: Types,
        features: Sequence[str],
        since: datetime,
        until: datetime,
        known_at: datetime,
        *,
        unresolved: bool = False,
    ) -> Iterator[Chunk]:
        """See `Source`."""
        return read_chunks(self._connection, table, types, features, since, until, known_at, unresolved=unresolved)

    def series(self, table: str, types: Types, column: str, until: datetime, most: int) -> Series:
        """See `Source`."""
        return read_series(self._connection, table, types, column, until, most)

    def check_reports(self) -> None:
        """See `Source`."""
        check_reports_table(self._connection)

    def write_report(self, row: ReportRow) -> None:
        """See `Source`."""
        write_report(self._connection, row)


@contextmanager
def open_source(url: str) -> Iterator[Source]:
    """The source of a URL: an SQLAlchemy URL, or ``file:///folder`` for a recording.

    Raises:
        TaskWrong: the URL is neither, or the statement cannot succeed as things stand.
        Unavailable: the database does not answer.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc:
        yield RecordedSource(Path(unquote(parts.path)))
        return
    with connect(url) as connection:
        yield SqlSource(connection)
