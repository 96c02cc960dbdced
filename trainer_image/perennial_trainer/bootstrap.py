"""How sure a lift is: a paired circular block bootstrap over timestamps. And how many independent rows there are."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from scipy import stats

from perennial_trainer.reading import FloatArray, IntArray

DRAWS = 10_000
MIN_BLOCKS = 30
SPENT = 0.85
"""The part of α that a bound is made for. The rest is kept for what it cannot know of: models whose skill comes and
goes over more timestamps than a block has, and results that are far from normal."""
_DRAWS_AT_ONCE_CELLS = 2_000_000
_MIN_TAIL_DRAWS = 10

Lift = Callable[[FloatArray], FloatArray]
"""Sums of the columns, shape (draws, k) → lift of each draw, shape (draws,); −inf where it is undefined."""


@dataclass(frozen=True)
class Blocks:
    """How timestamps are grouped."""

    timestamps: int
    length: int
    """Timestamps a block."""
    overlap: int
    """Timestamps that share an outcome's horizon; 1: labels do not overlap."""

    @property
    def count(self) -> int:
        """Whole blocks."""
        return self.timestamps // self.length

    @property
    def enough(self) -> bool:
        """Whether there are 30 stretches, at least, whose outcomes hardly depend on each other."""
        return self.timestamps // _independent(self.overlap) >= MIN_BLOCKS


@dataclass(frozen=True)
class Confidence:
    """What the draws say of a lift."""

    lower_bound: float | None
    """One-sided, at 1 − alpha; None when alpha is 0: nothing was left to spend."""
    probability_better: float


def measure_overlap(timestamps: IntArray, label_delay: int) -> int:
    """How many timestamps, itself included, an outcome's horizon reaches over (nine in ten reach no further).

    Args:
        timestamps: distinct and ascending, µs.
        label_delay: µs.
    """
    if label_delay <= 0 or len(timestamps) < 2:
        return 1
    reach = np.searchsorted(timestamps, timestamps + label_delay, side="left") - np.arange(len(timestamps))
    # The last horizons reach past the data, where nothing can be counted.
    whole = timestamps + label_delay <= timestamps[-1]
    return max(1, ceil(float(np.quantile(reach[whole] if whole.any() else reach, 0.9))))


def choose_blocks(timestamps: int, overlap: int) -> Blocks:
    """max(2 × overlap, 3·T^⅓) timestamps a block.

    The second term lets a block hold dependence that labels do not tell of (models are right for a while); where it
    leaves few blocks, `widening` makes up for it. The first is what `Blocks.enough` asks for 30 of.
    """
    return Blocks(timestamps, max(_independent(overlap), ceil(3 * timestamps ** (1 / 3))), overlap)


def _independent(overlap: int) -> int:
    """Timestamps after which outcomes depend on each other no more; shorter blocks would take them for independent."""
    return 2 * overlap if overlap > 1 else 1


def draw_lifts(sums: FloatArray, lift: Lift, length: int, seed: int, draws: int = DRAWS) -> FloatArray:
    """Lifts of ``draws`` resampled holdouts, shape (draws,).

    Politis & Romano (1992), "A circular block-resampling procedure for stationary data": blocks of ``length``
    consecutive timestamps, the last wrapping round to the first, drawn until there are as many timestamps as in the
    data (the last block is cut). Both models' sums lie in one row, so that every draw is paired.

    Args:
        sums: a row a timestamp in time order, shape (T, k).
        lift: from sums over the draw.
        length: timestamps a block.
        seed: the same gives the same draws.
        draws: how many.
    """
    timestamps, width = sums.shape
    whole, rest = divmod(timestamps, length)
    rng = np.random.default_rng(seed)
    block, tail = _circular_sums(sums, length), _circular_sums(sums, rest)
    at_once = max(1, _DRAWS_AT_ONCE_CELLS // (max(1, whole) * width))
    result = np.empty(draws)
    for begin in range(0, draws, at_once):
        count = min(at_once, draws - begin)
        totals = np.zeros((count, width))
        for starts in np.ascontiguousarray(rng.integers(0, timestamps, (count, whole)).T):
            totals += block.take(starts, axis=0)
        if rest:
            totals += tail[rng.integers(0, timestamps, count)]
        result[begin : begin + count] = lift(totals)
    return result


def _circular_sums(sums: FloatArray, length: int) -> FloatArray:
    """Sum over ``length`` rows from each row on, wrapping round."""
    wrapped = np.concatenate([sums, sums[: max(0, length - 1)]])
    running = np.concatenate([np.zeros((1, sums.shape[1])), np.cumsum(wrapped, axis=0)])
    result: FloatArray = running[length : length + len(sums)] - running[: len(sums)]
    return result


def widening(blocks: Blocks, alpha: float) -> float:
    """The factor that makes up for what a block bootstrap is known to leave out; 1 for many long blocks.

    Three known terms. Blocks of L timestamps weigh autocovariances by 1 − k/L (Künsch 1989), and so miss
    (h² − 1)/(3·h·L) of the variance of a mean whose labels overlap over h timestamps (autocovariance falling linearly
    to 0 at h). Centring at the sample's own mean misses L/T. And the spread of few blocks is uncertain itself:
    Student's t over the normal.
    """
    h, length, t = blocks.overlap, blocks.length, blocks.timestamps
    kept = (1 - (h * h - 1) / (3 * h * length)) * (1 - length / t)
    student = stats.t.isf(alpha, t / length - 1) / stats.norm.isf(alpha) if 0 < alpha < 0.5 else 1.0
    return float(student / sqrt(kept))


def judge_lift(observed: float, draws: FloatArray, blocks: Blocks, alpha: float) -> Confidence:
    """The lower bound at 1 − alpha (a little more: `SPENT`) and P(better), from draws that `widening` spreads.

    Where alpha leaves fewer than ten draws in the tail, the bound is the lower of the quantile and Student's t.
    """
    spent = SPENT * alpha
    factor = widening(blocks, spent)
    finite = np.isfinite(draws)
    spread = observed + factor * (np.where(finite, draws, -np.inf) - observed)
    better = float((spread > 0).mean())
    if alpha <= 0:
        return Confidence(None, better)
    bound = float(np.quantile(spread, spent, method="lower"))
    if spent * len(draws) < _MIN_TAIL_DRAWS and finite.any():
        deviation = float(draws[finite].std()) * factor * float(stats.norm.isf(spent))
        bound = min(bound, observed - deviation)
    return Confidence(bound if np.isfinite(bound) else None, better)


def effective_outcomes(values: FloatArray, acted: FloatArray, blocks: IntArray) -> float:
    """What the rows acted on are worth as independent ones: n × variance of their mean as if independent / by blocks.

    The ratio estimator's residual r = value − mean·acted is summed by block, and B/(B − 1)·Σ(block's sum)² stands for
    the variance of the total (Cochran, Sampling Techniques: clusters of unequal sizes), with the covariance of
    neighbours added where it is positive: outcomes that straddle a border belong to both. At most n; where the value
    never varies, a block counts for one.

    Args:
        values: shape (n,): a figure of each row acted on (0 elsewhere).
        acted: shape (n,): 1 where it counts, else 0.
        blocks: shape (n,): the time block of each row; neighbours differ by one.
    """
    total = float(acted.sum())
    ids, index = np.unique(blocks[acted > 0], return_inverse=True)
    count = int(index.max()) + 1 if len(index) else 0
    if count < 2:
        return float(count)
    residual = (values - values.sum() / total * acted)[acted > 0]
    independent = float((residual**2).sum())
    if independent <= 1e-12 * total:
        return float(count)
    by_block = np.bincount(index, weights=residual)
    shared = float((by_block[1:] * by_block[:-1])[np.diff(ids) == 1].sum())
    clustered = (float((by_block**2).sum()) + 2 * max(0.0, shared)) * count / (count - 1)
    return float(min(total, total * independent / clustered)) if clustered > 0 else total
