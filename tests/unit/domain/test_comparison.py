"""The difference between two records of the same samples, and how often its interval is wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest
from tests.simulate.streams import autoregressive, overlapping_targets

from perennial.domain.comparison import Acts, compare_win_rates


def acts(won: NDArray[np.bool_], acted: NDArray[np.bool_] | None = None) -> Acts:
    done = np.ones(len(won), dtype=np.bool_) if acted is None else acted
    return Acts(done, won & done)


@pytest.mark.parametrize(("overlap", "persistence"), [(1, 0.0), (5, 0.5), (12, 0.9)])
def test_a_difference_is_claimed_in_one_of_twenty_cases_where_there_is_none(overlap: int, persistence: float) -> None:
    rng, runs, count = np.random.default_rng(overlap), 1500, 1200
    outcome = overlapping_targets(rng, count, overlap, runs)
    first, second = ((autoregressive(rng, count, persistence, runs) > 0) == outcome for _ in range(2))
    blocks = np.arange(count) // (2 * overlap)
    claimed = 0
    for one, other in zip(first, second, strict=True):
        found = compare_win_rates(blocks, acts(one), acts(other))
        assert found is not None
        claimed += not found.lower <= 0 <= found.upper
    interval = binomtest(claimed, runs).proportion_ci(0.99)
    assert interval.low <= 0.05, f"{claimed / runs:.1%} false claims"
    assert interval.high >= 0.03, f"{claimed / runs:.1%} false claims: the interval is far too wide"


def test_the_value_is_the_difference_of_the_two_rates() -> None:
    rng = np.random.default_rng(1)
    acted, won = rng.random(500) < 0.4, rng.random((2, 500)) < 0.55
    found = compare_win_rates(np.arange(500) // 5, acts(won[0], acted), acts(won[1]))
    assert found is not None
    assert found.value == pytest.approx(won[0][acted].mean() - won[1].mean())
    assert found.outcomes == 500
    assert 90 < found.blocks <= 100
    assert 0 < found.effective_outcomes <= 500


def test_records_that_agree_on_every_sample_do_not_differ_at_all() -> None:
    won = np.random.default_rng(2).random(300) < 0.5
    found = compare_win_rates(np.arange(300) // 3, acts(won), acts(won))
    assert found is not None
    assert (found.value, found.lower, found.upper, found.blocks) == (0, 0, 0, 0)


def test_samples_that_neither_acted_on_are_no_trials() -> None:
    rng = np.random.default_rng(5)
    acted = np.zeros((2, 4000), dtype=np.bool_)
    acted[:, ::20] = True
    acted[1, 5::40] = True
    won = rng.random((2, 4000)) < 0.5
    found = compare_win_rates(np.arange(4000) // 20, acts(won[0], acted[0]), acts(won[1], acted[1]))
    assert found is not None
    assert found.outcomes == 300
    assert found.effective_outcomes <= 300


def test_nothing_is_claimed_from_a_few_blocks() -> None:
    """Two records that are one until shortly before the end, as after a late promotion."""
    rng, claimed, unknown = np.random.default_rng(6), 0, 0
    for _ in range(400):
        won = rng.random(3000) < 0.5
        other = won.copy()
        other[-60:] = rng.random(60) < 0.5
        found = compare_win_rates(np.arange(3000) // 10, acts(won), acts(other))
        unknown += found is None
        claimed += found is not None and not found.lower <= 0 <= found.upper
    assert unknown == 400
    assert claimed == 0


def test_outcomes_that_move_together_are_worth_fewer() -> None:
    rng = np.random.default_rng(3)
    lone, alike = rng.random((2, 1000)) < 0.5, np.repeat(rng.random((2, 100)) < 0.5, 10, axis=1)
    blocks = np.arange(1000) // 10
    apart, together = (compare_win_rates(blocks, acts(w[0]), acts(w[1])) for w in (lone, alike))
    assert apart is not None
    assert together is not None
    assert together.effective_outcomes < apart.effective_outcomes / 5
    assert together.upper - together.lower > apart.upper - apart.lower


@given(st.lists(st.tuples(*[st.booleans()] * 4), max_size=40), st.integers(1, 5))
def test_whatever_was_done_there_is_an_answer_or_none(rows: list[tuple[bool, ...]], width: int) -> None:
    columns = np.array(rows, dtype=np.bool_).reshape(-1, 4)
    first, second = acts(columns[:, 0], columns[:, 1]), acts(columns[:, 2], columns[:, 3])
    blocks = np.arange(len(rows)) // width
    found, mirrored = compare_win_rates(blocks, first, second), compare_win_rates(blocks, second, first)
    if found is None:
        assert mirrored is None
        return
    assert mirrored is not None
    assert found.lower <= found.value <= found.upper
    assert found.value == pytest.approx(-mirrored.value)
    assert found.effective_outcomes <= found.outcomes
