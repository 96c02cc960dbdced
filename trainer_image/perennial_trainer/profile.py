"""The training data's shape, kept with the model: the yardstick that drift is measured with."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from perennial_contract.profile import FeatureProfile, Histogram, ScoreProfile
from perennial_contract.report import Feature
from perennial_trainer.dependence import bucket_rows, weigh_shares
from perennial_trainer.reading import FloatArray, IntArray

BINS = 10
_DIGITS = 6


def profile_features(at: IntArray, features: FloatArray, names: Sequence[Feature]) -> tuple[FeatureProfile, ...]:
    """Ten quantile bins a feature, with what each share is worth in independent rows.

    Args:
        at: (n,) µs, ascending.
        features: the rows, (n, len(names)); NaN is missing.
        names: the columns.
    """
    bucket = bucket_rows(at)
    return tuple(_profile(feature, bucket, features[:, i]) for i, feature in enumerate(names))


def profile_scores(at: IntArray, scores: FloatArray, target: FloatArray) -> ScoreProfile | None:
    """The scores of the holdout in ten quantile bins, with the share of target = 1 in each; None unless all are finite.

    Args:
        at: (n,) µs, ascending.
        scores: (n,) P(target = 1).
        target: (n,) 0 or 1.
    """
    if not len(scores) or not np.isfinite(scores).all():
        return None
    edges = _quantile_edges(scores)
    codes = np.searchsorted(edges, scores, side="right")
    rows = np.bincount(codes, minlength=len(edges) + 1)
    histogram = _histogram(bucket_rows(at), codes, edges)
    return ScoreProfile(
        **dict(histogram),
        rows=len(scores),
        mean_scores=tuple(_short(np.bincount(codes, scores) / rows)),
        target_shares=tuple(_short(np.bincount(codes, target) / rows)),
    )


def _profile(feature: Feature, bucket: IntArray, column: FloatArray) -> FeatureProfile:
    present = ~np.isnan(column)
    known = column[present]
    missing = weigh_shares(*_counts(bucket, (~present).astype(np.int8)[:, np.newaxis]))
    shared = {
        "name": feature.name,
        "dtype": feature.dtype,
        "missing_rate": 1 - len(known) / len(column),
        "missing_effective_rows": _round(missing.effective_rows[0]),
    }
    if not len(known):
        return FeatureProfile(edges=(), shares=(0.0,), effective_rows=(0.0,), degrees_of_freedom=1.0, **shared)
    edges = _quantile_edges(known)
    histogram = _histogram(bucket[present], np.searchsorted(edges, known, side="right"), edges)
    return FeatureProfile(**dict(histogram), low=float(known.min()), high=float(known.max()), **shared)


def _quantile_edges(known: FloatArray) -> FloatArray:
    quantiles = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="higher"))
    # A value equal to an edge belongs above it, so an edge at the very minimum would leave the bin below it empty.
    edges: FloatArray = quantiles[quantiles > known.min()]
    return edges


def _histogram(bucket: IntArray, codes: npt.NDArray[np.intp], edges: FloatArray) -> Histogram:
    bins = len(edges) + 1
    counts, rows = _counts(bucket, codes[:, np.newaxis] == np.arange(bins))
    worth = weigh_shares(counts, rows)
    return Histogram(
        edges=tuple(float(edge) for edge in edges),
        shares=tuple(float(share) for share in counts.sum(axis=0) / len(codes)),
        effective_rows=tuple(_short(worth.effective_rows)),
        degrees_of_freedom=_round(worth.degrees_of_freedom),
    )


def _counts(bucket: IntArray, indicators: npt.NDArray[np.bool_ | np.int8]) -> tuple[FloatArray, FloatArray]:
    """Sums of the indicators by bucket, (L, k), and rows by bucket, (L,)."""
    buckets = int(bucket[-1]) + 1
    columns = [np.bincount(bucket, column, buckets) for column in indicators.T]
    return np.stack(columns, axis=1), np.bincount(bucket, minlength=buckets).astype(float)


def _short(values: FloatArray) -> list[float]:
    return [_round(value) for value in values]


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
