"""`perennial example`: samples from real market prices, to a file or straight into a store."""

import tempfile
from contextlib import nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from perennial.commands.example import btc, sp500
from perennial.commands.example.fetch import fetch
from perennial.commands.example.samples import Samples, as_datetime, write_samples
from perennial.commands.store import report_load
from perennial.commands.terms import (
    PredictionsOption,
    TableOption,
    UrlFileOption,
    UrlOption,
    check_names,
    fail,
    one_line_errors,
    opened_store,
)


class Name(StrEnum):
    """What there is."""

    BTC = "btc"
    SP500 = "sp500"


def entry(
    name: Annotated[Name, typer.Argument(help="The data.", show_default=False)],
    *,
    out: Annotated[Path | None, typer.Option(help="Write the samples here: .csv or .csv.gz.")] = None,
    load: Annotated[bool, typer.Option("--load", help="Load the samples into the store.")] = False,
    url: UrlOption = None,
    url_file: UrlFileOption = None,
    table: TableOption = "samples",
    predictions_table: PredictionsOption = "predictions",
    since: Annotated[str | None, typer.Option("--from", help="Leave out samples before this date or instant.")] = None,
    until: Annotated[str | None, typer.Option(help="Leave out samples from this date or instant on.")] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Only history: samples whose outcome was known at this date or instant."),
    ] = None,
    live_out: Annotated[
        Path | None, typer.Option(help="With --split: write the samples from there on here, to be replayed.")
    ] = None,
    compress: Annotated[
        float | None,
        typer.Option(min=1e-6, help="Let time run so many times as fast, the last outcome (or --split) at --end."),
    ] = None,
    end: Annotated[str | None, typer.Option(help="With --compress: a date or instant.", show_default="now")] = None,
    horizon: Annotated[int, typer.Option(min=1, max=168, help="btc: hours after which an outcome is forced.")] = 12,
) -> None:
    """Build samples from real market prices: btc (hours, 2017 to 2019) or sp500 (days, 20 shares, 1990 to 2022).

    Fetched once with pip, checked by hash, kept in the cache directory.
    """
    check_names(table=table, **{"predictions-table": predictions_table})
    if out is None and not load:
        raise fail("nothing to do: give --out FILE, --load, or both")
    if (split is None) != (live_out is None):
        raise fail("--split and --live-out belong together: give both, or leave both out")
    if end is not None and compress is None:
        raise fail("--end: only time that is compressed can be moved: give --compress 1 to move it as it is")
    with one_line_errors(), opened_store(url, url_file) if load else nullcontext() as engine:
        samples = _build(name, horizon).between(_instant("--from", since), _instant("--until", until))
        if not len(samples):
            raise fail(f"no samples from {since or 'the beginning'} until {until or 'the end'}: widen them")
        moment = _instant("--split", split) or as_datetime(samples.resolved_at.max())
        history, live = samples.split(moment) if split else (samples, None)
        if compress is not None:
            anchored = _instant("--end", end) or datetime.now(UTC)
            history = history.compress(compress, moment, anchored)
            live = live.compress(compress, moment, anchored) if live else None
        if out is not None:
            _write(history, out)
        if live is not None and live_out is not None:
            _write(live, live_out)
        if engine is not None:
            _load(history, engine, table, predictions_table)


def _build(name: Name, horizon: int) -> Samples:
    if name is Name.BTC:
        typer.echo(
            f"Each outcome takes up to {horizon} hours and overlaps with its neighbours: n samples are worth about "
            f"n/{horizon} independent ones"
        )
        return btc.build_samples(fetch(btc.PACKAGE), horizon)
    typer.echo("The shares of a day move together: n samples are worth far fewer independent ones")
    return sp500.build_samples(fetch(sp500.PACKAGE))


def _instant(option: str, text: str | None) -> datetime | None:
    """A date is its midnight, UTC; anything finer must say its offset."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(f"{text}T00:00:00Z" if len(text) == len("2024-05-01") else text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise fail(f"{option}: {text!r} is no instant: write 2024-05-01, or 2024-05-01T12:00:00Z")
    return found


def _write(samples: Samples, path: Path) -> None:
    try:
        write_samples(samples, path)
    except OSError as error:
        raise fail(f"{path}: {error.strerror}: name a file that can be written") from None
    typer.echo(f"{path}: {_describe(samples)}")


def _load(samples: Samples, engine: Engine, table: str, predictions_table: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "samples.csv")
        write_samples(samples, path)
        report_load(engine, [path], table, predictions_table)


def _describe(samples: Samples) -> str:
    if not len(samples):
        return "no samples"
    first, last = (f"{as_datetime(moment):%Y-%m-%d %H:%M}" for moment in (samples.at.min(), samples.at.max()))
    share = samples.target.mean()
    return f"{len(samples)} samples, {len(samples.features)} features, {first} to {last} UTC, target 1 in {share:.1%}"
