"""Drift by simulation: how often it is reported where there is none, and how often it is found where there is.

The reference profile comes from the trainer's own code over a finite history, and windows are judged by the operator's
own decision; only the rows are made up. Features are independent of each other, each a stationary process.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from perennial.api.model_deployment import Drift
from perennial.api.model_deployment_status import DriftStatus
from perennial.domain.drift import decide_drift
from perennial.domain.drift_evidence import ColumnCounts, DriftLook, DriftWindow, Span
from perennial_contract.profile import FeatureProfile, ReferenceProfile
from perennial_contract.report import Feature
from perennial_trainer.profile import profile_features

Rows = NDArray[np.float64]
START = datetime(1970, 1, 1, tzinfo=UTC)
"""Windows are aligned to it, and so to the end of the training rows."""
STEP = timedelta(hours=1)
FEATURES = 50
HISTORY = 20
"""Training rows in windows: the defaults' 730 days less a fifth for the holdout, over 30 days."""
SHIFTED = 3
"""Features that move, where any do."""
# Rows that are worth as much as one independent row, of the indicator of an outer tenth: 1 + 2 Σ autocorrelation.
_DESIGN_EFFECTS = {0.0: 1.0, 0.5: 1.9, 0.9: 10.1, 0.99: 104.7}


@dataclass(frozen=True, slots=True)
class Process:
    """A Gaussian AR(1) process of standard deviation 1; ``phi`` 0: independent rows."""

    phi: float

    def window_rows(self, effective: float) -> int:
        """Rows that are worth so many independent ones in the bins that are worth least."""
        return ceil(effective * _DESIGN_EFFECTS[self.phi])

    def draw(self, rng: np.random.Generator, rows: int, features: int) -> Rows:
        """(rows, features), begun in its stationary state."""
        steps = rng.normal(size=(rows, features))
        steps[1:] *= np.sqrt(1 - self.phi**2)
        drawn: Rows = lfilter([1.0], [1.0, -self.phi], steps, axis=0)
        return drawn


PROCESSES = (Process(0.0), Process(0.5), Process(0.9), Process(0.99))


@dataclass(frozen=True, slots=True)
class Alarms:
    """What was reported where nothing had changed."""

    windows: int
    """Windows that were judged."""
    suspected: int
    """Of these, those in which any feature was found to differ."""
    entered: int
    """How often Drifting was entered."""
    allowed: float
    """Windows, for one alarm: falseAlarmEvery / window."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was reported of a shift by one standard deviation."""

    runs: int
    drifting: int
    """Runs that were Drifting at the end of the second window of it."""
    effective: float
    """Least effective rows a window, as the processes have it."""


def false_alarms(
    process: Process, runs: int, seed: int, *, effective: float = 45.0, windows: int = 6, features: int = FEATURES
) -> Alarms:
    """``runs`` models with histories of their own, each watched over ``windows`` windows in which nothing changes."""
    rows = process.window_rows(effective)
    spec, suspected, entered = _spec(rows), 0, 0
    for rng in _generators(seed, runs):
        drawn = process.draw(rng, rows * (HISTORY + windows), features)
        was = "None"
        for status in _watch(spec, drawn, rows, windows):
            suspected += status.state in ("Suspected", "Drifting")
            entered += status.state == "Drifting" and was != "Drifting"
            was = status.state
    return Alarms(runs * windows, suspected, entered, spec.false_alarm_every / spec.window)


def power(
    process: Process,
    runs: int,
    seed: int,
    *,
    effective: float = 45.0,
    shift: float = 1.0,
    features: int = FEATURES,
    shifted: int = SHIFTED,
) -> Found:
    """``runs`` models of which ``shifted`` features move by ``shift`` standard deviations, for two windows."""
    rows = process.window_rows(effective)
    spec, drifting = _spec(rows), 0
    for rng in _generators(seed, runs):
        drawn = process.draw(rng, rows * (HISTORY + 2), features)
        drawn[rows * HISTORY :, :shifted] += shift
        *_, last = _watch(spec, drawn, rows, 2)
        drifting += last.state == "Drifting"
    return Found(runs, drifting, effective)


def _generators(seed: int, runs: int) -> Iterator[np.random.Generator]:
    return (np.random.default_rng([seed, run]) for run in range(runs))


def _spec(rows: int) -> Drift:
    """Windows of so many rows, and the defaults' relation between a window and falseAlarmEvery."""
    default = Drift()
    window = rows * STEP
    every = window * (default.false_alarm_every / default.window)
    return default.model_copy(update={"window": window, "min_rows": 1, "false_alarm_every": every})


def _watch(spec: Drift, drawn: Rows, rows: int, windows: int) -> Iterator[DriftStatus]:
    """The status after each window."""
    trained, names = rows * HISTORY, [f"f{i}" for i in range(drawn.shape[1])]
    profile = ReferenceProfile(
        rows=trained,
        from_=START,
        until=START + (trained - 1) * STEP,
        features=profile_features(np.arange(trained), drawn[:trained], [Feature(name=name) for name in names]),
    )
    seen = [_count(profile, drawn, number, rows) for number in range(HISTORY, HISTORY + windows)]
    for end in range(1, windows + 1):
        count = spec.consecutive_windows
        span = Span(HISTORY + end - count, count, round(spec.window.total_seconds()))
        yield decide_drift(spec, profile, DriftLook(tuple(seen[max(0, end - count) : end])), span, "v1")


def _count(profile: ReferenceProfile, drawn: Rows, number: int, rows: int) -> DriftWindow:
    live, since = drawn[number * rows : (number + 1) * rows], START + number * rows * STEP
    columns = tuple(_column(feature, live[:, i]) for i, feature in enumerate(profile.features))
    return DriftWindow(number, rows, since, since + (rows - 1) * STEP, columns)


def _column(feature: FeatureProfile, live: Rows) -> ColumnCounts:
    codes = np.searchsorted(feature.edges, live, side="right")
    bins = tuple(int(count) for count in np.bincount(codes, minlength=len(feature.shares)))
    assert feature.low is not None
    assert feature.high is not None
    return ColumnCounts(feature.name, bins, 0, int(((live < feature.low) | (live > feature.high)).sum()))
