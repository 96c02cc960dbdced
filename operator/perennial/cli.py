"""The command `perennial`."""

import sys
from importlib import import_module

import typer

COMMANDS = {
    "store": "Create the sample store, load samples, see what stands in it.",
    "replay": "Run a policy over recorded history with no cluster, and see what it would have done.",
    "example": "Build samples from real market prices: btc, sp500.",
}
"""Modules of `perennial.commands`, each with an ``entry`` (a Typer or a function), and how the overview puts them."""


def build_app(chosen: str | None) -> typer.Typer:
    """The command line with the chosen command in full and the others by name only: importing them all is slow."""
    app = typer.Typer(
        name="perennial",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_overview)  # without it, typer makes a lone command the whole program
    for name, summary in COMMANDS.items():
        entry = import_module(f"perennial.commands.{name}").entry if name == chosen else _unloaded
        if isinstance(entry, typer.Typer):
            app.add_typer(entry, name=name, help=summary)
        else:
            app.command(name, help=None if name == chosen else summary)(entry)
    return app


def _overview() -> None:
    """Keep prediction models fresh."""


def _unloaded() -> None:
    raise AssertionError("only the chosen command can be called")


def main() -> None:
    """An expected failure ends in one line and an exit code; anything else is a bug and shows itself."""
    build_app(next(iter(sys.argv[1:]), None))()
