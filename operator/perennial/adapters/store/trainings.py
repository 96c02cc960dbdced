"""How long trainings took, as their reports have it."""

from pydantic import ValidationError
from sqlalchemy import select

from perennial.adapters.store.checks import columns_of
from perennial.adapters.store.engine import POSTGRESQL, SQLITE, open_engine, reading
from perennial.adapters.store.schema import reports_table
from perennial_contract.report import TrainingReport


def read_training_seconds(url: str) -> dict[str, list[float]]:
    """Seconds of loading, training and scoring of every version in ``model_reports``, by model (namespace/name).

    Raises:
        StoreError: the store cannot be read. One without the table holds no trainings.
    """
    table, found = reports_table(), dict[str, list[float]]()
    engine = open_engine(url, (POSTGRESQL, SQLITE))
    try:
        with reading(engine) as connection:
            if columns_of(connection, table.name) is None:
                return found
            for model, text in connection.execute(select(table.c.model, table.c.report)):
                try:
                    report = TrainingReport.model_validate_json(text)
                except ValidationError:
                    continue  # of a trainer that writes another report
                spent = report.seconds_loading + report.seconds_training + report.seconds_scoring
                found.setdefault(model, []).append(spent)
    finally:
        engine.dispose()
    return found
