"""What the trainer needs of a model library, and what the libraries' parameters have in common."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from perennial_contract.boosting import DEFAULT_ROUNDS, ROUNDS_NAMES
from perennial_contract.report import Manifest
from perennial_trainer.checkpoints import Checkpoints
from perennial_trainer.errors import TaskWrong
from perennial_trainer.progress import ReportRound
from perennial_trainer.reading import FloatArray
from perennial_trainer.sequences import Faults, Past

DEFAULT_STOPPING_ROUNDS = 50


@dataclass(frozen=True)
class Labelled:
    """Rows to learn from: features (n, f) with NaN for missing, target (n,) of 0 and 1."""

    features: FloatArray
    target: FloatArray
    past: Past | None = None
    """Where the rows stand in their series; given to algorithms that look back."""


class ColdStart(Exception):  # noqa: N818 - what there has to be instead
    """A training cannot begin from this model. One line that says why."""


class Model(Protocol):
    """A trained model."""

    @property
    def rounds(self) -> int:
        """Boosting rounds, or steps, kept."""
        ...

    @property
    def label_delay(self) -> timedelta | None:
        """How young an outcome it never sees; None where a score needs the scored row alone."""
        ...

    def score(self, features: FloatArray, past: Past | None = None) -> FloatArray:
        """P(target = 1) of each row, as any process that loads the saved files would say it."""
        ...

    def faults(self, past: Past) -> Faults:
        """Rows that it cannot score; none for a model that does not look back."""
        ...

    def parity(self, past: Past) -> float | None:
        """How far the saved model's scores are from the library's own at most; None where the library itself scores."""
        ...

    def save(self, directory: Path, member: int = 1) -> tuple[str, ...]:
        """Writes the files of one member of an ensemble and returns their names, the model's own first."""
        ...


class RowModel:
    """What models of single rows have in common: no past, and the library that trained them scores."""

    label_delay = None

    def faults(self, past: Past) -> Faults:
        """See `Model.faults`."""
        return {}

    def parity(self, past: Past) -> float | None:
        """See `Model.parity`."""
        return None


class Algorithm(Protocol):
    """A library. Its module is the implementation. The same arguments give the same model."""

    @property
    def LOOKS_BACK(self) -> bool:  # noqa: N802 - a constant of its module
        """Whether its models need the rows before the scored one."""
        ...

    @property
    def MEMBERS_BESIDE(self) -> bool:  # noqa: N802
        """Whether an ensemble's members train side by side; else each has all threads, and the data is held once."""
        ...

    def varied(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """A task's parameters for the members of an ensemble: what is not drawn would be the same for every seed."""
        ...

    def train(
        self,
        fit: Labelled,
        stop: Labelled | None,
        *,
        parameters: Mapping[str, Any],
        seed: int,
        threads: int,
        progress: ReportRound | None = None,
        start: Model | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> Model:
        """A model of ``fit``; ``stop`` decides the number of rounds where it is given.

        Args:
            fit: rows to learn from.
            stop: rows for early stopping.
            parameters: the task's.
            seed: of everything random.
            threads: at most so many.
            progress: is told of rounds.
            start: a model of this library to begin from.
            checkpoints: where a training that takes long keeps what it needs to go on after an interruption.

        Raises:
            TaskWrong: a parameter is unknown to the library, or impossible.
            NotEnoughData: too few rows have the history that the parameters ask for.
            ColdStart: ``start`` is no beginning for these rows and parameters.
        """
        ...

    def load(self, directory: Path, manifest: Manifest, threads: int) -> Model:
        """The model in the manifest's ``model_file`` of a verified artifact.

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


def member_name(file: str, member: int) -> str:
    """``model.ubj`` of the third member: ``model-3.ubj``."""
    stem, dot, suffix = file.partition(".")
    return file if member == 1 else f"{stem}-{member}{dot}{suffix}"


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
