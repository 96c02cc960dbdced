"""Two records of the same samples: which won more often, and how sure is that?"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from perennial.domain.blocks import CONFIDENCE, sum_variance


@dataclass(frozen=True, slots=True)
class Difference:
    """First − second, in win rate."""

    value: float
    lower: float
    upper: float
    """Bounds, each one-sided at 95 %."""
    outcomes: int
    """Samples that both records answered."""
    effective_outcomes: float
    """How many independent samples would say as much."""
    blocks: int


@dataclass(frozen=True, slots=True)
class Acts:
    """What one record did on n samples: arrays of 0 and 1."""

    acted: NDArray[np.bool_]
    won: NDArray[np.bool_]


def compare_win_rates(blocks: NDArray[np.int64], first: Acts, second: Acts) -> Difference | None:
    """The difference of two ratios on the same samples; None where one never acted, or there are under three blocks.

    Args:
        blocks: (n,) the time block of each sample, ascending.

    The difference is linearised row by row, d = (w₁ − p₁a₁)/Σa₁ − (w₂ − p₂a₂)/Σa₂, and its variance taken over blocks
    with the covariance of neighbours (Cochran, "Sampling Techniques", 1977, sections 6.3 and 6.10).
    """
    if not first.acted.any() or not second.acted.any():
        return None
    ids, position = np.unique(blocks, return_inverse=True)
    count = len(ids)
    if count < 3:
        return None
    (rate_1, parts_1), (rate_2, parts_2) = _linearised(first), _linearised(second)
    parts = parts_1 - parts_2
    variance = sum_variance(ids, np.bincount(position, parts, count)) * count / (count - 1)
    student = float(stdtrit(count - 1, CONFIDENCE))
    reach, rows = student * sqrt(variance), len(blocks)
    effective = float((parts**2).sum()) / variance * rows if variance > 0 else float(rows)
    effective = min(float(rows), effective) * float(ndtri(CONFIDENCE) / student) ** 2
    value = rate_1 - rate_2
    return Difference(value, value - reach, value + reach, rows, effective, count)


def _linearised(acts: Acts) -> tuple[float, NDArray[np.float64]]:
    total = float(acts.acted.sum())
    rate = float(acts.won.sum()) / total
    return rate, (acts.won - rate * acts.acted) / total
