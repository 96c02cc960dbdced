"""The version's row in ``model_reports``: the last thing that a Job writes, and what the operator believes."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import quoted_name

from perennial_contract.samples import REPORT_COLUMNS, REPORTS_TABLE
from perennial_trainer.database import read_columns
from perennial_trainer.errors import TaskWrong


@dataclass(frozen=True)
class ReportRow:
    """The columns of `REPORT_COLUMNS`; the texts are the files', byte for byte."""

    version: str
    model: str
    created_at: datetime
    digest: str
    manifest: str
    report: str
    profile: str


def check_reports_table(connection: sa.Connection) -> None:
    """Raises TaskWrong when the table is not there: better before the training than after it."""
    types = read_columns(connection, REPORTS_TABLE)
    if types is None:
        raise TaskWrong(f"sample store: no table {REPORTS_TABLE!r}; run `perennial store init`")
    missing = [name for name in REPORT_COLUMNS if name not in types]
    if missing:
        raise TaskWrong(f"table {REPORTS_TABLE}: column {', '.join(missing)} is missing; run `perennial store init`")


def write_report(connection: sa.Connection, row: ReportRow) -> None:
    """Inserts the row, or changes an earlier attempt's to it: INSERT, UPDATE and SELECT are all that it needs."""
    types = read_columns(connection, REPORTS_TABLE) or {}
    columns = [sa.column(quoted_name(name, quote=True), types.get(name)) for name in REPORT_COLUMNS]
    table = sa.table(quoted_name(REPORTS_TABLE, quote=True), *columns)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(table).values({name: getattr(row, name) for name in REPORT_COLUMNS})
    changed = {name: insert.excluded[name] for name in REPORT_COLUMNS if name != "version"}
    connection.execute(insert.on_conflict_do_update(index_elements=["version"], set_=changed))
