"""Whether the tables are as the contract needs them: asked once, so that no look has to fail in riddles."""

from typing import Any, Literal

from sqlalchemy import Boolean, Connection, DateTime, Float, Integer, Numeric, inspect
from sqlalchemy.engine.interfaces import ReflectedIndex
from sqlalchemy.types import String, TypeEngine

from perennial.domain.evidence import StoreMisconfigured
from perennial_contract.samples import PREDICTION_COLUMNS, REPORT_COLUMNS, REPORTS_TABLE, SAMPLE_COLUMNS, SampleContract

RecordedBy = Literal["Server", "Client"]
PREDICTION_KEY = ("model", "version", "sample_id")
Columns = dict[str, TypeEngine[Any]]
NUMERIC = (Integer, Numeric, Float, Boolean)
_INIT = "`perennial store init`"


def columns_of(connection: Connection, table: str) -> Columns | None:
    """Names and types of the columns of a table or view; None where there is neither."""
    inspector = inspect(connection)
    if not inspector.has_table(table):
        return None
    return {str(column["name"]): column["type"] for column in inspector.get_columns(table)}


def numeric_features(columns: Columns) -> tuple[str, ...]:
    """What an empty list of features stands for: every numeric column that is not reserved, in the table's order."""
    return tuple(name for name, kind in columns.items() if name not in SAMPLE_COLUMNS and isinstance(kind, NUMERIC))


def check_tables(connection: Connection, contract: SampleContract, recorded_by: RecordedBy = "Server") -> None:
    """Raises StoreMisconfigured for the first thing that cannot work."""
    samples = _require(connection, "samples.table", contract.table, SAMPLE_COLUMNS)
    predictions = _require(connection, "samples.predictionsTable", contract.predictions_table, PREDICTION_COLUMNS)
    _require(connection, "samples", REPORTS_TABLE, REPORT_COLUMNS)
    _check_features(contract, samples)
    for table, columns, names in (
        (contract.table, samples, ("target", "reward")),
        (contract.predictions_table, predictions, ("score",)),
    ):
        for name in names:
            if not isinstance(columns[name], NUMERIC):
                raise StoreMisconfigured(f"{table}.{name}", f"is of type {columns[name]}", "make it a number")
    for table, name, kind in (
        (contract.table, "id", samples["id"]),
        (contract.predictions_table, "sample_id", predictions["sample_id"]),
    ):
        if not _is_text(kind):
            fix = "make it text, as servers write it (a view may cast it)"
            raise StoreMisconfigured(f"{table}.{name}", f"is of type {kind}", fix)
    if connection.dialect.name == "postgresql":
        for table, columns in ((contract.table, samples), (contract.predictions_table, predictions)):
            _check_zones(table, columns)
    if recorded_by == "Server":  # a client may record into a table that is keyed as it likes
        _check_key(connection, "samples.table", contract.table, ("id",))
    _check_key(connection, "samples.predictionsTable", contract.predictions_table, PREDICTION_KEY)
    _check_key(connection, "samples", REPORTS_TABLE, ("version",))


def _is_text(kind: TypeEngine[Any]) -> bool:
    """Also of a domain, which has the type that it is made of."""
    return isinstance(getattr(kind, "data_type", kind), String)


def _check_key(connection: Connection, field: str, table: str, key: tuple[str, ...]) -> None:
    """That the first write wins is for the table to see to; a view has no keys of its own."""
    inspector = inspect(connection)
    if set(inspector.get_pk_constraint(table)["constrained_columns"]) == set(key):
        return
    unique = {frozenset(index["column_names"]) for index in inspector.get_indexes(table) if _is_unique(index)}
    unique |= {frozenset(constraint["column_names"]) for constraint in inspector.get_unique_constraints(table)}
    if frozenset(key) in unique or table not in inspector.get_table_names():
        return
    columns = ", ".join(key)
    raise StoreMisconfigured(
        field,
        f"{table!r} may hold a row twice: it has no unique key on ({columns})",
        f"remove what is double, then run ALTER TABLE {table} ADD PRIMARY KEY ({columns})",
    )


def _is_unique(index: ReflectedIndex) -> bool:
    """Over all rows: a partial index says nothing of the others."""
    return bool(index["unique"]) and not (index.get("dialect_options") or {}).get("postgresql_where")


def _require(connection: Connection, field: str, table: str, names: tuple[str, ...]) -> Columns:
    columns = columns_of(connection, table)
    if columns is None:
        raise StoreMisconfigured(field, f"there is no table or view {table!r}", f"run {_INIT}, or name the right one")
    for name in names:
        if name not in columns:
            raise StoreMisconfigured(field, f"{table!r} has no column {name!r}", f"add it; {_INIT} shows what belongs")
    return columns


def _check_features(contract: SampleContract, columns: Columns) -> None:
    for name in contract.features:
        if name not in columns:
            fix = f"run `perennial store init --features {name}`, or leave it out"
            raise StoreMisconfigured("samples.features", f"{contract.table!r} has no column {name!r}", fix)
        if not isinstance(columns[name], NUMERIC):
            raise StoreMisconfigured("samples.features", f"{name!r} is of type {columns[name]}", "name numeric columns")
    if not contract.features and not numeric_features(columns):
        fix = "run `perennial store init --features ...`"
        raise StoreMisconfigured("samples.features", f"{contract.table!r} has no numeric column beside its own", fix)


def check_series(connection: Connection, table: str, name: str) -> None:
    """Raises StoreMisconfigured when a regime's column is missing, or no number."""
    columns = columns_of(connection, table) or {}
    if name not in columns:
        fix = f"run `perennial store init --features {name}`, or name another one"
        raise StoreMisconfigured("spec.regime.column", f"{table!r} has no column {name!r}", fix)
    if not isinstance(columns[name], NUMERIC) or isinstance(columns[name], Boolean):
        raise StoreMisconfigured("spec.regime.column", f"{name!r} is of type {columns[name]}", "name a numeric column")


def _check_zones(table: str, columns: Columns) -> None:
    for name in ("at", "resolved_at"):
        kind = columns.get(name)
        if kind is not None and not (isinstance(kind, DateTime) and kind.timezone):
            fix = "make it timestamp with time zone: naive times are refused"
            raise StoreMisconfigured(f"{table}.{name}", f"is of type {kind}", fix)
