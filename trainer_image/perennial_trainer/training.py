"""One attempt at one version: rows in; an artifact, and a row in ``model_reports`` out."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from perennial_contract.profile import ReferenceProfile
from perennial_contract.report import Dataset, Evaluation, Feature, TrainingReport
from perennial_contract.task import ArtifactRef, TrainingTask
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.comparing import Contestant, check_parity, lay_out, score_rows
from perennial_trainer.dataset import Rows, Table, check_rows, check_series, inspect_table, load_rows
from perennial_trainer.delivery import Delivery
from perennial_trainer.ensemble import Ensemble
from perennial_trainer.errors import NotEnoughData, TaskWrong
from perennial_trainer.evaluate import Holdout, Scored, choose_metric, evaluate
from perennial_trainer.existing import ExistingModel, check_brought, fetch_model
from perennial_trainer.fitting import fit_model
from perennial_trainer.instants import to_instant, to_micros
from perennial_trainer.profile import profile_features, profile_scores
from perennial_trainer.progress import log
from perennial_trainer.reading import FloatArray
from perennial_trainer.regime import MOST_POINTS, fit_regime
from perennial_trainer.series import Series
from perennial_trainer.sources import Source, open_source
from perennial_trainer.split import MIN_TRAINING_ROWS, Split, check_count, check_span, split_rows

Clock = Callable[[], datetime]


def run_task(task: TrainingTask, samples_url: str, clock: Clock) -> ArtifactRef:
    """Trains (or takes what was brought), compares it with the champion, writes the artifact and then its row.

    Raises:
        TrainingError: with the exit code that says whether to try again.
        ArtifactError: an artifact is not what its digest promises.
    """
    if task.brought is None:
        find_algorithm(
            task.algorithm.name
        ).versions()  # says so now, and not when all is read, when a library is missing
    choose_metric(task.evaluation)
    with open_source(samples_url) as source:
        source.check_reports()
    with tempfile.TemporaryDirectory(prefix="perennial-") as scratch:
        delivery = Delivery(task, samples_url, Path(scratch))
        if task.brought is None and (earlier := delivery.find_earlier(clock())):
            return earlier
        try:
            return _make(task, samples_url, Path(scratch), delivery, clock)
        except (TaskWrong, NotEnoughData):
            delivery.forget()
            raise


def _make(task: TrainingTask, samples_url: str, scratch: Path, delivery: Delivery, clock: Clock) -> ArtifactRef:
    champion = fetch_model(task.champion.artifact, scratch / "champion", "champion") if task.champion else None
    brought = fetch_model(task.brought, scratch / "brought", "brought model") if task.brought else None
    watch = _Stopwatch()
    data = _prepare(task, samples_url, champion, brought)
    seconds_loading = watch.lap()
    if brought:
        model, lineage = brought.load(task.threads), None
    else:
        model, lineage = fit_model(task, data.rows, data.features, data.split.training, champion)
    seconds_training = watch.lap()
    data, scores, evaluation, parity = _compare(task, data, model, champion)
    if brought and brought.trained_until is None:
        # It may know the holdout's outcomes by heart: whatever it seems to prove there, a canary has to prove again.
        evaluation = evaluation.model_copy(update={"lower_bound": None})
    report = TrainingReport(
        version=task.version.uid,
        dataset=_describe(data),
        evaluation=evaluation,
        features=data.features,
        rounds=model.rounds,
        left_out_rows=data.left_out or None,
        parity=parity,
        lineage=lineage,
        seconds_loading=seconds_loading,
        seconds_training=seconds_training,
        seconds_scoring=watch.lap(),
    )
    profile = _describe_shape(task, data, scores)
    if task.brought and brought:
        return delivery.deliver_brought(task.brought, brought, report, profile, clock())
    return delivery.deliver_trained(model, report, profile, clock())


class _Stopwatch:
    """Seconds between laps, to the millisecond."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap."""
        last, self._last = self._last, time.perf_counter()
        return round(self._last - last, 3)


@dataclass(frozen=True)
class _Data:
    """The rows of an attempt, cut in two."""

    rows: Rows
    split: Split
    features: tuple[Feature, ...]
    matrix: FloatArray
    """The model's columns, in its order."""
    series: Series | None = None
    """What tells the regimes: further back than the rows, which may be those of a single one."""
    left_out: int = 0
    """Holdout rows that a model cannot score."""


def _prepare(
    task: TrainingTask, samples_url: str, champion: ExistingModel | None, brought: ExistingModel | None
) -> _Data:
    with open_source(samples_url) as source:
        table = inspect_table(source, task)
        series = _load_series(source, task, table)
        if brought:
            check_brought(task, brought.manifest, table.features)
        existing = [model for model in (champion, brought) if model]
        looks_back = find_algorithm(task.algorithm.name).LOOKS_BACK or any(model.looks_back for model in existing)
        rows = load_rows(source, task, table, champion.names if champion else (), looks_back=looks_back)
    min_training = 0 if brought else MIN_TRAINING_ROWS
    check_count(rows, task.holdout, min_training)
    check_rows(rows, table.features)
    known = [model.trained_until for model in existing if model.trained_until is not None]
    split = split_rows(rows, task.holdout, max(known, default=None), min_training)
    check_span(rows, split, to_micros(task.samples.label_delay))
    training, holdout = int(split.training.sum()), int(split.holdout.sum())
    begins = to_instant(split.start).isoformat()
    log.info("training %d rows, purged %d, holdout %d rows from %s", training, split.purged, holdout, begins)
    features = brought.manifest.features if brought else table.features
    return _Data(rows, split, features, rows.matrix([feature.name for feature in features]), series)


def _load_series(source: Source, task: TrainingTask, table: Table) -> Series | None:
    rule = task.regime
    if rule is None:
        return None
    check_series(table, rule.column)
    most = max(MOST_POINTS, rule.lookback)
    return source.series(table.name, table.types, rule.column, task.visible_until, most)


def _compare(
    task: TrainingTask, data: _Data, model: Ensemble, champion: ExistingModel | None
) -> tuple[_Data, FloatArray, Evaluation, float | None]:
    """The data with what is left of the holdout, the model's scores on that, what they are worth, and their parity."""
    rows = data.rows
    new = Contestant(task.version.name, model, tuple(feature.name for feature in data.features))
    old = None
    if task.champion and champion:
        old = Contestant(task.champion.name, champion.load(task.threads), tuple(champion.names))
    field = lay_out(task, rows, data.split.holdout, new, old)
    held, old = field.rows, field.champion
    scores = score_rows(rows, held, new)
    parity = check_parity(rows, held, new)
    evaluation = evaluate(
        Holdout(rows.at[held], rows.target[held], rows.reward[held]),
        Scored(new.name, scores),
        Scored(old.name, score_rows(rows, held, old)) if old else None,
        contract=task.samples,
        decision=task.decision,
        rule=task.evaluation,
        seed=task.seed,
    )
    for score in (evaluation.challenger, evaluation.champion):
        if score:
            log.info("%s: %d wins of %d, Brier %.5f", score.version, score.wins, score.acted, score.brier)
    left_out = int(data.split.holdout.sum() - held.sum())
    return replace(data, split=replace(data.split, holdout=held), left_out=left_out), scores, evaluation, parity


def _describe(data: _Data) -> Dataset:
    rows, split = data.rows, data.split
    return Dataset(
        rows=len(rows),
        from_=to_instant(rows.at[0]),
        until=to_instant(rows.at[-1]),
        training_rows=int(split.training.sum()),
        purged_rows=split.purged,
        holdout_rows=int(split.holdout.sum()),
        holdout_from=to_instant(split.start),
        holdout_until=to_instant(rows.at[-1]),
        fingerprint=rows.fingerprint,
    )


def _describe_shape(task: TrainingTask, data: _Data, scores: FloatArray) -> ReferenceProfile:
    """Of the rows it was trained on; of the holdout's where nothing was trained here."""
    split, at = data.split, data.rows.at
    before = split.training if split.training.any() else split.holdout
    return ReferenceProfile(
        rows=int(before.sum()),
        from_=to_instant(at[before][0]),
        until=to_instant(at[before][-1]),
        features=profile_features(at[before], data.matrix[before], data.features),
        scores=profile_scores(at[split.holdout], scores, data.rows.target[split.holdout]),
        regime=fit_regime(task.regime, data.series, task.seed) if task.regime and data.series else None,
    )
