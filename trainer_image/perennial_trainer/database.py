"""The sample store as a Job sees it: one connection, and errors that say what to do without saying the password."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Connection, create_engine, inspect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InternalError, NoSuchModuleError, OperationalError
from sqlalchemy.types import TypeEngine

from perennial_trainer.errors import TaskWrong, Unavailable

_BACKENDS = ("postgresql", "sqlite")
_TRANSIENT = (
    *(OperationalError, InternalError, InterfaceError),
    *(psycopg.OperationalError, psycopg.InternalError, psycopg.InterfaceError),
)
"""What the database is at fault for, not the statement: a standby that may only be read until it is promoted, too."""


@contextmanager
def connect(url: str) -> Iterator[Connection]:
    """A transaction on the sample store; committed at the end.

    Raises:
        TaskWrong: the URL is none, or the statement cannot succeed as things stand.
        Unavailable: the database does not answer.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise TaskWrong(
            "samples URL: not an SQLAlchemy URL; write postgresql+psycopg://user:password@host/db"
        ) from None
    if parsed.get_backend_name() not in _BACKENDS:
        raise TaskWrong(f"samples URL: {parsed.drivername} is not supported; use postgresql+psycopg")
    if parsed.get_backend_name() == "postgresql" and "@" in f"{parsed.host}{parsed.database}":
        # The rest of a password that holds an @ is taken for the host, which errors and logs would show.
        raise TaskWrong("samples URL: an @ follows the password; percent-encode user and password in the URL")
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    with _errors_in_words():
        try:
            engine = create_engine(parsed)
        except (NoSuchModuleError, ImportError):
            raise TaskWrong(f"samples URL: {parsed.drivername} is not supported; use postgresql+psycopg") from None
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()


def read_columns(connection: Connection, table: str) -> dict[str, TypeEngine[object]] | None:
    """Column types of a table or view by name; None when there is no such table."""
    inspector = inspect(connection)
    if not inspector.has_table(table):
        return None
    return {column["name"]: column["type"] for column in inspector.get_columns(table)}


@contextmanager
def _errors_in_words() -> Iterator[None]:
    """Drivers' errors carry statements and many lines; a person needs the first line, the operator the exit code."""
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        lines = str(cause).strip().splitlines()
        said = lines[0] if lines else type(cause).__name__
        if isinstance(error, _TRANSIENT):
            raise Unavailable(f"samples database: {said}") from None
        raise TaskWrong(f"samples database: {said}") from None
