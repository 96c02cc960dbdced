"""The scenario's sample store from a test's side: history in, facts out, and things that go wrong on purpose."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from tests.e2e.market import FEATURES, Rows

from perennial.commands.store import init

DELAY = timedelta(seconds=1)


@dataclass(frozen=True)
class Prediction:
    """One score to be recorded as served live."""

    sample_id: str
    score: float
    at: datetime


class Database:
    """One scenario's PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._conninfo = url.replace("postgresql+psycopg://", "postgresql://")

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        """A transaction, committed at the end."""
        async with await psycopg.AsyncConnection.connect(self._conninfo, connect_timeout=10) as connection:
            yield connection

    @asynccontextmanager
    async def locked(self, table: str) -> AsyncIterator[psycopg.AsyncConnection]:
        """Nobody else reads or writes a table until the block, or the connection, is closed."""
        async with self.connection() as connection:
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            yield connection

    async def fetch(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query with %(name)s placeholders."""
        async with self.connection() as connection:
            return await (await connection.execute(query.encode(), values)).fetchall()

    async def execute(self, statement: str, **values: Any) -> None:
        """One statement."""
        async with self.connection() as connection:
            await connection.execute(statement.encode(), values)

    async def create_tables(self, table: str, predictions: str) -> None:
        """As `perennial store init` does."""
        await asyncio.to_thread(
            init, url=self._url, table=table, predictions_table=predictions, features=",".join(FEATURES)
        )

    async def load(self, rows: Rows, at: Sequence[datetime], prefix: str, table: str = "samples") -> list[str]:
        """Samples with their outcomes; returns their ids."""
        ids = [f"{prefix}-{i}" for i in range(len(rows))]
        columns = ("id", "series", "at", *FEATURES, "target", "reward", "resolved_at")
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        async with self.connection() as connection, connection.cursor() as cursor, cursor.copy(statement) as copy:
            for i, name in enumerate(ids):
                values = (*rows.features[i].tolist(), int(rows.target[i]), float(rows.reward[i]))
                await copy.write_row((name, "spot", at[i], *values, at[i] + DELAY))
        return ids

    async def record(self, model: str, version: str, predictions: Sequence[Prediction]) -> None:
        """Scores as a server would have recorded them. ``version`` is the ModelVersion's UID."""
        statement = "COPY predictions (model, version, sample_id, track, score, at) FROM STDIN"
        async with self.connection() as connection, connection.cursor() as cursor, cursor.copy(statement) as copy:
            for one in predictions:
                await copy.write_row((model, version, one.sample_id, "live", one.score, one.at))

    async def on_report(self, name: str, model: str, body: str) -> None:
        """A trigger that runs PL/pgSQL before a model's report is written; ``NEW`` is the row."""
        await self.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$"
        )
        await self.execute(
            f"CREATE TRIGGER {name} BEFORE INSERT ON model_reports FOR EACH ROW "
            f"WHEN (NEW.model = '{model}') EXECUTE FUNCTION {name}()"
        )
