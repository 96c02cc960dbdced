"""Time blocks as the unit of evidence: outcomes overlap in time, so rows are not trials."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

MOST_BLOCKS = 200_000
"""A look returns no more rows than this a window, however short the labels are."""
CONFIDENCE = 0.95
"""One-sided, of every monitor's bound."""


def health_block_seconds(label_delay: timedelta, window: timedelta) -> int:
    """labelDelay: so long that outcomes are shared with the neighbouring block alone, and the shortest that is.

    A look makes them twice as long where one would hold several timestamps: fewer, and more nearly independent.
    """
    return max(1, ceil(label_delay.total_seconds()), ceil(window.total_seconds() / MOST_BLOCKS))


def pair_block_seconds(label_delay: timedelta, max_duration: timedelta) -> int:
    """A quarter of labelDelay: a canary bets on settled wealth alone, and the finer the blocks the more is settled.

    It depends on the spec alone, so that every look at a canary sees the same blocks.
    """
    return max(1, ceil(label_delay.total_seconds() / 4), ceil(max_duration.total_seconds() / MOST_BLOCKS))


def settlement_lag(label_delay: timedelta, block_seconds: int) -> int:
    """How many blocks back every outcome is known when a block begins: t − lag is settled before t starts."""
    return 1 + ceil(label_delay.total_seconds() / block_seconds)


def blocks_a_unit(label_delay: timedelta, block_seconds: int) -> int:
    """How many blocks make up 2 × labelDelay, the unit that effective counts rest on."""
    return max(1, ceil(2 * label_delay.total_seconds() / block_seconds))


@dataclass(frozen=True, slots=True)
class Ratio:
    """Σ numerator / Σ denominator over blocks, and the variance of that quotient."""

    value: float
    variance: float
    total: float
    """Σ denominator."""
    blocks: int

    def student(self, confidence: float = CONFIDENCE) -> float:
        """One-sided quantile for a variance that rests on so few blocks."""
        return float(stdtrit(self.blocks - 1, confidence)) if self.blocks > 1 else float("inf")

    def effective(self, row_variance: float, confidence: float = CONFIDENCE) -> float:
        """How many independent rows would say as much: at most as many as there are, and fewer where blocks are few.

        A variance from K blocks is itself uncertain, so the count is scaled by (z / t_{K−1})², as in Korn & Graubard,
        "Confidence intervals for proportions with small expected number of positive counts" (Survey Methodology, 1998).
        ``confidence``: of the bound that the count is for.
        Without any variation between rows a block is worth one row.
        """
        if self.blocks < 2:
            return 0.0
        count = self.total if self.variance > 0 else float(self.blocks)
        if self.variance > 0 and row_variance > 0:
            count = min(count, row_variance / self.variance)
        return count * float(ndtri(confidence) / self.student(confidence)) ** 2


def ratio_of(blocks: Sequence[int], numerators: ArrayLike, denominators: ArrayLike) -> Ratio | None:
    """The ratio estimator over blocks of unequal size; None when nothing was counted.

    Args:
        blocks: K block numbers, ascending; neighbours differ by one.
        numerators, denominators: K sums each. Blocks with denominator 0 say nothing and are left out.

    Cochran, "Sampling Techniques" (1977), section 6.3, with the covariance of neighbouring blocks added (outcomes that
    straddle a boundary belong to both) where it is positive.
    """
    top, bottom = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    kept = bottom > 0
    if not kept.any():
        return None
    top, bottom, ids = top[kept], bottom[kept], np.asarray(blocks, dtype=np.int64)[kept]
    total, count = float(bottom.sum()), len(ids)
    value = float(top.sum()) / total
    variance = sum_variance(ids, top - value * bottom) / total**2
    return Ratio(value, variance * count / max(count - 1, 1), total, count)


def sum_variance(blocks: ArrayLike, sums: ArrayLike) -> float:
    """Variance of the total of block sums with mean 0: squares, and twice the products of neighbours where positive."""
    ids, values = np.asarray(blocks, dtype=np.int64), np.asarray(sums, dtype=float)
    products = float((values[1:] * values[:-1])[np.diff(ids) == 1].sum())
    return float((values**2).sum()) + 2 * max(0.0, products)


def merged(ids: Sequence[int], factor: int, *columns: ArrayLike) -> tuple[list[int], list[NDArray[np.float64]]]:
    """``factor`` blocks made into one: block numbers, ascending, and each column's sums."""
    coarse, position = np.unique(np.asarray(ids, dtype=np.int64) // factor, return_inverse=True)
    sums = [np.bincount(position, np.asarray(column, float), len(coarse)).astype(np.float64) for column in columns]
    return [int(block) for block in coarse], sums
