"""A whole replay: record the samples, run each book of policies over them, say what came of it."""

import resource
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from perennial.adapters.cluster import MODEL_DEPLOYMENT
from perennial.adapters.recording import Floats, History
from perennial.controllers.objects import parse_model
from perennial.replay import checkpoint
from perennial.replay.figures import Record, build_records, describe, difference_of
from perennial.replay.predictions import Predictions
from perennial.replay.preparation import Options, choose_durations, choose_span, record_tables, without_password
from perennial.replay.report import Comparison, Measured, ModelComparison, Performance, Report, Run, Settings
from perennial.replay.scenario import Scenario, ScenarioError
from perennial.replay.simulation import Simulation, Span
from perennial.replay.summary import build_run
from perennial.replay.workers import WorkerPool
from perennial.resources import names
from perennial_contract.durations import format_duration

CHECKPOINT_SECONDS = 60.0
INPUTS_FILE = "inputs.sha256"
ASSUMPTIONS = (
    "Outcomes do not depend on what the models did: no action of theirs moves the market.",
    "An outcome is seen when it was recorded, and never before labelDelay has passed.",
    "Pods are ready at once, no request fails, and nothing is lost.",
    "Monitors look when outcomes become visible, at most once every lookEvery; a training takes trainingDuration.",
    "Without retraining: the first version that served, left alone, on the very samples that were answered.",
)


@dataclass
class Book:
    """One set of files, and what becomes of it."""

    name: str
    scenario: Scenario
    simulation: Simulation | None = None
    records: dict[str, tuple[Record, Record]] = field(default_factory=dict)


@dataclass
class Watcher:
    """Who is told how far it is, and who may stop it."""

    progress: Callable[[str, datetime, Simulation], None] = lambda *_: None
    stopped: Callable[[], bool] = lambda: False
    recorded: Callable[[str, int], None] = lambda *_: None


async def replay(books: list[Book], options: Options, watcher: Watcher) -> Report:
    """Runs the books one after the other.

    Raises:
        ScenarioError, StoreError: the files or the samples cannot be replayed.
        WorkerLostError, ScoringError: a training or scoring process failed.
    """
    started = time.perf_counter()
    scenarios = [book.scenario for book in books]
    histories = record_tables(scenarios, options, watcher.recorded)
    span = choose_span(scenarios, histories, options)
    settings = Settings(
        from_=span.since,
        until=span.until,
        training_duration=format_duration(options.training_duration) if options.training_duration else "recorded",
        look_every=format_duration(span.look_every),
        cost=options.cost,
        speed_up_training=options.speed_up,
    )
    _check_inputs(scenarios, settings, histories, options)
    if not options.resume:
        shutil.rmtree(options.work / "runs", ignore_errors=True)
    durations = choose_durations(scenarios, options)
    complete = True
    async with AsyncExitStack() as open_pools:
        for book in books:
            folder = options.work / "runs" / book.name
            folder.mkdir(parents=True, exist_ok=True)
            workers = await open_pools.enter_async_context(WorkerPool(options.workers, folder / "workers.log"))
            complete = await _run_book(book, histories, span, workers, folder, options, durations, watcher) and complete
            if not complete:
                break
    runs = [_report_of(book, span, options.cost) for book in books if book.simulation]
    reached = min(book.simulation.clock.now() for book in books if book.simulation)
    return Report(
        complete=complete,
        simulated_until=reached,
        settings=settings,
        samples={table: len(history) for table, history in sorted(histories.items())},
        assumptions=list(ASSUMPTIONS),
        without_effect=sorted({gap for book in books for gap in book.scenario.without_effect}),
        runs=runs,
        comparison=_compare(books, options.cost) if complete and len(books) == 2 else None,
        measured=_measure(books, time.perf_counter() - started),
    )


def _check_inputs(
    scenarios: Sequence[Scenario], settings: Settings, histories: Mapping[str, History], options: Options
) -> None:
    """A run is taken up with what it was begun with, or what it told before would not hold.

    Raises:
        ScenarioError: files, samples or options are others now.
    """
    declared = [[kind.kind, body] for scenario in scenarios for kind, body in scenario.objects]
    rows = {table: [len(history), int(history.at[-1]), history.outcomes] for table, history in histories.items()}
    digest = names.digest_of([declared, settings.to_dict(), rows, without_password(options.samples)])
    path = options.work / INPUTS_FILE
    if options.resume and path.exists() and path.read_text() != digest:
        raise ScenarioError(
            "--resume: the interrupted run was begun with other files, samples or options: "
            "give it the same, or leave --resume out"
        )
    path.write_text(digest)


async def _run_book(
    book: Book,
    histories: Mapping[str, History],
    span: Span,
    workers: WorkerPool,
    folder: Path,
    options: Options,
    durations: Callable[[str], timedelta],
    watcher: Watcher,
) -> bool:
    models = {
        model: Predictions(histories[spec.samples.table], spec.samples.label_delay)
        for model, spec in book.scenario.models.items()
    }
    _link(options.work / "recording", folder, list(histories))
    book.simulation = simulation = Simulation(span, models, workers, folder, durations)
    if options.resume and checkpoint.exists(folder):
        checkpoint.restore(simulation, folder)
    else:
        await simulation.begin(list(book.scenario.objects))
    saved = time.monotonic()

    def progress(moment: datetime) -> None:
        nonlocal saved
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            checkpoint.save(simulation, folder)
            saved = time.monotonic()
        watcher.progress(book.name, moment, simulation)

    complete = await simulation.run(progress, watcher.stopped)
    checkpoint.save(simulation, folder)
    book.records = await _records(book, simulation)
    await simulation.node.stop()
    return complete


def _link(recording: Path, folder: Path, tables: list[str]) -> None:
    """A book's folder is a recording of its own: the tables are shared, reports and artifacts are not."""
    for table in tables:
        link = folder / table
        if not link.exists():
            link.symlink_to((recording / table).resolve(), target_is_directory=True)


async def _records(book: Book, simulation: Simulation) -> dict[str, tuple[Record, Record]]:
    """What every model's answers came to, beside those of its first version."""
    found = {}
    for body in await simulation.cluster.list(MODEL_DEPLOYMENT, None):
        model = parse_model(body)
        key = f"{model.namespace}/{model.name}"
        predictions = simulation.models[key]
        if predictions.answered:
            alone = await _score_alone(simulation, key)
            spec, until = book.scenario.models[key], simulation.clock.now()
            found[key] = build_records(spec, predictions, alone, until)
    return found


async def _score_alone(simulation: Simulation, key: str) -> Floats:
    """The first version's scores on all that was answered since it served."""
    predictions = simulation.models[key]
    answered = np.flatnonzero(predictions.live_version >= 0)
    first, end = int(answered[0]), int(answered[-1]) + 1
    scores = np.full(len(predictions.history), np.nan)
    scores[first:end] = await simulation.traffic.score_with(key, predictions, predictions.answered[0], first, end)
    return scores


def _report_of(book: Book, span: Span, cost: float) -> Run:
    assert book.simulation is not None
    return build_run(
        book.name,
        book.simulation.journal,
        book.scenario.models,
        book.records,
        sorted(name for name, _ in book.scenario.policies),
        cost,
        span.since,
        book.simulation.clock.now(),
    )


def _compare(books: list[Book], cost: float) -> Comparison:
    first, second = books
    either = sorted(first.records.keys() | second.records.keys())
    return Comparison(
        first=first.name,
        second=second.name,
        models=[
            ModelComparison(
                model=model,
                difference=difference_of(first.records[model][0], second.records[model][0])
                if model in first.records and model in second.records
                else None,
                first=_described(first, model, cost),
                second=_described(second, model, cost),
            )
            for model in either
        ],
    )


def _described(book: Book, model: str, cost: float) -> Performance:
    """Nothing is known of a model that never served."""
    return describe(book.records[model][0], cost) if model in book.records else Performance()


def _measure(books: list[Book], wall: float) -> Measured:
    training: dict[str, float] = {}
    scoring: dict[str, float] = {}
    waited = 0.0
    for book in books:
        if book.simulation:
            waited += book.simulation.node.waited + book.simulation.traffic.waited
            for spent, by_model in (
                (training, book.simulation.node.cpu_seconds),
                (scoring, book.simulation.traffic.cpu_seconds),
            ):
                spent |= {f"{book.name} {model}": seconds for model, seconds in by_model.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measured(
        wall_seconds=wall,
        waited_seconds=waited,
        training_cpu_seconds=training,
        scoring_cpu_seconds=scoring,
        peak_memory_mib=peak,
    )
