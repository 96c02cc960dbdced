"""Effective counts: what rows that share their outcomes are worth."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulate.streams import overlapping_targets

from perennial.domain.blocks import (
    blocks_a_unit,
    health_block_seconds,
    merged,
    pair_block_seconds,
    ratio_of,
    settlement_lag,
    sum_variance,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("label_delay", "window", "seconds"),
    [
        pytest.param(5 * HOUR, 30 * DAY, 18_000, id="one label delay"),
        pytest.param(timedelta(0), HOUR, 1, id="an instant label still makes blocks"),
        pytest.param(timedelta(seconds=1), 30 * DAY, 13, id="no more blocks than a look may return"),
    ],
)
def test_health_blocks(label_delay: timedelta, window: timedelta, seconds: int) -> None:
    assert health_block_seconds(label_delay, window) == seconds


@pytest.mark.parametrize(
    ("label_delay", "seconds", "lag", "unit"),
    [
        pytest.param(5 * HOUR, 36_000, 2, 1, id="blocks of two label delays: the last one is still open"),
        pytest.param(5 * HOUR, 18_000, 2, 2, id="blocks of one label delay: the last one is still open"),
        pytest.param(5 * HOUR, 4_500, 5, 8, id="blocks of a quarter: the last four are still open"),
        pytest.param(timedelta(seconds=1), 26, 2, 1, id="blocks far longer than a label"),
        pytest.param(timedelta(0), 1, 1, 1, id="nothing overlaps where labels are instant"),
    ],
)
def test_what_is_settled_when_a_block_begins(label_delay: timedelta, seconds: int, lag: int, unit: int) -> None:
    assert settlement_lag(label_delay, seconds) == lag
    assert blocks_a_unit(label_delay, seconds) == unit


@given(delay=st.integers(0, 10**6), longest=st.integers(60, 10**8))
def test_a_block_before_the_lag_is_settled(delay: int, longest: int) -> None:
    label_delay = timedelta(seconds=delay)
    seconds = pair_block_seconds(label_delay, timedelta(seconds=longest))
    lag = settlement_lag(label_delay, seconds)
    assert (-lag + 1) * seconds + delay <= 0


rows = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=2, max_size=40)


@given(rows)
def test_effective_count_is_at_most_the_rows(sums: list[tuple[int, int]]) -> None:
    wins = [min(won, total) for won, total in sums]
    totals = [total for _, total in sums]
    ratio = ratio_of(range(len(sums)), wins, totals)
    assert ratio is not None
    assert ratio.value == pytest.approx(sum(wins) / sum(totals))
    assert 0 < ratio.effective(ratio.value * (1 - ratio.value)) <= sum(totals)


@given(rows, st.integers(2, 9))
def test_saying_everything_several_times_adds_nothing(sums: list[tuple[int, int]], times: int) -> None:
    """Rows repeated within their block are worth what they were."""
    wins, totals = np.array([min(w, t) for w, t in sums]), np.array([t for _, t in sums])
    once, often = (ratio_of(range(len(sums)), wins * k, totals * k) for k in (1, times))
    assert once is not None
    assert often is not None
    assert often.variance == pytest.approx(once.variance, abs=1e-12)


def test_neighbours_count_where_they_agree_and_gaps_have_no_neighbours() -> None:
    assert sum_variance([1, 2], [3.0, 2.0]) == 9 + 4 + 2 * 6
    assert sum_variance([1, 3], [3.0, 2.0]) == 9 + 4
    assert sum_variance([1, 2], [3.0, -2.0]) == 9 + 4


def test_nothing_counted_is_no_ratio() -> None:
    assert ratio_of([], [], []) is None
    assert ratio_of([1, 2], [0, 0], [0, 0]) is None


def test_one_block_is_no_evidence_however_many_rows_it_has() -> None:
    ratio = ratio_of([7], [600], [1000])
    assert ratio is not None
    assert ratio.effective(0.24) == 0.0


def test_rows_that_never_differ_are_worth_a_row_a_block() -> None:
    ratio = ratio_of(range(20), [50] * 20, [50] * 20)
    assert ratio is not None
    assert 15 < ratio.effective(0.0) <= 20


def test_independent_rows_are_worth_almost_themselves() -> None:
    rng = np.random.default_rng(1)
    counts = []
    for _ in range(200):
        ratio = ratio_of(range(200), rng.binomial(5, 0.5, 200), [5] * 200)
        assert ratio is not None
        counts.append(ratio.effective(0.25))
    assert 0.85 * 1000 < np.mean(counts) <= 1000


def test_hourly_rows_with_five_hour_labels_are_worth_their_known_share() -> None:
    """Of a model that always says up, Σ autocorrelation of overlapping signs is 1 + 2 Σ (2/π) asin(1 − k/5)."""
    worth = 1 / (1 + 2 * sum(2 / np.pi * np.arcsin(1 - k / 5) for k in range(1, 5)))
    rng = np.random.default_rng(2)
    counts = []
    for wins in overlapping_targets(rng, 4000, 5, 200):
        ratio = ratio_of(range(400), wins.reshape(400, 10).sum(axis=1), [10] * 400)
        assert ratio is not None
        counts.append(ratio.effective(0.25))
    assert np.mean(counts) == pytest.approx(4000 * worth, rel=0.1)


def test_merging_keeps_sums_and_order() -> None:
    ids, (wins, rows) = merged([-3, 0, 1, 7], 2, [1, 2, 3, 4], [10, 20, 30, 40])
    assert ids == [-2, 0, 3]
    assert wins.tolist() == [1, 5, 4]
    assert rows.tolist() == [10, 50, 40]
