"""Files into the store: staged beside the samples, compared with them, merged in one transaction or not at all."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    Identity,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    cast,
    false,
    func,
    insert,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.types import TypeEngine

from perennial.adapters.store.checks import columns_of, numeric_features
from perennial.adapters.store.engine import writing
from perennial.adapters.store.schema import UtcTime, predictions_table, reports_table, samples_table
from perennial.adapters.store.source import TIMES, Chunk, SampleFile, SourceError
from perennial_contract.samples import SAMPLE_COLUMNS

_ROW = "perennial_row"
_TEXTS = ("id", "series")
_OUTCOME = ("target", "reward")
OnChunk = Callable[[SampleFile, Chunk], None]
"""Told of each chunk that has been written."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file brought."""

    rows: int
    known: int
    """Of these, those that were there already: nothing of them was overwritten, what was missing was filled in."""


def create_tables(connection: Connection, table: str, predictions: str, features: Sequence[str]) -> tuple[str, ...]:
    """Creates the three tables where they are missing; the names of the feature columns that were added."""
    before = columns_of(connection, table)
    samples = samples_table(table, features)
    for wanted in (samples, predictions_table(predictions), reports_table()):
        wanted.metadata.create_all(connection)
        for index in wanted.indexes:  # of a table that was there already, create_all makes none
            index.create(connection, checkfirst=True)
    if before is None:
        return tuple(features)
    added = tuple(name for name in features if name not in before)
    quote = connection.dialect.identifier_preparer.quote_identifier
    for name in added:
        kind = samples.c[name].type.compile(connection.dialect)
        connection.execute(text(f"ALTER TABLE {quote(table)} ADD COLUMN {quote(name)} {kind}"))
    return added


def load_files(
    engine: Engine,
    paths: Sequence[Path],
    *,
    table: str = "samples",
    predictions: str = "predictions",
    features: Sequence[str] | None = None,
    progress: OnChunk = lambda file, chunk: None,
) -> Loaded:
    """Loads CSV files into the samples. What is known stays; loading a file twice changes nothing.

    Raises:
        SourceError: a row is wrong, an id stands twice, or an outcome differs from the one that is recorded.
        StoreError: the database cannot take it.
    """
    files = [SampleFile(path, features) for path in paths]
    with writing(engine) as connection:
        found = [_load(connection, file, table, predictions, progress) for file in files]
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"ANALYZE {engine.dialect.identifier_preparer.quote_identifier(table)}"))
    return Loaded(rows=sum(one.rows for one in found), known=sum(one.known for one in found))


def _load(
    connection: Connection,
    file: SampleFile,
    table: str,
    predictions: str,
    progress: OnChunk,
) -> Loaded:
    present = columns_of(connection, table)
    if present is None or not numeric_features(present):
        create_tables(connection, table, predictions, file.features)
    elif missing := [name for name in file.features if name not in present]:
        raise SourceError(
            f"{file.path}: the table {table!r} has no column {missing[0]!r}: "
            f"add it with `perennial store init --features {','.join(missing)}`, or choose with --features"
        )
    staging = _staging_table(connection, file)
    staging.create(connection)
    rows = 0
    with _open_writer(connection, staging, file) as write:
        for chunk in file.chunks(parsed=connection.dialect.name != "postgresql"):
            write(chunk)
            rows += len(chunk.rows)
            progress(file, chunk)
    samples = samples_table(table, file.features)
    reward = (columns_of(connection, table) or {}).get("reward", Float(53))
    known = _compare(connection, staging, samples, file, reward)
    connection.execute(_merge(connection, staging, samples, file))
    staging.drop(connection)
    return Loaded(rows, known)


def _staging_table(connection: Connection, file: SampleFile) -> Table:
    """The file as a temporary table, with the rows numbered in its order."""

    def kind(name: str) -> Any:
        if name in TIMES:
            return UtcTime
        if name in _TEXTS or (name not in SAMPLE_COLUMNS and name not in file.features):
            return Text
        return Float(53)

    number = (
        Column(_ROW, BigInteger, Identity(always=True))
        if connection.dialect.name == "postgresql"
        else Column(_ROW, Integer, primary_key=True)
    )
    columns = [Column(quoted_name(name, quote=True), kind(name)) for name in file.columns]
    return Table("perennial_staging", MetaData(), number, *columns, prefixes=["TEMPORARY"])


@contextmanager
def _open_writer(connection: Connection, staging: Table, file: SampleFile) -> Iterator[Callable[[Chunk], None]]:
    if connection.dialect.name != "postgresql":
        yield lambda chunk: _insert(connection, staging, file, chunk)
        return
    # The file's own text goes to COPY: it has been checked, and nothing is quicker.
    quote = connection.dialect.identifier_preparer.quote_identifier
    names = ", ".join(quote(name) for name in file.columns)
    statement = f"COPY {staging.name} ({names}) FROM STDIN (FORMAT csv, FORCE_NULL ({names}))"
    driver: psycopg.Connection[Any] = connection.connection.dbapi_connection  # type: ignore[assignment] # psycopg's own
    try:
        with driver.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            yield lambda chunk: copy.write(chunk.text)
    except psycopg.DataError as error:
        raise SourceError(f"{file.path}: {_place(error.diag.context or '')}: {error.diag.message_primary}") from None


def _place(context: str) -> str:
    """ "COPY staging, line 7, column f1: …" as the file's own row and column; its header is row 1."""
    if not (found := re.search(r"line (\d+)(?:, column ([^:]+))?", context)):
        return "a row"
    row, column = int(found[1]) + 1, found[2]
    return f"row {row}, column {column}" if column else f"row {row}"


def _insert(connection: Connection, staging: Table, file: SampleFile, chunk: Chunk) -> None:
    connection.execute(insert(staging), [_converted(file, row) for row in chunk.rows])


def _converted(file: SampleFile, row: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in zip(file.columns, row, strict=True):
        if not value:
            values[name] = None
        elif name in TIMES:
            values[name] = datetime.fromisoformat(value)
        elif name in file.features or name in ("target", "reward"):
            values[name] = float(value)
        else:
            values[name] = value
    return values


def _compare(connection: Connection, staging: Table, samples: Table, file: SampleFile, reward: TypeEngine[Any]) -> int:
    """How many of the rows are known. An id or an outcome that contradicts itself ends the load."""
    twice = select(staging.c.id, func.max(staging.c[_ROW])).group_by(staging.c.id).having(func.count() > 1).limit(1)
    if (found := connection.execute(twice).first()) is not None:
        raise SourceError(f"{file.path}: row {found[1] + 1}: id = {found[0]!r} stands twice: keep one")
    if "resolved_at" in staging.c:
        early = select(staging.c.id, staging.c[_ROW]).where(staging.c.resolved_at < staging.c.at).limit(1)
        if (found := connection.execute(early).first()) is not None:
            raise SourceError(
                f"{file.path}: row {found[1] + 1}: resolved_at of {found[0]!r} is before its at: "
                "an outcome comes after its sample"
            )
    both = staging.join(samples, samples.c.id == staging.c.id)
    outcome: dict[str, ColumnElement[Any]] = {name: staging.c[name] for name in _OUTCOME if name in staging.c}
    if "reward" in outcome:
        # As the table's column would hold it: a `real` keeps fewer digits than a file has.
        outcome["reward"] = cast(outcome["reward"], reward)
    differs = or_(false(), *(value != samples.c[name] for name, value in outcome.items()))
    counts = select(func.count(), func.min(staging.c[_ROW]).filter(differs)).select_from(both)
    known, row = connection.execute(counts).one()
    if row is not None:
        columns = [column for name, value in outcome.items() for column in (value, samples.c[name])]
        key, *values = connection.execute(
            select(staging.c.id, *columns).select_from(both).where(staging.c[_ROW] == row)
        ).one()
        pairs = zip(outcome, values[::2], values[1::2], strict=True)
        name, new, old = next(pair for pair in pairs if None not in pair and pair[1] != pair[2])
        raise SourceError(
            f"{file.path}: row {row + 1}: {name} = {new:g} of {key!r}, recorded is {old:g}: "
            "an outcome is final: correct the file, or the sample in the database"
        )
    return int(known)


def _merge(connection: Connection, staging: Table, samples: Table, file: SampleFile) -> Any:
    names = [name for name in file.columns if name in SAMPLE_COLUMNS or name in file.features]
    chosen = [cast(staging.c[name], Integer).label(name) if name == "target" else staging.c[name] for name in names]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    # `WHERE true` keeps SQLite from reading ON CONFLICT as a join's ON.
    merge = dialect.insert(samples).from_select(names, select(*chosen).where(true()))
    filled = {name: func.coalesce(samples.c[name], merge.excluded[name]) for name in names if name != "id"}
    missing = (and_(samples.c[name].is_(None), merge.excluded[name].is_not(None)) for name in filled)
    return merge.on_conflict_do_update(index_elements=["id"], set_=filled, where=or_(*missing))
