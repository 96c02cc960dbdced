"""Connections: few, checked before use, with a limit on how long a statement may take."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from perennial.adapters.store.errors import explain, explain_unescaped, explain_url

POSTGRESQL = "postgresql+psycopg"
SQLITE = "sqlite"
POOL_SIZE = 3
STATEMENT_TIMEOUT_SECONDS = 20
WORK_MEMORY = "32MB"
"""A look over months of pairs sorts and hashes in memory: at PostgreSQL's default of 4 MB it goes to disk."""

_POSTGRESQL_OPTIONS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "tcp_user_timeout": 20_000,
    "application_name": "perennial",
    # Prepared statements break under transaction-pooling proxies, and a look every few minutes gains nothing.
    "prepare_threshold": None,
}


def open_engine(url: str, drivers: tuple[str, ...] = (POSTGRESQL,)) -> Engine:
    """An engine that connects when first used.

    Raises:
        StoreMisconfigured: the text is not a URL, not escaped, or of a driver that is not among ``drivers``.
    """
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        raise explain_url(url, drivers) from None
    if parsed.drivername not in drivers:
        raise explain_url(url, drivers)
    if parsed.drivername == POSTGRESQL:
        if "@" in f"{parsed.host}{parsed.database}":
            raise explain_unescaped()
        defaults = {name: value for name, value in _POSTGRESQL_OPTIONS.items() if name not in parsed.query}
        return create_engine(
            parsed,
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_pre_ping=True,
            pool_recycle=1800,
            connect_args=defaults,
        )
    engine = create_engine(parsed)
    # The driver begins no transaction before DDL by itself, so that tables would outlive a rollback.
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


@contextmanager
def reading(engine: Engine, seconds: float = STATEMENT_TIMEOUT_SECONDS) -> Iterator[Connection]:
    """A read-only transaction with a statement timeout; database errors leave it as StoreErrors."""
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                # Set per transaction, not per connection: that holds behind connection-pooling proxies too.
                limits = f"SET LOCAL statement_timeout = {int(seconds * 1000)}; SET LOCAL work_mem = '{WORK_MEMORY}'"
                connection.execute(text(f"{limits}; SET LOCAL jit = off; SET TRANSACTION READ ONLY"))
            yield connection
    except SQLAlchemyError as error:
        raise explain(error, engine.url) from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction: all of it or nothing; database errors leave it as StoreErrors."""
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL work_mem = '{WORK_MEMORY}'"))
            yield connection
    except (SQLAlchemyError, psycopg.Error) as error:  # COPY speaks to the driver itself
        raise explain(error, engine.url) from error
