"""Scores of the models under comparison on the same rows: those of the holdout that each of them can score."""

from dataclasses import dataclass

import numpy as np

from perennial_contract.task import TrainingTask
from perennial_trainer.algorithms.base import Model
from perennial_trainer.dataset import Rows
from perennial_trainer.errors import NotEnoughData, TrainingError
from perennial_trainer.progress import log
from perennial_trainer.reading import BoolArray, FloatArray
from perennial_trainer.sequences import any_fault, describe_faults

MAX_LEFT_OUT = 0.05
"""Of the holdout: a challenger that cannot score more of it is none."""
PARITY_TOLERANCE = 1e-4
"""How far a served score may be from the trained network's: float32 through other kernels differs by 1e-6."""


@dataclass(frozen=True)
class Contestant:
    """A model, by its name in what is said, and its features in its order."""

    name: str
    model: Model
    features: tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """Where two models meet."""

    rows: BoolArray
    """Of the holdout: those that are compared."""
    champion: Contestant | None
    """None: there is none, or it cannot score enough of them to be compared with."""


def lay_out(
    task: TrainingTask, rows: Rows, holdout: BoolArray, challenger: Contestant, champion: Contestant | None
) -> Field:
    """The holdout's rows that all contestants can score.

    A champion that can no longer score (a feature went missing, there are new series) is left out: else nothing could
    ever take its place.

    Raises:
        NotEnoughData: the challenger cannot score enough of them.
    """
    count = int(holdout.sum())
    needed = min(task.holdout.min_rows, count)
    faulty, why = _faults(rows, holdout, challenger)
    if faulty.any():
        said = f"holdout: {int(faulty.sum())} of {count} rows cannot be scored by {challenger.name}"
        if faulty.mean() > MAX_LEFT_OUT or count - int(faulty.sum()) < needed:
            raise NotEnoughData(
                f"{said} ({why}), {needed} are needed; mend the samples, or lower algorithm.parameters.input_size"
            )
        log.info("%s: left out (%s)", said, why)
    if champion is not None:
        missed, why = _faults(rows, holdout, champion)
        if missed.any():
            log.info("holdout: %d of %d rows cannot be scored by %s (%s)", missed.sum(), count, champion.name, why)
        if count - int((faulty | missed).sum()) < needed:
            log.info("%s is not compared with: holdout.minRows is %d", champion.name, task.holdout.min_rows)
            champion = None
        else:
            faulty = faulty | missed
    left = holdout.copy()
    left[np.flatnonzero(holdout)[faulty]] = False
    return Field(left, champion)


def _faults(rows: Rows, holdout: BoolArray, contestant: Contestant) -> tuple[BoolArray, str]:
    """(holdout,) the rows that it cannot score, and in words why."""
    count = int(holdout.sum())
    if contestant.model.label_delay is None:
        return np.zeros(count, dtype=np.bool_), ""
    past = rows.past(contestant.features)
    assert past is not None
    faults = contestant.model.faults(past.part(holdout))
    return any_fault(faults, count), describe_faults(faults)


def score_rows(rows: Rows, chosen: BoolArray, contestant: Contestant) -> FloatArray:
    """(n,) of the chosen rows."""
    past = rows.past(contestant.features) if contestant.model.label_delay else None
    return contestant.model.score(
        rows.matrix(contestant.features)[chosen], past.part(chosen) if past is not None else None
    )


def check_parity(rows: Rows, chosen: BoolArray, contestant: Contestant) -> float | None:
    """The largest difference between what is served and what was trained, on the chosen rows.

    Raises:
        TrainingError: it is over the tolerance.
    """
    past = rows.past(contestant.features) if contestant.model.label_delay else None
    parity = contestant.model.parity(past.part(chosen)) if past is not None else None
    if parity is not None:
        log.info("the saved model's scores differ from the trained network's by %.1e at most", parity)
        if not parity <= PARITY_TOLERANCE:
            raise TrainingError(
                f"{contestant.name}: the saved model's scores differ from the trained network's by {parity:.1e}, "
                f"{PARITY_TOLERANCE:.0e} at most: train with a lower learning_rate, or another scaler_type"
            )
    return parity
