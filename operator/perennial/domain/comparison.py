"""Two records of the same samples: which won more often, and how sure is that?"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from perennial.domain.blocks import sum_variance

CONFIDENCE = 0.975
"""Of each bound: together they are an interval at 95 %."""
LEAST_BLOCKS = 10
"""Time blocks in which the two must have differed before anything is said: a variance from fewer is none."""


@dataclass(frozen=True, slots=True)
class Difference:
    """First − second, in win rate."""

    value: float
    lower: float
    upper: float
    """The bounds of an interval at 95 %."""
    outcomes: int
    """The trials: samples that both records answered, and one of them at least acted on."""
    effective_outcomes: float
    """How many independent samples would say as much."""
    blocks: int
    """Time blocks in which the two differed, on which the interval rests."""


@dataclass(frozen=True, slots=True)
class Acts:
    """What one record did on n samples: arrays of 0 and 1."""

    acted: NDArray[np.bool_]
    won: NDArray[np.bool_]


def compare_win_rates(blocks: NDArray[np.int64], first: Acts, second: Acts) -> Difference | None:
    """The difference of two ratios on the same samples; None where one never acted, or they differed too seldom.

    Args:
        blocks: (n,) the time block of each sample, ascending.

    The difference is linearised row by row, d = (w₁ − p₁a₁)/Σa₁ − (w₂ − p₂a₂)/Σa₂, and its variance taken over blocks
    with the covariance of neighbours (Cochran, "Sampling Techniques", 1977, sections 6.3 and 6.10). Blocks in which
    both did the same say nothing of how much a difference varies: the rest alone count as its degrees of freedom.
    """
    if not first.acted.any() or not second.acted.any():
        return None
    acted = first.acted | second.acted
    differs = (first.acted != second.acted) | (first.won != second.won)
    outcomes, moved = int(acted.sum()), len(np.unique(blocks[differs]))
    if moved == 0:
        return Difference(0.0, 0.0, 0.0, outcomes, float(outcomes), 0)
    if moved < LEAST_BLOCKS:
        return None
    ids, position = np.unique(blocks, return_inverse=True)
    (rate_1, parts_1), (rate_2, parts_2) = _linearised(first), _linearised(second)
    parts = parts_1 - parts_2
    variance = sum_variance(ids, np.bincount(position, parts, len(ids))) * moved / (moved - 1)
    student, value = float(stdtrit(moved - 1, CONFIDENCE)), rate_1 - rate_2
    reach = student * sqrt(variance)
    worth = min(1.0, float((parts**2).sum()) / variance) if variance > 0 else 1.0
    effective = outcomes * worth * float(ndtri(CONFIDENCE) / student) ** 2
    return Difference(value, value - reach, value + reach, outcomes, effective, moved)


def _linearised(acts: Acts) -> tuple[float, NDArray[np.float64]]:
    total = float(acts.acted.sum())
    rate = float(acts.won.sum()) / total
    return rate, (acts.won - rate * acts.acted) / total
