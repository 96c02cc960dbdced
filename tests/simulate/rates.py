"""Rates that were counted, with how sure they are."""

from typing import NamedTuple

from scipy.stats import chi2


class Rate(NamedTuple):
    """Events an interval, and the exact Poisson interval at 99 % around it (Garwood, 1936)."""

    value: float
    lower: float
    upper: float
    events: int


def rate_of(events: int, intervals: float) -> Rate:
    """So many events in so many intervals."""
    lower = float(chi2.ppf(0.005, 2 * events)) / 2 if events else 0.0
    upper = float(chi2.ppf(0.995, 2 * events + 2)) / 2
    return Rate(events / intervals, lower / intervals, upper / intervals, events)
