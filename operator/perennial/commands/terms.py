"""What the commands have in common: how a store is named, and how a failure ends."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from perennial.adapters.store.engine import POSTGRESQL, SQLITE, open_engine
from perennial.adapters.store.source import SourceError
from perennial.domain.evidence import StoreError, StoreUnavailable
from perennial_contract.samples import IDENTIFIER_PATTERN, RESERVED_COLUMNS

EXIT_UNAVAILABLE = 1
EXIT_WRONG = 2

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="PERENNIAL_SAMPLES_URL",
        help="The store, as in postgresql+psycopg://USER:PASSWORD@HOST/DATABASE or sqlite:///FILE. "
        "Other users of the machine see a command's options: prefer the variable or --url-file.",
        show_default=False,
    ),
]
UrlFileOption = Annotated[Path | None, typer.Option("--url-file", help="A file that holds the URL.")]
TableOption = Annotated[str, typer.Option("--table", help="The table of samples.")]
PredictionsOption = Annotated[str, typer.Option("--predictions-table", help="The table of recorded scores.")]
FeaturesOption = Annotated[
    str | None,
    typer.Option("--features", help="Feature columns, separated by commas.", show_default=False),
]


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the command with one line on standard error: 1 when trying again may help, 2 when something must change."""
    try:
        yield
    except StoreUnavailable as error:
        typer.echo(f"perennial: {error}", err=True)
        raise typer.Exit(EXIT_UNAVAILABLE) from None
    except (StoreError, SourceError) as error:
        typer.echo(f"perennial: {error}", err=True)
        raise typer.Exit(EXIT_WRONG) from None


def fail(message: str) -> typer.Exit:
    """The end of a command that was called wrongly."""
    typer.echo(f"perennial: {message}", err=True)
    return typer.Exit(EXIT_WRONG)


def read_url(url: str | None, url_file: Path | None, missing: str) -> str:
    """The URL that the options name; a file wins over the variable.

    Raises:
        typer.Exit: none is given (``missing`` says so, and which options would), or its file cannot be read.
    """
    if url_file is not None:
        try:
            url = url_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise fail(f"--url-file: {url_file} cannot be read: name a file that holds the URL") from None
    if not url:
        raise fail(f"{missing}, or the variable PERENNIAL_SAMPLES_URL")
    return url.strip()


@contextmanager
def opened_store(url: str | None, url_file: Path | None) -> Iterator[Engine]:
    """The engine of the store that the options name, for as long as the command runs; a file wins over the variable.

    Raises:
        StoreError: the URL cannot be used.
        typer.Exit: no URL is given, or its file cannot be read.
    """
    engine = open_engine(read_url(url, url_file, "no store is named: give --url-file, --url"), (POSTGRESQL, SQLITE))
    try:
        yield engine
    finally:
        engine.dispose()


def split_features(text: str | None) -> list[str] | None:
    """The names in ``--features``; None when it is not given.

    Raises:
        typer.Exit: a name cannot be a column.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if not re.fullmatch(IDENTIFIER_PATTERN, name):
            raise fail(f"--features: {name!r} is no column name: use letters, digits and _, at most 63")
        if name in RESERVED_COLUMNS:
            raise fail(f"--features: {name!r} is a column of every samples table: leave it out")
    return list(dict.fromkeys(names))


def check_names(**names: str) -> None:
    """Raises typer.Exit when a table's name is not an identifier."""
    for option, name in names.items():
        if not re.fullmatch(IDENTIFIER_PATTERN, name):
            raise fail(f"--{option}: {name!r} is no table name: use letters, digits and _, at most 63")
