"""What a trainer leaves in the sample store: a row whose digests hold, or fail to in a way of one's choosing."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import psycopg
from psycopg import sql

from perennial_contract.profile import ReferenceProfile
from perennial_contract.report import (
    PROFILE_FILE,
    REPORT_FILE,
    Dataset,
    Evaluation,
    Feature,
    FileDigest,
    Manifest,
    ModelScore,
    TrainingReport,
)
from perennial_contract.samples import REPORT_COLUMNS, REPORTS_TABLE
from perennial_contract.task import TrainingTask

Tampering = Literal["digest", "report", "profile", "json", "version", "no row"]
MODEL_FILE = "model.ubj"
FEATURES = (Feature(name="f0"), Feature(name="f1"))


@dataclass(frozen=True)
class Training:
    """How one training ends."""

    lift: float = 0.1
    lower_bound: float = 0.05
    probability_better: float = 0.99
    brier_difference: float = -0.01
    win_rate: float = 0.56
    exit_code: int = 0
    said: str = ""
    """The termination message."""
    tampering: Tampering | None = None
    hangs: bool = False
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the challenger's scores."""
    manifest: str | None = None
    """What a model that was brought came with; it knows nothing of the report."""


DEPLOY = Training()
CANARY = Training(lift=0.03, lower_bound=0.001, probability_better=0.95)
KEEP = Training(lift=0.005, lower_bound=-0.02, probability_better=0.6)
HANGS = Training(hangs=True)


def failing(exit_code: int, said: str = "") -> Training:
    """A training that ends with an exit code and leaves no row."""
    return Training(exit_code=exit_code, said=said, tampering="no row")


def digest(text: str) -> str:
    """As manifests write it."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def build_report(task: TrainingTask, training: Training) -> TrainingReport:
    """The report on a task."""
    rate = training.win_rate
    challenger = ModelScore(
        version=task.version.name,
        acted=1000,
        wins=round(1000 * rate),
        win_rate=rate,
        average_reward=0.001,
        brier=0.24,
        mean_score=0.5,
        score_spread=0.1,
        long_share=0.5,
        finite=True,
    ).model_copy(update=training.changes)
    compared: dict[str, Any] = {}
    if task.champion is not None:
        compared = {
            "champion": challenger.model_copy(update={"version": task.champion.name}),
            "lift": training.lift,
            "lower_bound": training.lower_bound,
            "alpha": 1 - task.evaluation.confidence,
            "probability_better": training.probability_better,
            "brier_difference": training.brier_difference,
        }
    until = task.visible_until
    return TrainingReport(
        version=task.version.uid,
        dataset=Dataset(
            rows=5000,
            from_=until - task.data_window,
            until=until,
            training_rows=3900,
            purged_rows=100,
            holdout_rows=1000,
            holdout_from=until - timedelta(days=1),
            holdout_until=until,
            fingerprint=digest("rows"),
        ),
        evaluation=Evaluation(
            challenger=challenger, outcomes=1000, effective_outcomes=900.0, blocks=100, block_length=10, **compared
        ),
        features=FEATURES,
        rounds=50,
        seconds_loading=0.1,
        seconds_training=0.2,
        seconds_scoring=0.1,
    )


def build_manifest(texts: Mapping[str, str], seed: int = 1, fingerprint: str = digest("elsewhere")) -> str:
    """An artifact's manifest: of a model, and of the texts beside it."""
    files = [FileDigest(name=name, bytes=len(text), digest=digest(text)) for name, text in texts.items()]
    return Manifest(
        algorithm="xgboost",
        model_file=MODEL_FILE,
        features=FEATURES,
        seed=seed,
        fingerprint=fingerprint,
        libraries={},
        files=(FileDigest(name=MODEL_FILE, bytes=9, digest=digest("the model")), *files),
    ).to_json()


def build_row(task: TrainingTask, training: Training) -> dict[str, Any]:
    """The row of `model_reports`, tampered with as told."""
    report = build_report(task, training)
    if training.tampering == "version":
        report = report.model_copy(update={"version": "another-uid"})
    dataset = report.dataset
    profile = ReferenceProfile(rows=3900, from_=dataset.from_, until=dataset.holdout_from, features=())
    texts = {REPORT_FILE: report.to_json(), PROFILE_FILE: profile.to_json()}
    manifest = training.manifest or build_manifest(texts, task.seed, report.dataset.fingerprint)
    row = {
        "version": task.version.uid,
        "model": task.version.model_key,
        "created_at": datetime.now(UTC),
        "digest": digest(manifest),
        "manifest": manifest,
        "report": texts[REPORT_FILE],
        "profile": texts[PROFILE_FILE],
    }
    match training.tampering:
        case "digest":
            row["digest"] = digest("another manifest")
        case "report" | "profile" as name:
            row[name] = str(row[name]).replace("3900", "3901")
        case "json":
            row |= {"manifest": "{}", "digest": digest("{}")}
    return row


def write_row(url: str, row: dict[str, Any]) -> None:
    """In place of an earlier attempt's, as the trainer does."""
    table, columns = sql.Identifier(REPORTS_TABLE), sql.SQL(", ").join(map(sql.Identifier, REPORT_COLUMNS))
    values = sql.SQL(", ").join(map(sql.Placeholder, REPORT_COLUMNS))
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute(sql.SQL("DELETE FROM {} WHERE version = %(version)s").format(table), row)
        connection.execute(sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(table, columns, values), row)
