"""The sample store as the server writes it: records in batches, outcomes in transactions."""

from collections.abc import Sequence

import orjson

from perennial_contract.report import Manifest
from perennial_contract.serving import ServerConfig
from perennial_server.database import Database
from perennial_server.metrics import Metrics
from perennial_server.outcomes import Outcome, OutcomeConflictError, Recorded
from perennial_server.records import Scored
from perennial_server.statements import OutcomeStatements, RecordStatements


class PostgresRecords:
    """Samples and predictions. What is there stays: the first write of a sample or a prediction wins."""

    def __init__(self, database: Database, config: ServerConfig, manifest: Manifest, metrics: Metrics) -> None:
        self._database = database
        self._config = config
        self._statements = RecordStatements(config.samples, manifest.features)
        self._metrics = metrics

    async def write(self, scored: Scored) -> None:
        """Inserts all of them or none; raises as `RecordStore.write` says."""
        samples = predictions = 0
        async with self._database.transaction() as connection:
            if self._config.recorded_by == "Server":
                text = self._statements.encode_samples(scored)
                samples = (await connection.execute(self._statements.samples, (text,))).rowcount
            text = self._statements.encode_predictions(scored)
            key = (self._config.model, self._config.version)
            predictions = (await connection.execute(self._statements.predictions, (*key, text))).rowcount
        self._metrics.written.labels("samples").inc(samples)
        self._metrics.written.labels("predictions").inc(predictions)


class PostgresOutcomes:
    """Outcomes on the samples' rows."""

    def __init__(self, database: Database, table: str) -> None:
        self._database = database
        self._statements = OutcomeStatements(table)

    async def record(self, outcomes: Sequence[Outcome]) -> Recorded:
        """Records all of them, or none when one contradicts what is there.

        Raises:
            OutcomeConflictError: naming those that do.
            StoreUnavailableError, StoreRefusedError: as `Database.transaction`.
        """
        text = orjson.dumps([outcome.row() for outcome in outcomes]).decode()
        async with self._database.transaction() as connection:
            accepted = (await connection.execute(self._statements.record, (text,))).rowcount
            if accepted < len(outcomes):
                rows = await (await connection.execute(self._statements.conflicts, (text,))).fetchall()
                if rows:
                    raise OutcomeConflictError(tuple(str(name) for (name,) in rows))
        return Recorded(accepted, len(outcomes) - accepted)
