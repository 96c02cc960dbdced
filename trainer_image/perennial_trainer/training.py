"""One attempt at one version: rows in; an artifact, and a row in ``model_reports`` out."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from perennial_contract.profile import ReferenceProfile
from perennial_contract.report import Dataset, Evaluation, Feature, TrainingReport
from perennial_contract.task import ArtifactRef, TrainingTask
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.algorithms.base import Labelled, Model
from perennial_trainer.dataset import Rows, Table, check_rows, check_series, inspect_table, load_rows
from perennial_trainer.delivery import Delivery
from perennial_trainer.evaluate import Holdout, Scored, choose_metric, evaluate
from perennial_trainer.existing import ExistingModel, check_brought, fetch_model
from perennial_trainer.instants import to_instant
from perennial_trainer.profile import profile_features, profile_scores
from perennial_trainer.progress import Throttle, log, log_rounds
from perennial_trainer.reading import FloatArray
from perennial_trainer.regime import MOST_POINTS, fit_regime
from perennial_trainer.series import Series
from perennial_trainer.sources import Source, open_source
from perennial_trainer.split import MIN_TRAINING_ROWS, Split, check_count, split_rows, split_stopping

Clock = Callable[[], datetime]


def run_task(task: TrainingTask, samples_url: str, clock: Clock) -> ArtifactRef:
    """Trains (or takes what was brought), compares it with the champion, writes the artifact and then its row.

    Raises:
        TrainingError: with the exit code that says whether to try again.
        ArtifactError: an artifact is not what its digest promises.
    """
    find_algorithm(task.algorithm.name)
    choose_metric(task.evaluation)
    with open_source(samples_url) as source:
        source.check_reports()
    with tempfile.TemporaryDirectory(prefix="perennial-") as scratch:
        delivery = Delivery(task, samples_url, Path(scratch))
        if task.brought is None and (earlier := delivery.find_earlier(clock())):
            return earlier
        return _make(task, samples_url, Path(scratch), delivery, clock)


def _make(task: TrainingTask, samples_url: str, scratch: Path, delivery: Delivery, clock: Clock) -> ArtifactRef:
    champion = fetch_model(task.champion.artifact, scratch / "champion", "champion") if task.champion else None
    brought = fetch_model(task.brought, scratch / "brought", "brought model") if task.brought else None
    watch = _Stopwatch()
    data = _prepare(task, samples_url, champion, brought)
    seconds_loading = watch.lap()
    model = brought.load(task.threads) if brought else _train(task, data)
    seconds_training = watch.lap()
    scores = model.score(data.matrix[data.split.holdout])
    evaluation = _evaluate(task, data, scores, champion)
    if brought and brought.trained_until is None:
        # It may know the holdout's outcomes by heart: whatever it seems to prove there, a canary has to prove again.
        evaluation = evaluation.model_copy(update={"lower_bound": None})
    report = TrainingReport(
        version=task.version.uid,
        dataset=_describe(data),
        evaluation=evaluation,
        features=data.features,
        rounds=model.rounds,
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


def _prepare(
    task: TrainingTask, samples_url: str, champion: ExistingModel | None, brought: ExistingModel | None
) -> _Data:
    with open_source(samples_url) as source:
        table = inspect_table(source, task)
        series = _load_series(source, task, table)
        if brought:
            check_brought(task, brought.manifest, table.features)
        rows = load_rows(source, task, table, champion.names if champion else ())
    min_training = 0 if brought else MIN_TRAINING_ROWS
    check_count(rows, task.holdout, min_training)
    check_rows(rows, table.features)
    known = [model.trained_until for model in (champion, brought) if model and model.trained_until is not None]
    split = split_rows(rows, task.holdout, max(known, default=None), min_training)
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


def _train(task: TrainingTask, data: _Data) -> Model:
    mask = data.split.training
    features, target = data.matrix[mask], data.rows.target[mask]
    inner = split_stopping(data.rows.at[mask], data.rows.known_at[mask])
    if inner is None:
        log.info("too few rows for an early-stopping slice: all rounds are trained")
        fit, stop = Labelled(features, target), None
    else:
        fit, stop = (Labelled(features[part], target[part]) for part in inner)
    log.info("%s with %d threads, seed %d", task.algorithm.name, task.threads, task.seed)
    model = find_algorithm(task.algorithm.name).train(
        fit,
        stop,
        parameters=task.algorithm.parameters,
        seed=task.seed,
        threads=task.threads,
        progress=log_rounds(Throttle()),
    )
    log.info("kept %d rounds", model.rounds)
    return model


def _evaluate(task: TrainingTask, data: _Data, scores: FloatArray, champion: ExistingModel | None) -> Evaluation:
    rows, held = data.rows, data.split.holdout
    challenger = Scored(task.version.name, scores)
    scored = None
    if task.champion and champion:
        scored = Scored(task.champion.name, champion.load(task.threads).score(rows.matrix(champion.names)[held]))
    evaluation = evaluate(
        Holdout(rows.at[held], rows.target[held], rows.reward[held]),
        challenger,
        scored,
        contract=task.samples,
        decision=task.decision,
        rule=task.evaluation,
        seed=task.seed,
    )
    for score in (evaluation.challenger, evaluation.champion):
        if score:
            log.info("%s: %d wins of %d, Brier %.5f", score.version, score.wins, score.acted, score.brier)
    return evaluation


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
