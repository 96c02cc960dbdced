"""The training data's shape, kept with the model: the yardstick that drift is measured with."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from perennial_contract.report import Feature, FeatureProfile, ReferenceProfile
from perennial_trainer.reading import FloatArray

BINS = 10
LAGS = 24
"""Autocovariance is kept up to this lag, in rows."""
_DIGITS = 6


def profile_features(features: FloatArray, names: Sequence[Feature]) -> ReferenceProfile:
    """Ten quantile bins a feature, with the dependence between rows that significance needs.

    Args:
        features: training rows in order of (at, series), shape (n, len(names)); NaN is missing.
        names: the columns.
    """
    profiles = tuple(_profile(feature.name, features[:, i]) for i, feature in enumerate(names))
    return ReferenceProfile(rows=len(features), features=profiles)


def _profile(name: str, column: FloatArray) -> FeatureProfile:
    present = ~np.isnan(column)
    known = column[present]
    if not len(known):
        return FeatureProfile(
            name=name, edges=(), shares=(0.0,), missing_rate=1.0, autocovariance=((0.0,) * (LAGS + 1),)
        )
    quantiles = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
    # A value equal to an edge belongs above it, so an edge at the very minimum would leave the bin below it empty.
    edges = quantiles[quantiles > known.min()]
    bins = len(edges) + 1
    codes = np.full(len(column), bins, dtype=np.int8)
    codes[present] = np.searchsorted(edges, known, side="right")
    counts = np.bincount(codes, minlength=bins + 1)[:bins]
    return FeatureProfile(
        name=name,
        edges=tuple(float(edge) for edge in edges),
        shares=tuple(float(count) / len(known) for count in counts),
        missing_rate=1 - len(known) / len(column),
        autocovariance=tuple(_short(row) for row in _autocovariance(codes, bins)),
    )


def _autocovariance(codes: npt.NDArray[np.int8], bins: int) -> FloatArray:
    """Autocovariance of each bin's 0/1 indicator at lags 0 … LAGS, shape (bins, LAGS + 1); divided by n at every lag.

    The biased estimator (Priestley, Spectral Analysis and Time Series, 5.3): variances summed from it are not negative.
    Rows where the feature is missing are in no bin.
    """
    n = len(codes)
    indicators = np.bincount(codes, minlength=bins + 1)[:bins]
    shares = indicators / n
    result = np.zeros((bins, LAGS + 1))
    for lag in range(min(LAGS, n - 1) + 1):
        early, late = codes[: n - lag], codes[lag:]
        both = np.bincount(early[early == late], minlength=bins + 1)[:bins]
        first = np.bincount(early, minlength=bins + 1)[:bins]
        second = np.bincount(late, minlength=bins + 1)[:bins]
        result[:, lag] = (both - shares * (first + second) + (n - lag) * shares**2) / n
    return result


def _short(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)
