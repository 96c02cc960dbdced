"""Textbook statistics on effective counts. Shares are 0..1, counts may be fractions."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, sqrt

from scipy.special import ndtri


def normal_quantile(confidence: float) -> float:
    """z with P(Z ≤ z) = confidence, for confidence in (0, 1)."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} must lie between 0 and 1")
    return float(ndtri(confidence))


def wilson_bounds(share: float, count: float, confidence: float = 0.95) -> tuple[float, float]:
    """Lower and upper bound of a share seen in ``count`` independent trials, each one-sided at ``confidence``.

    Wilson, "Probable inference, the law of succession, and statistical inference" (JASA, 1927). Nothing seen: (0, 1).

    Raises:
        ValueError: the share is not in 0..1, the count is negative.
    """
    if not 0 <= share <= 1 or count < 0:
        raise ValueError(f"share {share} must lie in 0..1 and count {count} must not be negative")
    if count == 0:
        return 0.0, 1.0
    z2 = normal_quantile(confidence) ** 2
    centre = share + z2 / (2 * count)
    reach = sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2)))
    scale = 1 + z2 / count
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)


def two_proportion_z(first: float, first_count: float, second: float, second_count: float) -> float:
    """z of second − first under equal shares (pooled); 0 when neither varies.

    Fleiss, Levin & Paik, "Statistical Methods for Rates and Proportions" (2003), section 3.1.
    """
    pooled = (first * first_count + second * second_count) / (first_count + second_count)
    variance = pooled * (1 - pooled) * (1 / first_count + 1 / second_count)
    return (second - first) / sqrt(variance) if variance > 0 else 0.0


def spiegelhalter_z(numerator: float, denominator: float, observed_variance: float) -> float:
    """Z of Σ (y − p)(1 − 2p); 0 when every score is exactly ½, 0 or 1.

    Args:
        denominator: Σ (1 − 2p)² p(1 − p), the variance that a calibrated model of independent rows would have.
        observed_variance: the variance of the numerator as its blocks show it; the greater of the two counts.

    Spiegelhalter, "Probabilistic prediction in patient management and clinical trials" (Statistics in Medicine, 1986).
    """
    variance = max(denominator, observed_variance)
    return numerator / sqrt(variance) if variance > 0 else 0.0


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """The expected calibration error, beside what a perfectly calibrated model would show on as much evidence."""

    value: float
    perfect: float
    """The mean of what a perfect model would show."""
    deviation: float
    """The standard deviation of that."""


def calibration_error(
    bins: Sequence[tuple[float, float, float, float]], design_effect: float
) -> CalibrationError | None:
    """Mean distance between score and frequency over bins; None without rows.

    Args:
        bins: (rows, Σ score, Σ target, Σ p(1 − p)) a bin.
        design_effect: rows / effective rows, at least 1: by so much a bin's variance is inflated.

    A bin of a perfect model is off by |N(0, v)|: mean √(2v/π), variance v(1 − 2/π). Naeini, Cooper & Hauskrecht,
    "Obtaining well calibrated probabilities using Bayesian binning" (AAAI, 2015), for the error itself.
    """
    rows = sum(count for count, *_ in bins)
    if rows == 0:
        return None
    value = sum(abs(targets - scores) for _, scores, targets, _ in bins) / rows
    variances = [spread * design_effect for *_, spread in bins]
    perfect = sum(sqrt(2 * v / pi) for v in variances) / rows
    return CalibrationError(value, perfect, sqrt(sum(v * (1 - 2 / pi) for v in variances)) / rows)


def significant(value: float) -> float:
    """Six digits: enough to read, and the order in which a database adds does not show in a status."""
    return float(f"{value:.6g}")
