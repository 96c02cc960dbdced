"""How far a figure over a sliding window has to stray before it counts: it is looked at again and again."""

from math import e, pi, sqrt

from scipy.special import lambertw, ndtr, ndtri

from perennial.domain.blocks import CONFIDENCE

LEAVE_CONFIDENCE = 0.90
"""Raised at 95 %, over at 90 %: what is raised at a higher level is over as many standard errors below that."""
HYSTERESIS = float(ndtri(CONFIDENCE) - ndtri(LEAVE_CONFIDENCE))
"""In standard errors."""
MOST_CONFIDENCE = 1 - 2**-50
HIGHEST_CLUMP_RATE = 1 / sqrt(2 * pi * e)
"""max z·φ(z), at z = 1: what may be exceeded that often needs no level at all."""


def sliding_level(alarms: float, *, slope: float = 1.0, shift: float = 0.0, confidence: float = CONFIDENCE) -> float:
    """The least z, at least that of ``confidence``, over which a figure strays ``alarms`` times a window at most.

    An excursion counts once, however long it lasts and however often the figure is looked at meanwhile.

    Args:
        alarms: a window, on average: window / how seldom.
        slope: c of the figure's correlation 1 − c|t| with itself, t windows later: 1 for the window's mean, 3 for the
            difference between its halves.
        shift: by how many standard errors a healthy figure's mean lies on the other side of the line.

    A stationary Gaussian process with such a correlation goes over a high level z in clumps, c·z·φ(z) of them in a
    unit of time (Aldous, "Probability Approximations via the Poisson Clumping Heuristic", 1989, section D; Siegmund,
    "Sequential Analysis", 1985).

    Raises:
        ValueError: a rate or a slope is not positive.
    """
    if alarms <= 0 or slope <= 0:
        raise ValueError(f"alarms {alarms} and slope {slope} must be positive")
    least, rate = float(ndtri(confidence)), alarms / slope
    if rate >= HIGHEST_CLUMP_RATE:
        return least
    # z·φ(z) = rate ⇔ −z²·exp(−z²) = −2π·rate², on the branch where z > 1
    level = sqrt(-float(lambertw(-2 * pi * rate**2, k=-1).real))
    return max(least, level - shift)


def confidence_of(level: float) -> float:
    """Of a one-sided bound, as many standard errors away; never quite 1."""
    return min(float(ndtr(level)), MOST_CONFIDENCE)


def format_confidence(confidence: float) -> str:
    """As a percentage with the digits that tell it from certainty: 95%, 95.5%, 99.38%."""
    digits, doubt = 0, 100 * (1 - confidence)
    while digits < 9 and doubt * 10**digits < 1:
        digits += 1
    shown = f"{100 * confidence:.{digits + 1}f}"
    return f"{shown.rstrip('0').rstrip('.')}%"
