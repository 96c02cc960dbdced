"""The rows of a samples table as they were recorded: from PostgreSQL or SQLite, or from a Parquet file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import Boolean, Integer, select
from sqlalchemy.types import REAL

from perennial.adapters.store.checks import NUMERIC, columns_of, numeric_features
from perennial.adapters.store.engine import POSTGRESQL, SQLITE, open_engine, reading
from perennial.adapters.store.schema import samples_table
from perennial.domain.evidence import StoreMisconfigured
from perennial_contract.report import Feature
from perennial_contract.samples import RESERVED_COLUMNS, SAMPLE_COLUMNS

ROWS_A_CHUNK = 20_000
_PATIENCE_SECONDS = 600.0
"""A whole table is read, not a window of it."""
_ORDER = ("id", "series", "at", "resolved_at", "target", "reward")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows (id, series, at, resolved_at, target, reward, *features) in chunks, in whatever order."""

    features: tuple[Feature, ...]
    chunks: Iterator[Sequence[Sequence[Any]]]


def read_rows(url: str, table: str, features: Sequence[str]) -> Rows:
    """Every sample of a table that has an ``at``. A Parquet file is one table, whatever that is called.

    Raises:
        StoreError: the source cannot be read, or a column is missing.
    """
    path = parquet_path(url)
    return _read_parquet(path, features) if path else _read_sql(url, table, features)


def parquet_path(url: str) -> Path | None:
    """The file of ``samples.parquet`` or ``file:///folder/samples.parquet``; None for anything else."""
    parts = urlsplit(url)
    if parts.scheme in ("", "file") and parts.path.endswith(".parquet"):
        return Path(unquote(parts.path))
    return None


def _read_sql(url: str, table: str, features: Sequence[str]) -> Rows:
    engine = open_engine(url, (POSTGRESQL, SQLITE))
    with reading(engine) as connection:
        columns = columns_of(connection, table)
    if columns is None:
        fix = "name a store that has it, or correct samples.table"
        raise StoreMisconfigured("samples.table", f"there is no table or view {table!r}", fix)
    _require(list(columns), features, table)
    for name in features:
        if not isinstance(columns[name], NUMERIC):
            raise StoreMisconfigured("samples.features", f"{name!r} is of type {columns[name]}", "name numeric columns")
    found = [Feature(name=name, dtype=_dtype(columns[name])) for name in numeric_features(columns)]
    if not found:
        raise StoreMisconfigured("samples.features", f"{table!r} has no numeric column beside its own", "add features")

    def chunks() -> Iterator[Sequence[Sequence[Any]]]:
        samples = samples_table(table, [feature.name for feature in found])
        query = select(*(samples.c[name] for name in (*_ORDER, *(feature.name for feature in found))))
        with reading(engine, _PATIENCE_SECONDS) as connection:
            streamed = connection.execution_options(yield_per=ROWS_A_CHUNK)
            yield from streamed.execute(query.where(samples.c.at.is_not(None))).partitions()
        engine.dispose()

    return Rows(tuple(found), chunks())


def _dtype(kind: object) -> Any:
    if isinstance(kind, Boolean):
        return "bool"
    if isinstance(kind, Integer):
        return "int64"
    return "float32" if isinstance(kind, REAL) else "float64"


def _read_parquet(path: Path, features: Sequence[str]) -> Rows:
    try:
        import pyarrow as arrow  # noqa: PLC0415 - 100 MB that nothing else needs
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError:
        fix = "run pip install 'perennial[replay]'"
        raise StoreMisconfigured("samples URL", f"{path}: pyarrow is not installed", fix) from None
    with _parquet_errors(arrow, path):
        file = parquet.ParquetFile(path)
    schema = file.schema_arrow
    _require(schema.names, features, str(path))
    for name in ("at", "resolved_at"):
        kind = schema.field(name).type
        if not arrow.types.is_timestamp(kind) or kind.tz is None:
            fix = "write timestamps with a time zone: naive times are refused"
            raise StoreMisconfigured(f"{path}: {name}", f"is of type {kind}", fix)
    dtypes = {field.name: dtype for field in schema if (dtype := _arrow_dtype(arrow, field.type))}
    for name in features:
        if name not in dtypes:
            kind = schema.field(name).type
            raise StoreMisconfigured("samples.features", f"{name!r} is of type {kind}", "name numeric columns")
    found = [Feature(name=n, dtype=d) for n, d in dtypes.items() if n not in RESERVED_COLUMNS]
    if not found:
        raise StoreMisconfigured("samples.features", f"{path} has no numeric column beside its own", "add features")
    names = [*_ORDER, *(feature.name for feature in found)]
    return Rows(tuple(found), _parquet_chunks(arrow, file, names, path))


def _parquet_chunks(arrow: Any, file: Any, names: list[str], path: Path) -> Iterator[Sequence[Sequence[Any]]]:
    instant = arrow.timestamp("us", tz="UTC")
    with _parquet_errors(arrow, path):
        for batch in file.iter_batches(ROWS_A_CHUNK, columns=names):
            by_name = {name: batch.column(name) for name in names}
            # to the microsecond, as everywhere: what is finer is cut off
            by_name |= {name: by_name[name].cast(instant, safe=False) for name in ("at", "resolved_at")}
            rows = list(zip(*(column.to_pylist() for column in by_name.values()), strict=True))
            yield [row for row in rows if row[2] is not None]


@contextmanager
def _parquet_errors(arrow: Any, path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, arrow.ArrowException) as error:
        said = " ".join(str(error).split())
        raise StoreMisconfigured("samples URL", f"{path}: {said}", "name a Parquet file that can be read") from None


def _arrow_dtype(arrow: Any, kind: Any) -> Any:
    if arrow.types.is_boolean(kind):
        return "bool"
    if arrow.types.is_integer(kind):
        return "int64"
    if arrow.types.is_float32(kind):
        return "float32"
    return "float64" if arrow.types.is_floating(kind) or arrow.types.is_decimal(kind) else None


def _require(columns: Sequence[str], features: Sequence[str], table: str) -> None:
    for name in SAMPLE_COLUMNS:
        if name not in columns:
            raise StoreMisconfigured("samples.table", f"{table!r} has no column {name!r}", "add it")
    for name in features:
        if name not in columns:
            raise StoreMisconfigured("samples.features", f"{table!r} has no column {name!r}", "add it, or leave it out")
