"""A small market in SQLite, tables as `perennial store init` makes them, and tasks that train on it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from perennial.adapters.store.schema import reports_table, samples_table
from perennial_contract.report import JobSummary, TrainingReport
from perennial_contract.task import ArtifactRef, TrainingTask
from perennial_trainer.main import main

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FEATURES = ("ret_1", "vol_24", "noise")


def market(rows: int, seed: int = 0, signal: float = 1.0) -> list[dict[str, Any]]:
    """Hours of a made-up market: ``ret_1`` tells the next outcome, the more the stronger the signal."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, len(FEATURES)))
    target = (values[:, 0] * signal + rng.normal(size=rows) > 0).astype(int)
    reward = np.where(target == 1, 1.0, -1.0) * rng.uniform(0.001, 0.02, rows)
    return [
        {
            "id": f"btc-{i}",
            "series": "btc",
            "at": START + i * HOUR,
            **dict(zip(FEATURES, map(float, values[i]), strict=True)),
            "target": int(target[i]),
            "reward": float(reward[i]),
            "resolved_at": START + (i + 2) * HOUR,
        }
        for i in range(rows)
    ]


@dataclass
class Bench:
    """A folder with a sample store and an artifact store."""

    folder: Path
    features: tuple[str, ...] = FEATURES
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'samples.db'}"

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def fill(self, rows: list[dict[str, Any]]) -> "Bench":
        """Creates the tables and loads the rows."""
        self.rows = rows
        engine = sa.create_engine(self.url)
        table = samples_table("samples", self.features)
        with engine.begin() as connection:
            table.create(connection)
            reports_table().create(connection)
            connection.execute(sa.insert(table), rows)
        engine.dispose()
        return self

    def sql(self, statement: str) -> list[Any]:
        """Runs a statement on the sample store."""
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            result = connection.execute(sa.text(statement))
            found = list(result) if result.returns_rows else []
        engine.dispose()
        return found

    def task(self, revision: int = 1, **changes: Any) -> TrainingTask:
        """A quick task on these rows; keyword arguments replace whole fields."""
        last = max(row["at"] for row in self.rows) if self.rows else START
        document = {
            "version": {
                "namespace": "trading",
                "model": "btc",
                "model_uid": "m-uid",
                "name": f"btc-v{revision}",
                "uid": f"v-uid-{revision}",
                "revision": revision,
            },
            "algorithm": {"name": "xgboost", "parameters": {"num_boost_round": 20, "max_depth": 2}},
            "samples": {"label_delay": "5h"},
            "decision": {},
            "until": last + 6 * HOUR,
            "data_window": "730d",
            "holdout": {"share": 0.25, "min_rows": 200},
            "store": f"file://{self.artifacts}",
            **changes,
        }
        return TrainingTask.model_validate(document)


def run(bench: Bench, task: TrainingTask | str, url: str | None = None) -> tuple[int, JobSummary]:
    """Runs the command as a Job would."""
    task_file, url_file, log = (bench.folder / name for name in ("task.json", "url", "termination-log"))
    task_file.write_text(task if isinstance(task, str) else task.to_json())
    url_file.write_text(f"{url or bench.url}\n")
    log.touch()
    arguments = ["--task", str(task_file), "--samples-url-file", str(url_file), "--termination-log", str(log)]
    code = main(arguments)
    return code, JobSummary.model_validate_json(log.read_text())


def report_of(bench: Bench, uid: str = "v-uid-1") -> TrainingReport:
    """The report in a version's row."""
    [row] = bench.sql(f"SELECT report FROM model_reports WHERE version = '{uid}'")
    return TrainingReport.model_validate_json(row.report)


def champion(ref: ArtifactRef, revision: int = 1) -> dict[str, Any]:
    """A task's ``champion``."""
    return {"name": f"btc-v{revision}", "uid": f"v-uid-{revision}", "artifact": ref.model_dump()}


Now = Callable[[], datetime]
