"""Textbook statistics, held against closed forms, scipy and their own invariants."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from perennial.domain.statistics import (
    calibration_error,
    normal_quantile,
    significant,
    spiegelhalter_z,
    two_proportion_z,
    wilson_bounds,
)

shares = st.floats(0, 1)
counts = st.floats(1, 1e6)


@given(wins=st.integers(0, 500), losses=st.integers(0, 500))
def test_wilson_agrees_with_scipy(wins: int, losses: int) -> None:
    count = wins + losses
    if not count:
        return
    interval = binomtest(wins, count).proportion_ci(0.90, method="wilson")
    assert wilson_bounds(wins / count, count, 0.95) == pytest.approx((interval.low, interval.high), abs=1e-9)


@given(share=shares, count=counts)
def test_wilson_brackets_the_share_within_0_and_1(share: float, count: float) -> None:
    lower, upper = wilson_bounds(share, count)
    assert 0 <= lower <= share + 1e-12
    assert share - 1e-12 <= upper <= 1


@given(share=shares, count=counts, more=st.floats(1.01, 100))
def test_wilson_narrows_with_more_evidence(share: float, count: float, more: float) -> None:
    lower, upper = wilson_bounds(share, count)
    tighter_lower, tighter_upper = wilson_bounds(share, count * more)
    assert tighter_upper - tighter_lower <= upper - lower + 1e-12


def test_wilson_knows_nothing_from_nothing() -> None:
    assert wilson_bounds(0.7, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("share", "count"), [(-0.1, 10), (1.1, 10), (0.5, -1)])
def test_wilson_refuses_what_is_no_share_or_count(share: float, count: float) -> None:
    with pytest.raises(ValueError, match=r"must lie in 0\.\.1"):
        wilson_bounds(share, count)


@pytest.mark.parametrize("confidence", [0, 1, 1.5])
def test_quantile_refuses_certainty(confidence: float) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        normal_quantile(confidence)


@given(first=shares, second=shares, m=counts, n=counts)
def test_two_proportions_change_sign_when_they_change_places(first: float, second: float, m: float, n: float) -> None:
    assert two_proportion_z(first, m, second, n) == pytest.approx(-two_proportion_z(second, n, first, m), abs=1e-9)


def test_two_proportions_by_hand() -> None:
    assert two_proportion_z(0.5, 100, 0.6, 100) == pytest.approx(0.1 / math.sqrt(0.55 * 0.45 * 0.02))


def test_two_proportions_that_never_vary_do_not_differ() -> None:
    assert two_proportion_z(1.0, 50, 1.0, 50) == 0.0


def test_spiegelhalter_is_standard_normal_for_a_calibrated_model() -> None:
    rng = np.random.default_rng(11)
    p = rng.beta(4, 4, (4000, 300))
    y = rng.random(p.shape) < p
    numerators = ((y - p) * (1 - 2 * p)).sum(axis=1)
    denominators = ((1 - 2 * p) ** 2 * p * (1 - p)).sum(axis=1)
    z = [spiegelhalter_z(a, b, 0.0) for a, b in zip(numerators, denominators, strict=True)]
    assert np.mean(z) == pytest.approx(0, abs=4 / math.sqrt(4000))
    assert np.std(z) == pytest.approx(1, abs=0.05)


def test_spiegelhalter_counts_what_the_blocks_vary_where_that_is_more() -> None:
    assert spiegelhalter_z(10, 4, 100) == 1.0
    assert spiegelhalter_z(10, 4, 1) == 5.0
    assert spiegelhalter_z(0, 0, 0) == 0.0


def test_calibration_error_of_a_perfect_model_is_what_it_says_it_would_be() -> None:
    rng = np.random.default_rng(12)
    errors, over = [], 0
    for _ in range(1000):
        p = rng.uniform(0.2, 0.8, 400)
        y = rng.random(400) < p
        where = (p * 10).astype(int)
        bins = [
            (float((where == b).sum()), p[where == b].sum(), y[where == b].sum(), (p * (1 - p))[where == b].sum())
            for b in np.unique(where)
        ]
        error = calibration_error(bins, 1.0)
        assert error is not None
        errors.append(error.value - error.perfect)
        over += error.value > error.perfect + normal_quantile(0.975) * error.deviation
    assert np.mean(errors) == pytest.approx(0, abs=0.001)
    assert binomtest(over, 1000).proportion_ci(0.99).low <= 0.025


def test_calibration_error_grows_with_the_design_effect_it_allows_for() -> None:
    bins = [(100.0, 50.0, 60.0, 24.0)]
    independent, clustered = calibration_error(bins, 1.0), calibration_error(bins, 4.0)
    assert independent is not None
    assert clustered is not None
    assert clustered.value == independent.value == pytest.approx(0.1)
    assert clustered.perfect == pytest.approx(2 * independent.perfect)


def test_calibration_error_of_nothing_is_unknown() -> None:
    assert calibration_error([], 1.0) is None


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100))
def test_significant_digits_are_kept_and_stable(value: float) -> None:
    assert significant(value) == pytest.approx(value, rel=1e-5)
    assert significant(significant(value)) == significant(value)
