"""The promises of section 3, by simulation: equal models are called better no more often than alpha allows."""

import numpy as np
import pytest
from scipy import stats
from tests.simulate.streams import overlapping_targets

from perennial_trainer.bootstrap import (
    Blocks,
    choose_blocks,
    draw_lifts,
    effective_outcomes,
    judge_lift,
    measure_overlap,
    widening,
)
from perennial_trainer.reading import FloatArray

HOUR = 3_600_000_000


def win_rate_lift(sums: FloatArray) -> FloatArray:
    lift: FloatArray = sums[:, 1] / sums[:, 0] - sums[:, 3] / sums[:, 2]
    return lift


def equal_models(rng: np.random.Generator, timestamps: int, overlap: int) -> FloatArray:
    """Two models without skill on labels that overlap: sums of (acted, wins, acted, wins) by timestamp.

    A label is the sign of the next ``overlap`` returns, and a model sticks to its side for as long, so that its wins
    and losses come in runs: the dependence that makes rows worth less than they look.
    """
    label, old, new = overlapping_targets(rng, timestamps, overlap, 3)
    ones = np.ones(timestamps)
    return np.column_stack([ones, new == label, ones, old == label])


def called_better(rng: np.random.Generator, timestamps: int, overlap: int, alpha: float) -> bool:
    sums = equal_models(rng, timestamps, overlap)
    blocks = choose_blocks(timestamps, overlap)
    assert blocks.enough
    observed = float(win_rate_lift(sums.sum(axis=0, keepdims=True))[0])
    draws = draw_lifts(sums, win_rate_lift, blocks.length, int(rng.integers(2**31)), draws=1_000)
    bound = judge_lift(observed, draws, blocks, alpha).lower_bound
    return bound is not None and bound > 0


@pytest.mark.parametrize(("timestamps", "overlap"), [(400, 1), (400, 5), (1_600, 24)])
def test_equal_models_are_called_better_no_more_often_than_alpha(timestamps: int, overlap: int) -> None:
    rng, alpha, runs = np.random.default_rng(20240501 + overlap), 0.05, 1_000
    found = sum(called_better(rng, timestamps, overlap, alpha) for _ in range(runs))
    # Above this the rate is over alpha with 99 % certainty; below the other the test would be too blunt to notice.
    assert found <= stats.binom.ppf(0.99, runs, alpha)
    assert found >= runs * alpha / 4


def test_looking_five_times_at_a_moving_holdout_spends_alpha_once_a_holdout_length() -> None:
    rng, runs, length, overlap = np.random.default_rng(7), 600, 600, 5
    fresh_share, confidence = 0.2, 0.95
    alpha = (1 - confidence) * fresh_share
    step = int(length * fresh_share)
    blocks = choose_blocks(length, overlap)
    false_deploys = 0
    for _ in range(runs):
        sums = equal_models(rng, length + 5 * step, overlap)
        for look in range(1, 6):
            window = sums[look * step : look * step + length]
            observed = float(win_rate_lift(window.sum(axis=0, keepdims=True))[0])
            draws = draw_lifts(window, win_rate_lift, blocks.length, look, draws=1_000)
            bound = judge_lift(observed, draws, blocks, alpha).lower_bound
            if bound is not None and bound > 0:
                false_deploys += 1
                break
    assert false_deploys <= stats.binom.ppf(0.99, runs, 1 - confidence)


def test_a_truly_better_model_is_seen() -> None:
    rng = np.random.default_rng(3)
    ones = np.ones(3_000)
    sums = np.column_stack([ones, rng.random(3_000) < 0.60, ones, rng.random(3_000) < 0.50])
    blocks = choose_blocks(3_000, 1)
    observed = float(win_rate_lift(sums.sum(axis=0, keepdims=True))[0])
    sure = judge_lift(observed, draw_lifts(sums, win_rate_lift, blocks.length, 1), blocks, 0.05)
    assert sure.lower_bound is not None
    assert 0.05 < sure.lower_bound < observed
    assert sure.probability_better == 1.0


def test_draws_are_the_same_for_a_seed_and_centred_on_what_was_observed() -> None:
    sums = equal_models(np.random.default_rng(1), 1_001, 5)
    first, again = (draw_lifts(sums, win_rate_lift, 30, 42) for _ in range(2))
    assert (first == again).all()
    assert (first != draw_lifts(sums, win_rate_lift, 30, 43)).any()
    observed = float(win_rate_lift(sums.sum(axis=0, keepdims=True))[0])
    assert abs(first.mean() - observed) < 5 * first.std() / np.sqrt(len(first))


def test_every_draw_has_as_many_timestamps_as_the_data() -> None:
    seen: list[FloatArray] = []

    def remember(sums: FloatArray) -> FloatArray:
        seen.append(sums)
        return sums[:, 0]

    draw_lifts(np.ones((103, 2)), remember, 10, 0, draws=50)
    assert (np.concatenate(seen) == 103).all()


def test_a_large_holdout_takes_seconds_and_little_memory() -> None:
    sums = np.ones((63_000, 4))
    assert draw_lifts(sums, win_rate_lift, choose_blocks(63_000, 5).length, 0, draws=2_000).shape == (2_000,)


@pytest.mark.parametrize(
    ("timestamps", "overlap", "length", "enough"),
    [
        (8_000, 5, 60, True),  # 3·T^⅓
        (8_000, 100, 200, True),  # 2 × overlap
        (600, 5, 26, True),  # 3·T^⅓ again, though these are fewer than 30
        (600, 10, 26, True),  # 30 stretches of 2 × overlap, just
        (599, 10, 26, False),  # too few outcomes that do not depend on each other
        (29, 1, 10, False),
    ],
)
def test_a_block_holds_the_overlap_twice_and_thirty_such_stretches_are_enough(
    timestamps: int, overlap: int, length: int, enough: bool
) -> None:
    blocks = choose_blocks(timestamps, overlap)
    assert (blocks.length, blocks.enough) == (length, enough)


def test_overlap_counts_the_timestamps_within_a_label() -> None:
    hours = np.arange(1_000, dtype=np.int64) * HOUR
    assert measure_overlap(hours, 5 * HOUR) == 5
    assert measure_overlap(hours, HOUR) == 1
    assert measure_overlap(hours, 0) == 1
    assert measure_overlap(hours[:1], 5 * HOUR) == 1


def test_widening_vanishes_for_many_long_blocks_and_grows_for_few() -> None:
    assert widening(Blocks(10**7, 1_000, 5), 0.05) == pytest.approx(1, abs=0.002)
    assert widening(Blocks(600, 20, 10), 0.05) > widening(Blocks(6_000, 20, 10), 0.05) > 1


def test_no_alpha_left_means_no_bound() -> None:
    sure = judge_lift(0.1, np.full(100, 0.1), Blocks(3_000, 30, 1), 0.0)
    assert sure.lower_bound is None
    assert sure.probability_better == 1.0


def test_a_tiny_alpha_reaches_beyond_the_draws() -> None:
    draws = np.random.default_rng(0).normal(0.1, 0.01, 10_000)
    blocks = Blocks(10**6, 100, 1)
    bound = judge_lift(0.1, draws, blocks, 1e-7).lower_bound
    assert bound is not None
    assert bound < draws.min()


def test_draws_without_action_count_against_the_challenger() -> None:
    draws = np.where(np.arange(1_000) < 100, -np.inf, 0.1)
    sure = judge_lift(0.1, draws, Blocks(3_000, 30, 1), 0.05)
    assert sure.lower_bound is None
    assert sure.probability_better == 0.9


def test_independent_rows_are_worth_themselves() -> None:
    rng = np.random.default_rng(5)
    wins = (rng.random(20_000) < 0.5).astype(float)
    worth = effective_outcomes(wins, np.ones(20_000), np.arange(20_000) // 10)
    assert worth == pytest.approx(20_000, rel=0.1)


def test_rows_that_repeat_are_worth_one_each_block() -> None:
    rng = np.random.default_rng(5)
    wins = np.repeat((rng.random(2_000) < 0.5).astype(float), 10)
    assert effective_outcomes(wins, np.ones(20_000), np.arange(20_000) // 10) == pytest.approx(2_000, rel=0.1)


def test_rows_that_share_outcomes_across_blocks_are_worth_what_their_variance_says() -> None:
    """Signs of sums over 5 steps correlate by 2/π · asin(1 − k/5) at lag k (the arcsine law)."""
    rows, overlap = 20_000, 5
    correlations = 2 / np.pi * np.arcsin(1 - np.arange(1, overlap) / overlap)
    wins = overlapping_targets(np.random.default_rng(5), rows, overlap, 20).astype(float)
    blocks = np.arange(rows) // (2 * overlap)
    worth = np.mean([effective_outcomes(one, np.ones(rows), blocks) for one in wins])
    assert worth == pytest.approx(rows / (1 + 2 * correlations.sum()), rel=0.03)


def test_rows_without_action_are_worth_nothing() -> None:
    rng = np.random.default_rng(5)
    acted = (rng.random(20_000) < 0.1).astype(float)
    wins = acted * (rng.random(20_000) < 0.6)
    worth = effective_outcomes(wins, acted, np.arange(20_000) // 10)
    assert worth == pytest.approx(acted.sum(), rel=0.15)
    assert effective_outcomes(wins * 0, acted * 0, np.arange(20_000)) == 0


def test_a_model_that_always_wins_is_worth_one_outcome_a_block() -> None:
    assert effective_outcomes(np.ones(100), np.ones(100), np.arange(100) // 10) == 10
