"""`perennial store`: create the sample store, load samples, see what stands in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import Engine

from perennial.adapters.store.engine import writing
from perennial.adapters.store.load import Loaded, OnChunk, create_tables, load_files
from perennial.adapters.store.source import Chunk, SampleFile
from perennial.adapters.store.status import StoreStatus, observe_status
from perennial.commands.terms import (
    FeaturesOption,
    PredictionsOption,
    TableOption,
    UrlFileOption,
    UrlOption,
    check_names,
    one_line_errors,
    opened_store,
    split_features,
)

entry = typer.Typer(no_args_is_help=True)


@entry.command()
def init(
    url: UrlOption = None,
    url_file: UrlFileOption = None,
    table: TableOption = "samples",
    predictions_table: PredictionsOption = "predictions",
    features: FeaturesOption = None,
) -> None:
    """Create the tables where they are missing; add feature columns where they are missing."""
    check_names(table=table, **{"predictions-table": predictions_table})
    names = split_features(features) or []
    with one_line_errors(), opened_store(url, url_file) as engine, writing(engine) as connection:
        added = create_tables(connection, table, predictions_table, names)
    typer.echo(f"{table}, {predictions_table} and model_reports are there; {len(added)} feature columns added")


@entry.command()
def load(
    files: Annotated[list[Path], typer.Argument(help="CSV files with a header, plain or gzipped.", show_default=False)],
    url: UrlOption = None,
    url_file: UrlFileOption = None,
    table: TableOption = "samples",
    predictions_table: PredictionsOption = "predictions",
    features: FeaturesOption = None,
) -> None:
    """Load samples: id and at, and as far as known series, features, target, reward, resolved_at.

    All or nothing, as often as you like: what is known stays, what was missing is filled in. Makes missing tables.
    """
    check_names(table=table, **{"predictions-table": predictions_table})
    names = split_features(features)
    with one_line_errors(), opened_store(url, url_file) as engine:
        report_load(engine, files, table, predictions_table, names)


def report_load(
    engine: Engine, files: list[Path], table: str, predictions_table: str, features: list[str] | None = None
) -> Loaded:
    """Loads with the progress shown, and says what came of it."""
    started = perf_counter()
    with _shown_progress(files) as progress:
        loaded = load_files(
            engine,
            files,
            table=table,
            predictions=predictions_table,
            features=features,
            progress=progress,
        )
    seconds = perf_counter() - started
    rate = loaded.rows / seconds if seconds > 0 else 0.0
    typer.echo(
        f"{loaded.rows} samples read, {loaded.rows - loaded.known} new, {loaded.known} known, "
        f"in {seconds:.1f} s ({rate:.0f} rows/s)"
    )
    return loaded


@contextmanager
def _shown_progress(files: list[Path]) -> Iterator[OnChunk]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rows]} rows"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks = {path: bar.add_task(path.name, total=None, rows=0) for path in files}
        counted = dict.fromkeys(files, 0)

        def show(file: SampleFile, chunk: Chunk) -> None:
            counted[file.path] += len(chunk.rows)
            bar.update(tasks[file.path], total=file.bytes, completed=chunk.position, rows=counted[file.path])

        yield show


@entry.command()
def status(
    url: UrlOption = None,
    url_file: UrlFileOption = None,
    table: TableOption = "samples",
    predictions_table: PredictionsOption = "predictions",
) -> None:
    """Show how many samples and outcomes there are, how fast they come, and who predicted them."""
    check_names(table=table, **{"predictions-table": predictions_table})
    with one_line_errors(), opened_store(url, url_file) as engine:
        _print_status(observe_status(engine, table, predictions_table))


def _print_status(found: StoreStatus) -> None:
    console = Console(highlight=False)
    facts = Table(box=None, show_header=False)
    rate = "" if found.per_day is None else f", {found.per_day:.1f} a day"
    facts.add_row("samples", f"{found.rows}, {len(found.features)} features")
    facts.add_row("outcomes", f"{found.resolved}{rate}")
    if found.unplaced:
        facts.add_row("waiting", f"{found.unplaced} outcomes whose sample has not come")
    facts.add_row("from", f"{found.oldest:%Y-%m-%d %H:%M} UTC" if found.oldest else "–")
    facts.add_row("until", f"{found.newest:%Y-%m-%d %H:%M} UTC" if found.newest else "–")
    facts.add_row("resolved until", f"{found.newest_resolved:%Y-%m-%d %H:%M} UTC" if found.newest_resolved else "–")
    console.print(facts)
    if found.predictions:
        scores = Table("model", "version", "track", "predictions", "newest", box=box.SIMPLE)
        for row in found.predictions:
            scores.add_row(row.model, row.version, row.track, str(row.n), f"{row.newest:%Y-%m-%d %H:%M} UTC")
        console.print(scores)
