"""Regimes that were fitted to nothing, and looks at a series that goes through them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from perennial.api.model_deployment import Regime
from perennial.domain.evidence import SeriesLook
from perennial_contract.profile import REGIMES, RegimeProfile, RegimeState

HOUR = timedelta(hours=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
"""Of the points; a version is trained on what was before."""
SPEC = Regime(column="ret_1", lookback=1000)
DEVIATIONS = (0.2, 1.0, 5.0)
STAYS = ((0.99, 0.01, 0.0), (0.01, 0.98, 0.01), (0.0, 0.02, 0.98))


def profile(**changes: Any) -> RegimeProfile:
    """Calm, Normal and Turbulent, of a version that was trained on Calm."""
    given: dict[str, Any] = {
        "column": "ret_1",
        "method": "MarkovSwitching",
        "states": tuple(
            RegimeState(name=name, mean=0.0, deviation=deviation)
            for name, deviation in zip(REGIMES, DEVIATIONS, strict=True)
        ),
        "transition": STAYS,
        "points": 2000,
        "until": START,
        "trained_on": "Calm",
    }
    return RegimeProfile(**(given | changes))


def path(*spells: tuple[str, int], seed: int = 0) -> list[float]:
    """Points of so many hours in one regime after the other, all about one deviation off: each tells its regime."""
    rng = np.random.default_rng(seed)
    scales = dict(zip(REGIMES, DEVIATIONS, strict=True))
    parts = [
        scales[regime] * rng.choice([-1, 1], size=hours) * rng.uniform(0.7, 1.3, size=hours) for regime, hours in spells
    ]
    return [float(value) for value in np.concatenate(parts)]


def look(values: list[float], end: int | None = None, lookback: int = 1000) -> SeriesLook:
    """The newest points of a path, an hour apart, at the time of the last of them."""
    end = len(values) if end is None else end
    points = range(max(0, end - lookback), end)
    at = tuple(START + (point + 1) * HOUR for point in points)
    return SeriesLook(at, tuple(values[point] for point in points), at[-1] if at else START)


def at(point: int) -> datetime:
    """When a point of a path is."""
    return START + (point + 1) * HOUR
