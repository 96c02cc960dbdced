"""The reference profile: bins that hold a tenth each, and the dependence between rows."""

import numpy as np
import pytest

from perennial_contract.report import Feature, FeatureProfile
from perennial_trainer.profile import LAGS, profile_features


def profile(values: np.ndarray) -> FeatureProfile:
    return profile_features(values.reshape(-1, 1), [Feature(name="x")]).features[0]


def test_ten_bins_hold_a_tenth_each() -> None:
    found = profile(np.random.default_rng(0).normal(size=10_000))
    assert len(found.edges) == 9
    assert list(found.edges) == sorted(found.edges)
    assert found.shares == pytest.approx([0.1] * 10, abs=1e-3)
    assert found.missing_rate == 0


def test_shares_are_of_what_is_there_and_the_rest_is_the_missing_rate() -> None:
    values = np.arange(1_000.0)
    values[::4] = np.nan
    found = profile(values)
    assert found.missing_rate == 0.25
    assert sum(found.shares) == pytest.approx(1)


def test_repeated_values_merge_bins_and_none_is_empty() -> None:
    found = profile(np.array([0.0] * 900 + [1.0] * 100))
    assert len(found.edges) == 1
    assert found.shares == (0.9, 0.1)
    assert sum(found.shares) == pytest.approx(1)
    assert all(share > 0 for share in found.shares)
    assert len(found.shares) == len(found.edges) + 1 == len(found.autocovariance)


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_a_constant_feature_has_one_bin(value: float) -> None:
    found = profile(np.full(100, value))
    assert (found.edges, found.shares) == ((), (1.0,))
    assert set(found.autocovariance[0]) == {0.0}


def test_a_feature_without_values_in_training_is_all_missing() -> None:
    found = profile(np.full(100, np.nan))
    assert (found.missing_rate, found.edges, len(found.autocovariance)) == (1.0, (), 1)


def test_autocovariance_is_that_of_the_bins_indicators() -> None:
    rng = np.random.default_rng(2)
    values = np.repeat(rng.normal(size=500), 4)  # each value stays for four rows
    found = profile(values)
    indicator = (np.searchsorted(found.edges, values, side="right") == 3).astype(float)
    centred = indicator - indicator.mean()
    expected = [float((centred[: len(values) - lag] * centred[lag:]).sum() / len(values)) for lag in range(LAGS + 1)]
    assert found.autocovariance[3] == pytest.approx(expected, abs=1e-6)
    assert found.autocovariance[3][0] == pytest.approx(0.09, rel=0.02)
    assert found.autocovariance[3][2] > 0.03 > abs(found.autocovariance[3][8])


def test_fewer_rows_than_lags_still_give_every_lag() -> None:
    assert all(len(row) == LAGS + 1 for row in profile(np.arange(12.0)).autocovariance)
