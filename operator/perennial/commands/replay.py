"""`perennial replay`: what a policy would have done over recorded history, with no cluster."""

import asyncio
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from perennial.adapters.cluster import MODEL_DEPLOYMENT
from perennial.commands.terms import EXIT_UNAVAILABLE, UrlFileOption, fail, one_line_errors, read_url
from perennial.replay.page import write_page
from perennial.replay.preparation import Options
from perennial.replay.report import Report
from perennial.replay.runner import Book, Watcher, replay
from perennial.replay.scenario import ScenarioError, read_scenario
from perennial.replay.simulation import Simulation
from perennial.replay.telling import tell
from perennial.replay.traffic import ScoringError
from perennial.replay.workers import WorkerLostError
from perennial_contract.durations import parse_duration

EXIT_INTERRUPTED = 130
RECORDED = "recorded"
_FILES = "The YAML that would be applied: files, or folders that are searched through."
_INSTANT = "a date or an instant, UTC unless it says otherwise"


def entry(
    files: Annotated[list[Path], typer.Option("--filename", "-f", help=_FILES, show_default=False)],
    *,
    samples: Annotated[
        str | None,
        typer.Option(
            envvar="PERENNIAL_SAMPLES_URL",
            help="The recorded samples: sqlite:///FILE, postgresql+psycopg://…, or FILE.parquet.",
            show_default=False,
        ),
    ] = None,
    url_file: UrlFileOption = None,
    since: Annotated[str | None, typer.Option("--from", help=f"Begin at {_INSTANT}.")] = None,
    until: Annotated[str | None, typer.Option(help=f"End at {_INSTANT}.", show_default="the last outcome")] = None,
    compare: Annotated[
        list[Path] | None, typer.Option(help="Other files: both are replayed and held side by side.")
    ] = None,
    training_duration: Annotated[
        str, typer.Option(help="What a training takes in simulated time; `recorded`: what model_reports has.")
    ] = "15m",
    look_every: Annotated[
        str | None, typer.Option(help="How often monitors look, at most.", show_default="a quarter of labelDelay")
    ] = None,
    cost: Annotated[float, typer.Option(min=0, help="Costs of an action, off its reward.")] = 0.0,
    slippage: Annotated[float, typer.Option(min=0, help="Slippage of an action, off its reward.")] = 0.0,
    speed_up_training: Annotated[
        int, typer.Option(min=1, max=100, help="So many times fewer boosting rounds, each so many times bolder.")
    ] = 1,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Trainings at a time.")] = 2,
    out: Annotated[Path, typer.Option(help="Folder for report.json and index.html.")] = Path("replay"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
) -> None:
    """Replay models and policies over recorded samples, and see what the operator would have done.

    The operator's own controllers decide; trainings run here. It takes no cluster and changes no store.
    """
    url = read_url(samples, url_file, "no samples are named: give --samples, --url-file")
    options = Options(
        samples=url,
        work=out.resolve() / ".work",
        since=_instant("--from", since),
        until=_instant("--until", until),
        training_duration=_training_duration(training_duration),
        look_every=_duration("--look-every", look_every) if look_every else None,
        cost=cost + slippage,
        speed_up=speed_up_training,
        workers=workers,
        resume=resume,
    )
    if resume and not options.work.is_dir():
        raise fail(f"--resume: there is no interrupted run in {out}: leave --resume out, or name its folder with --out")
    try:
        options.work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise fail(f"--out: {out}: {error.strerror}: name a folder that can be written") from None
    console = _console()
    with one_line_errors(), _one_line_failures():
        books = [_book(files, speed_up_training)]
        if compare:
            books.append(_book(compare, speed_up_training, beside=books[0].name))
        _warn(console, books)
        with _interruptible() as interrupted, _shown(console, interrupted) as watcher:
            report = asyncio.run(replay(books, options, watcher))
    _write(report, out)
    tell(console, report)
    console.print(f"{out / 'report.json'} and {out / 'index.html'}")
    if not report.complete:
        console.print(f"interrupted at {report.simulated_until:%Y-%m-%d %H:%M}: go on with --resume")
        raise typer.Exit(EXIT_INTERRUPTED)
    shutil.rmtree(options.work, ignore_errors=True)


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise fail(f"{option}: {text!r} is no date: write 2018-01-01 or 2018-01-01T00:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _duration(option: str, text: str) -> timedelta:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise fail(f"{option}: {error}") from None
    if not found:
        raise fail(f"{option}: {text} is too short: write a duration above zero, as in 15m")
    return found


def _training_duration(text: str) -> timedelta | None:
    return None if text == RECORDED else _duration("--training-duration", text)


def _console() -> Console:
    """A file or a pipe has no width: the closing table gets one that it fits into."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=140)


def _book(files: list[Path], speed_up: int, beside: str | None = None) -> Book:
    """The files as a run, called after the first that declares a policy."""
    scenario = read_scenario(files, speed_up=speed_up)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", scenario.name)
    return Book(f"{name}-2" if name == beside else name, scenario)


def _warn(console: Console, books: list[Book]) -> None:
    for book in books:
        for gap in book.scenario.without_effect:
            console.print(f"[yellow]without effect[/yellow]  {gap}")
        for conflict in book.scenario.contested:
            console.print(f"[yellow]several policies[/yellow]  {conflict}")
        for model in book.scenario.ungoverned:
            console.print(f"[yellow]nobody retrains[/yellow]  {model}: no policy selects it")


@contextmanager
def _one_line_failures() -> Iterator[None]:
    try:
        yield
    except ScenarioError as error:
        raise fail(str(error)) from None
    except (ScoringError, WorkerLostError) as error:
        typer.echo(f"perennial: {error}", err=True)
        raise typer.Exit(EXIT_UNAVAILABLE) from None


@contextmanager
def _interruptible() -> Iterator[list[bool]]:
    """Ctrl-C lets the step under way end; a second one ends at once."""
    asked: list[bool] = []

    def stop(*_: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _shown(console: Console, interrupted: list[bool]) -> Iterator[Watcher]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[now]}"),
        TimeRemainingColumn(),
    )
    errors = Console(stderr=True)
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(name: str, moment: datetime, simulation: Simulation) -> None:
            span = simulation.span
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=(span.until - span.since).total_seconds(), now="")
            done = (moment - span.since).total_seconds()
            bar.update(tasks[name], completed=done, now=f"{moment:%Y-%m-%d}  {_state(simulation)}")

        def recorded(table: str, rows: int) -> None:
            console.print(f"{rows} samples of {table}")

        yield Watcher(progress, lambda: bool(interrupted), recorded)


def _state(simulation: Simulation) -> str:
    """Versions and win rates as they stand."""
    found = []
    for kind, body in simulation.cluster.all():
        if kind is MODEL_DEPLOYMENT:
            status = body.get("status", {})
            rate = status.get("health", {}).get("winRate", {}).get("value")
            shown = f" {rate:.1%}" if rate is not None else ""
            found.append(f"{status.get('stable', {}).get('version', body['metadata']['name'] + ' –')}{shown}")
    return "  ".join(found)


def _write(report: Report, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_page(report, out)
