"""The reference profile: bins that hold a tenth each, and what their shares are worth in independent rows."""

import numpy as np
import pytest

from perennial_contract.profile import FeatureProfile
from perennial_contract.report import Feature
from perennial_trainer.profile import profile_features, profile_scores


def profile(values: np.ndarray) -> FeatureProfile:
    return profile_features(np.arange(len(values)), values.reshape(-1, 1), [Feature(name="x")])[0]


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
    assert len(found.shares) == len(found.edges) + 1 == len(found.effective_rows)


@pytest.mark.parametrize("values", range(2, 12))
def test_no_bin_is_empty_however_few_values_there_are(values: int) -> None:
    """An edge between two of them would cut off a bin of nothing, whose mean score is no number."""
    rng = np.random.default_rng(values)
    scores = rng.choice(rng.random(values), 200)
    found = profile_scores(np.arange(200), scores, (rng.random(200) < 0.5).astype(float))
    assert found is not None
    assert all(share > 0 for share in found.shares)
    assert list(found.mean_scores) == sorted(found.mean_scores)


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_a_constant_feature_has_one_bin(value: float) -> None:
    found = profile(np.full(100, value))
    assert (found.edges, found.shares) == ((), (1.0,))
    assert found.effective_rows == (100.0,)


def test_a_feature_without_values_in_training_is_all_missing() -> None:
    found = profile(np.full(100, np.nan))
    assert (found.missing_rate, found.edges, len(found.effective_rows)) == (1.0, (), 1)


def ar1(count: int, phi: float, seed: int = 3) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(size=count) * np.sqrt(1 - phi**2)
    values = np.empty(count)
    values[0] = steps[0] / np.sqrt(1 - phi**2)
    for i in range(1, count):
        values[i] = phi * values[i - 1] + steps[i]
    return values


def test_independent_rows_are_worth_themselves() -> None:
    found = profile(np.random.default_rng(0).normal(size=20_000))
    assert min(found.effective_rows) > 15_000
    assert max(found.effective_rows) <= 20_000


def test_rows_that_repeat_are_worth_one_each() -> None:
    found = profile(np.repeat(np.random.default_rng(2).normal(size=5_000), 4))
    assert found.effective_rows == pytest.approx([5_000] * 10, rel=0.25)


@pytest.mark.parametrize("phi", [0.9, 0.99])
def test_the_worth_is_what_the_spread_of_shares_over_many_histories_says(phi: float) -> None:
    """Measured: the variance of the top bin's share over 400 histories, each cut by the same edges."""
    count, long = 2_000, ar1(800_000, phi)
    found = profile(ar1(100_000, phi, seed=5))
    shares = (long > found.edges[-1]).reshape(-1, count).mean(axis=1)
    worth = 0.09 / shares.var() / count
    assert found.effective_rows[-1] / 100_000 == pytest.approx(worth, rel=0.3)


def test_a_timestamp_of_a_panel_counts_once_where_its_series_agree() -> None:
    values = np.repeat(np.random.default_rng(4).normal(size=1_000), 20)
    at = np.repeat(np.arange(1_000), 20)
    found = profile_features(at, values.reshape(-1, 1), [Feature(name="x")])[0]
    assert found.effective_rows == pytest.approx([1_000] * 10, rel=0.3)


def test_scores_know_how_often_they_came_true() -> None:
    rng = np.random.default_rng(5)
    scores = rng.uniform(0.2, 0.8, 50_000)
    found = profile_scores(np.arange(50_000), scores, (rng.uniform(size=50_000) < scores).astype(float))
    assert found is not None
    assert found.rows == 50_000
    assert found.target_shares == pytest.approx(found.mean_scores, abs=0.03)


def test_scores_that_are_no_numbers_have_no_profile() -> None:
    assert profile_scores(np.arange(2), np.array([0.5, np.nan]), np.array([0.0, 1.0])) is None


def test_few_distinct_scores_leave_no_bin_empty() -> None:
    scores = np.repeat([0.2, 0.4, 0.6, 0.8], [6, 7, 1, 6]).astype(float)
    profile = profile_scores(np.arange(20) * 1_000_000, scores, (scores > 0.5).astype(float))
    assert profile is not None
    assert min(profile.shares) > 0
    assert np.isfinite(profile.mean_scores).all()
    assert sum(share * mean for share, mean in zip(profile.shares, profile.mean_scores, strict=True)) == pytest.approx(
        scores.mean(), rel=1e-5
    )
