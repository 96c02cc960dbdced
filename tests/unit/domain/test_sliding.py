"""The level that a figure over a sliding window has to stray over."""

from math import exp, pi, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from perennial.domain.sliding import confidence_of, format_confidence, sliding_level


@pytest.mark.parametrize("slope", [1.0, 3.0])
@pytest.mark.parametrize("alarms", [1 / 12, 1 / 100, 1e-6])
def test_the_level_is_strayed_over_as_often_as_asked(alarms: float, slope: float) -> None:
    z = sliding_level(alarms, slope=slope)
    assert slope * z * exp(-(z**2) / 2) / sqrt(2 * pi) == pytest.approx(alarms)


def test_a_healthy_mean_on_the_other_side_of_the_line_lowers_it() -> None:
    assert sliding_level(0.01, shift=0.7) == pytest.approx(sliding_level(0.01) - 0.7)


@given(
    st.floats(1e-12, 1e3), st.floats(1e-12, 1e3), st.floats(0.1, 10), st.floats(0, 100), st.sampled_from([0.95, 0.975])
)
def test_it_rises_with_the_promise_and_never_falls_below_one_look_s(
    one: float, other: float, slope: float, shift: float, confidence: float
) -> None:
    rare, often = (sliding_level(a, slope=slope, shift=shift, confidence=confidence) for a in sorted((one, other)))
    assert rare >= often >= norm.ppf(confidence) - 1e-12
    assert 0.9 < confidence_of(rare) < 1


@pytest.mark.parametrize(("alarms", "slope"), [(0.0, 1.0), (-1.0, 1.0), (0.1, 0.0)])
def test_what_cannot_be_promised_is_refused(alarms: float, slope: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        sliding_level(alarms, slope=slope)


def test_the_mean_of_a_sliding_window_strays_no_more_often_than_that() -> None:
    """Of 400 windows of white noise, looked at 200 times a window; an excursion ends two standard errors below."""
    level, rows, windows, runs = sliding_level(1 / 12), 200, 400, 20
    total = np.cumsum(np.random.default_rng(3).standard_normal((runs, rows * (windows + 1))), axis=1)
    means = (total[:, rows:] - total[:, :-rows]) / sqrt(rows)
    alarms, on = 0, np.zeros(runs, dtype=bool)
    for look in means.T:
        now = look > np.where(on, level - 2, level)
        alarms, on = alarms + int((now & ~on).sum()), now
    assert 0.8 < alarms / (runs * windows / 12) <= 1.0


@pytest.mark.parametrize(
    ("confidence", "text"),
    [(0.95, "95%"), (0.9, "90%"), (0.9554345, "95.5%"), (0.99379, "99.38%"), (0.999987, "99.9987%"), (0.5, "50%")],
)
def test_a_confidence_shows_what_it_leaves_open(confidence: float, text: str) -> None:
    assert format_confidence(confidence) == text
