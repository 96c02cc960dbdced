"""Connections to the sample store, and its errors in our own words."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from perennial_server.errors import ConfigError, StoreRefusedError, StoreUnavailableError

_STATEMENT_TIMEOUT = "10s"
_LIBPQ: dict[str, str | int | None] = {
    "connect_timeout": 5,
    "application_name": "perennial-server",
    # A network that swallows packets must not hold a writer for the quarter of an hour that TCP would.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class Database:
    """A few connections, opened when needed and thrown away when broken."""

    def __init__(self, read_conninfo: Callable[[], str], connections: int) -> None:
        self._read_conninfo = read_conninfo
        self._free = asyncio.Semaphore(connections)
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction.

        Raises:
            StoreUnavailableError: there is no connection, it broke, or the tables are not as needed: it may be mended.
            StoreRefusedError: the rows themselves are at fault.
        """
        async with self._free:
            try:
                connection = await self._open()
                try:
                    async with connection.transaction():
                        yield connection
                finally:
                    await self._give_back(connection)
            except (psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded) as error:
                raise StoreRefusedError(_line(error)) from None
            except (psycopg.Error, OSError, ConfigError) as error:
                raise StoreUnavailableError(_line(error)) from None

    async def close(self) -> None:
        """Closes what is idle; nothing may be in use any more."""
        while self._idle:
            await self._idle.pop().close()

    async def _open(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        # Nothing is prepared on the server's side: a pooler may stand between.
        connection = await psycopg.AsyncConnection.connect(
            make_conninfo("", **{**_LIBPQ, **conninfo_to_dict(self._read_conninfo())}),
            autocommit=True,
            prepare_threshold=None,
        )
        await connection.execute(
            "SELECT set_config('timezone', 'UTC', false), set_config('statement_timeout', %s, false)",
            (_STATEMENT_TIMEOUT,),
        )
        return connection

    async def _give_back(self, connection: Connection) -> None:
        idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        if connection.closed or not idle:
            await connection.close()
        else:
            self._idle.append(connection)


def _line(error: Exception) -> str:
    """The first line: libpq's messages name host and user, never a password."""
    return next(iter(str(error).splitlines()), type(error).__name__)
