"""Do live rows come from the training data's distribution? Tests on shares whose rows may resemble their past.

A chi-square on the PSI would need the weights of its mixture: under autocorrelation they differ so much that a first
correction (Rao & Scott, "On chi-squared tests for multiway contingency tables", Annals of Statistics, 1984) misfires.
One binomial test a bin, at the rows' effective number, needs none of that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, ndtri, stdtr

from perennial_contract.profile import Histogram

Floats = NDArray[np.float64]
LEAST_SHARE = 1e-4
"""Floor of a share in the PSI: an empty bin is not infinitely far."""
_SURE = 1e-300


def population_stability_index(reference: Sequence[float], live: Sequence[float]) -> float:
    """Σ (p − q)·ln(p / q) over bins, shares floored at 1e-4.

    Siddiqi, "Credit Risk Scorecards" (2006), chapter 10; the symmetric divergence of Jeffreys (1946).
    """
    q, p = (np.maximum(np.asarray(shares, dtype=float), LEAST_SHARE) for shares in (reference, live))
    return float(((p - q) * np.log(p / q)).sum())


@dataclass(frozen=True, slots=True)
class Tail:
    """How unlikely a share is, one way."""

    p_value: float
    attainable: float
    """The least p-value that any count could have had."""


def share_tails(share: float, reference: float, effective: float, freedom: float) -> tuple[Tail, Tail]:
    """P-values that a live share is as high, and as low, as seen under the reference's.

    Args:
        share: of the live rows, 0..1.
        reference: 0..1.
        effective: independent rows that would know the difference as well: the live rows' and the reference's effective
            numbers, harmonically added.
        freedom: degrees of freedom of the variance behind ``effective``.

    The mid-p binomial tail at fractional n (Lancaster, "Significance tests in discrete distributions", JASA, 1961), as
    a normal score that is referred to Student's t, since the variance is an estimate.
    """
    if effective <= 0:
        return Tail(1.0, 1.0), Tail(1.0, 1.0)
    q, x = min(max(reference, 0.0), 1.0), min(max(share, 0.0), 1.0) * effective
    return (
        Tail(_as_student(_upper(x, effective, q), freedom), _as_student(_upper(effective, effective, q), freedom)),
        Tail(_as_student(_upper(effective - x, effective, 1 - q), freedom), _as_student((1 - q) ** effective, freedom)),
    )


def _upper(x: float, n: float, q: float) -> float:
    """P(Binomial(n, q) > x) + ½ P(= x), by the incomplete beta function at the half steps around x."""
    return float(betainc(x + 0.5, n - x + 0.5, q))


def _as_student(p: float, freedom: float) -> float:
    return float(stdtr(freedom, float(ndtri(min(max(p, _SURE), 1.0))))) if p < 1 else 1.0


def smallest_p(tails: Sequence[Tail], level: float, among: Sequence[Tail] | None = None) -> float:
    """Bonferroni's p-value of the most extreme of several tails.

    A tail that could never have been significant is no test and is not counted (Tarone, "A modified Bonferroni method
    for discrete data", Biometrics, 1990). ``among``: all that were looked at, where only some may be the most extreme.
    """
    tests = [tail.p_value for tail in tails if tail.attainable <= level]
    count = sum(tail.attainable <= level for tail in (tails if among is None else among))
    return min(1.0, count * min(tests)) if tests else 1.0


def harmonic(first: float, second: float) -> float:
    """What two effective numbers leave of a difference: 1/n = 1/a + 1/b."""
    return first * second / (first + second) if first > 0 and second > 0 else 0.0


def bin_tails(reference: Histogram, counts: Sequence[int], live_worth: float) -> list[Tail]:
    """The two tails of every bin.

    Args:
        counts: live rows a bin.
        live_worth: effective live rows / effective reference rows, the same for every bin: a row of either resembles
            its past as much.
    """
    total = sum(counts)
    if total == 0 or len(counts) < 2:
        return []
    tails: list[Tail] = []
    for count, share, effective in zip(counts, reference.shares, reference.effective_rows, strict=True):
        worth = harmonic(effective, effective * live_worth)
        tails += share_tails(count / total, share, worth, reference.degrees_of_freedom)
    return tails


def q_values(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family under any dependence.

    Benjamini & Yekutieli, "The control of the false discovery rate in multiple testing under dependency" (Annals of
    Statistics, 2001), theorem 1.3. Where nothing has drifted the chance of a q-value ≤ level is at most the level.
    """
    p = np.asarray(p_values, dtype=float)
    count = len(p)
    if not count:
        return []
    order = np.argsort(p, kind="stable")
    ranks = np.arange(1, count + 1)
    adjusted = p[order] * count * float((1 / ranks).sum()) / ranks
    adjusted = np.minimum.accumulate(adjusted[::-1])[::-1]
    result = np.empty(count)
    result[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in result]
