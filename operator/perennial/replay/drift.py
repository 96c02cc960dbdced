"""`SampleStore.observe_drift` over arrays: features stand on disk, and a window's rows alone are read."""

import numpy as np
from numpy.typing import NDArray

from perennial.adapters.recording import Floats, to_instant, to_micros
from perennial.domain.drift_evidence import ColumnCounts, DriftLook, DriftWindow, Span
from perennial.replay.predictions import LIVE, Predictions
from perennial_contract.profile import FeatureProfile, Histogram, ReferenceProfile
from perennial_contract.recording import VALUES_FILE

_FIRST_FEATURE = 2
"""Columns of the file before the features: target and reward."""


def look_at_drift(predictions: Predictions, profile: ReferenceProfile, version: str, span: Span) -> DriftLook:
    """`SampleStore.observe_drift`."""
    found = (
        _window(predictions, profile, version, span, number) for number in range(span.first, span.first + span.count)
    )
    return DriftLook(tuple(window for window in found if window is not None))


def _window(
    predictions: Predictions, profile: ReferenceProfile, version: str, span: Span, number: int
) -> DriftWindow | None:
    history = predictions.history
    ends = [to_micros(span.start_of(n)) for n in (number, number + 1)]
    first, last = (int(row) for row in np.searchsorted(history.at, ends, "left"))
    if first == last:
        return None
    rows = slice(first, last)
    values = np.load(history.folder / VALUES_FILE, mmap_mode="r", allow_pickle=False)[rows]
    columns = {feature.name: _FIRST_FEATURE + i for i, feature in enumerate(history.recording.features)}
    return DriftWindow(
        number=number,
        rows=last - first,
        oldest=to_instant(history.at[first]),
        newest=to_instant(history.at[last - 1]),
        columns=tuple(_count(feature, np.asarray(values[:, columns[feature.name]])) for feature in profile.features),
        scores=_scores(predictions, profile, version, rows),
    )


def _count(feature: FeatureProfile, column: Floats) -> ColumnCounts:
    known = column[~np.isnan(column)]
    outside = 0
    if feature.low is not None and feature.high is not None:
        outside = int(((known < feature.low) | (known > feature.high)).sum())
    return ColumnCounts(feature.name, _bins(feature, known), len(column) - len(known), outside)


def _bins(histogram: Histogram, known: Floats) -> tuple[int, ...]:
    codes: NDArray[np.intp] = np.searchsorted(histogram.edges, known, side="right")
    return tuple(int(count) for count in np.bincount(codes, minlength=len(histogram.edges) + 1))


def _scores(predictions: Predictions, profile: ReferenceProfile, version: str, rows: slice) -> tuple[int, ...]:
    scored = predictions.versions.get(version)
    if scored is None or profile.scores is None:
        return ()
    live = scored.of(rows)[scored.tracks(rows) == LIVE]
    return _bins(profile.scores, live) if len(live) else ()
