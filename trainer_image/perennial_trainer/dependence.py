"""How much rows that resemble their past really say: the long-run variance of shares, and rows' worth by it."""

from dataclasses import dataclass

import numpy as np

from perennial_trainer.reading import FloatArray, IntArray

BUCKETS = 4096
"""Whole timestamps are summed into at most so many buckets: what a sum's variance needs is not lost by that."""
_WINDOW = 5.0
"""Autocovariances are summed up to this many correlation times."""


@dataclass(frozen=True)
class Worth:
    """What the rows are worth for each of k shares."""

    effective_rows: FloatArray
    """(k,) independent rows that would know each share as well; at most as many as there are."""
    degrees_of_freedom: float
    """Of the worst of the variances behind them."""


def bucket_rows(at: IntArray) -> IntArray:
    """The bucket of each row, 0 … L − 1, shape (n,): equally many timestamps a bucket, none cut in two.

    Args:
        at: (n,) ascending.
    """
    new = np.concatenate([[False], at[1:] != at[:-1]])
    rank = np.cumsum(new)
    timestamps = int(rank[-1]) + 1
    result: IntArray = rank * min(BUCKETS, timestamps) // timestamps
    return result


def weigh_shares(counts: FloatArray, rows: FloatArray) -> Worth:
    """Effective rows of k shares, from the autocovariance of the bin indicators' residuals.

    The variance of a share's numerator is Σ_lags of the autocovariance of counts − share × rows, cut at the first lag
    to be five times the correlation time summed up to it (Sokal, "Monte Carlo methods in statistical mechanics:
    foundations and new algorithms", 1997, section 3). A sum cut at M of L buckets has a relative variance of
    2(2M + 1)/L (ibid.), and so L/(2M + 1) degrees of freedom.

    Args:
        counts: (L, k) rows in a bin, by bucket in time order.
        rows: (L,) rows that might have been.
    """
    buckets, total = len(rows), float(rows.sum())
    shares = counts.sum(axis=0) / total
    variances = shares * (1 - shares)
    residuals = counts - shares * rows[:, np.newaxis]
    summed, cut = _long_run(residuals)
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.where(summed > 0, total * total * variances / (buckets * summed), total)
    # A share of 0 or 1 never varied: what it is worth cannot be told from itself, so it gets the least of the others.
    varied = variances > 0
    least = float(np.minimum(effective[varied], total).min()) if varied.any() else _worth_of_constants(buckets, total)
    effective = np.where(varied, np.clip(effective, 1.0, total), least)
    return Worth(effective, buckets / (2.0 * cut + 1))


def _worth_of_constants(buckets: int, total: float) -> float:
    return min(float(buckets), total)


def _long_run(residuals: FloatArray) -> tuple[FloatArray, int]:
    """Σ autocovariance over all lags, shape (k,), and the largest lag at which one was cut."""
    buckets, width = residuals.shape
    size = 1 << (2 * buckets - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(residuals, size, axis=0)) ** 2
    covariance = np.fft.irfft(spectrum, size, axis=0)[:buckets] / buckets
    variance = covariance[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.where(variance > 0, covariance / variance, 0.0)
    times = 0.5 + np.cumsum(correlation[1:], axis=0) if buckets > 1 else np.full((1, width), 0.5)
    lags = np.arange(1, len(times) + 1)[:, np.newaxis]
    reached = lags >= _WINDOW * np.maximum(times, 0.5)
    cuts = np.where(reached.any(axis=0), reached.argmax(axis=0), len(times) - 1)
    chosen = times[cuts, np.arange(width)]
    summed: FloatArray = variance * np.maximum(2 * chosen, 1.0)
    return summed, int((cuts + 1).max(initial=1))
