"""What the trainer needs of a model library, and what the libraries' parameters have in common."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from perennial_contract.boosting import DEFAULT_ROUNDS, ROUNDS_NAMES
from perennial_contract.report import Manifest
from perennial_trainer.errors import TaskWrong
from perennial_trainer.progress import ReportRound
from perennial_trainer.reading import FloatArray

DEFAULT_STOPPING_ROUNDS = 50


@dataclass(frozen=True)
class Labelled:
    """Rows to learn from: features (n, f) with NaN for missing, target (n,) of 0 and 1."""

    features: FloatArray
    target: FloatArray


class Model(Protocol):
    """A trained model."""

    @property
    def rounds(self) -> int:
        """Boosting rounds kept."""
        ...

    def score(self, features: FloatArray) -> FloatArray:
        """P(target = 1) of each row, as any process that loads the saved file would say it."""
        ...

    def save(self, directory: Path) -> str:
        """Writes the model's one file and returns its name."""
        ...


class Algorithm(Protocol):
    """A library. Its module is the implementation. The same arguments give the same model."""

    def train(
        self,
        fit: Labelled,
        stop: Labelled | None,
        *,
        parameters: Mapping[str, Any],
        seed: int,
        threads: int,
        progress: ReportRound | None = None,
    ) -> Model:
        """A model of ``fit``; ``stop`` decides the number of rounds where it is given.

        Raises:
            TaskWrong: a parameter is unknown to the library, or impossible.
        """
        ...

    def load(self, directory: Path, manifest: Manifest, threads: int) -> Model:
        """The model of a verified artifact.

        Raises:
            TaskWrong: the file is intact but no model of this library.
        """
        ...

    def versions(self) -> dict[str, str]:
        """The library's name and version, for the manifest."""
        ...


@dataclass(frozen=True)
class Settings:
    """A task's parameters, sorted into what we decide with and what the library is told."""

    rounds: int
    stopping_rounds: int
    """0: no early stopping."""
    parameters: dict[str, Any]


def read_settings(parameters: Mapping[str, Any], *, objectives: Iterable[str], owned: Iterable[str]) -> Settings:
    """Takes rounds and early stopping out under the names that people use; the rest goes to the library as it is.

    Args:
        parameters: the task's.
        objectives: those that give a probability.
        owned: names that the task sets elsewhere (seed, threads).

    Raises:
        TaskWrong: naming the parameter.
    """
    rest = dict(parameters)
    for name in owned:
        if name in rest:
            raise TaskWrong(f"algorithm.parameters.{name}: set by training.seed and training.resources; remove it")
    objective = rest.get("objective")
    if objective is not None and objective not in objectives:
        raise TaskWrong(
            f"algorithm.parameters.objective: {objective!r} gives no probability; use {' or '.join(objectives)}"
        )
    rounds = _take(rest, ROUNDS_NAMES, DEFAULT_ROUNDS, minimum=1)
    stopping = _take(rest, ("early_stopping_rounds", "early_stopping_round"), DEFAULT_STOPPING_ROUNDS, minimum=0)
    return Settings(rounds, stopping, rest)


def with_defaults(parameters: Mapping[str, Any], defaults: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Adds each default unless it is given under any of its names; the first name is the one that is used."""
    given = {names[0]: value for names, value in defaults.items() if not any(name in parameters for name in names)}
    return {**given, **parameters}


def _take(parameters: dict[str, Any], names: tuple[str, ...], default: int, minimum: int) -> int:
    found = [name for name in names if name in parameters]
    if len(found) > 1:
        raise TaskWrong(f"algorithm.parameters: {' and '.join(found)} mean the same; keep one")
    if not found:
        return default
    value = parameters.pop(found[0])
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise TaskWrong(f"algorithm.parameters.{found[0]}: {value!r} is not a whole number of at least {minimum}")
    return value
