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


def scorable_rows(
    task: TrainingTask, rows: Rows, holdout: BoolArray, challenger: Contestant, champion: Contestant | None
) -> BoolArray:
    """The holdout's rows that all contestants can score.

    Raises:
        NotEnoughData: the challenger cannot score enough of them, or what is left is less than ``holdout.minRows``.
    """
    left = holdout.copy()
    count = int(holdout.sum())
    for contestant in (challenger, champion):
        if contestant is None or contestant.model.label_delay is None:
            continue
        past = rows.past(contestant.features)
        assert past is not None
        faults = contestant.model.faults(past.part(holdout))
        faulty = any_fault(faults, count)
        if not faulty.any():
            continue
        said = f"holdout: {int(faulty.sum())} of {count} rows cannot be scored by {contestant.name}"
        why = describe_faults(faults)
        if contestant is challenger and faulty.mean() > MAX_LEFT_OUT:
            raise NotEnoughData(f"{said} ({why}); mend the samples, or lower algorithm.parameters.input_size")
        log.info("%s: left out (%s)", said, why)
        left[np.flatnonzero(holdout)[faulty]] = False
    if int(left.sum()) < min(task.holdout.min_rows, count):
        raise NotEnoughData(
            f"holdout: {int(left.sum())} of {count} rows can be scored by all models under comparison; "
            f"{task.holdout.min_rows} needed (holdout.minRows)"
        )
    return left


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
