"""What wins, what acts and what is left out, one table a rule; then the lift between two models."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from perennial_contract.samples import Decision, SampleContract
from perennial_contract.task import EvaluationRule
from perennial_trainer.errors import NotEnoughData, TaskWrong
from perennial_trainer.evaluate import Holdout, Scored, evaluate
from perennial_trainer.instants import to_micros

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = to_micros(timedelta(hours=1))
CONTRACT = SampleContract(label_delay=timedelta(hours=1))


def holdout(target: list[int], reward: list[float] | None = None) -> Holdout:
    at = to_micros(START) + np.arange(len(target), dtype=np.int64) * HOUR
    return Holdout(at, np.array(target, dtype=float), np.array(reward or [np.nan] * len(target), dtype=float))


def judge(rows: Holdout, new: list[float], old: list[float] | None = None, **changes: Any) -> Any:
    arguments: dict[str, Any] = {"contract": CONTRACT, "decision": Decision(), "rule": EvaluationRule(), "seed": 1}
    champion = Scored("v1", np.array(old)) if old is not None else None
    return evaluate(rows, Scored("v2", np.array(new)), champion, **{**arguments, **changes})


def noisy(target: np.ndarray, skill: float, seed: int) -> list[float]:
    """Scores that are on the right side with probability ``skill``."""
    rng = np.random.default_rng(seed)
    right = rng.random(len(target)) < skill
    return list(np.where(right == (target == 1), 0.6, 0.4))


def many(rows: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2, rows)


def test_direction_always_acts_and_wins_on_the_side_of_the_target() -> None:
    score = judge(holdout([1, 1, 0, 0], [0.1, 0.2, -0.3, -0.4]), [0.5, 0.4, 0.6, 0.1]).challenger
    assert (score.acted, score.wins, score.win_rate, score.long_share) == (4, 2, 0.5, 0.5)
    # long +0.1, short −0.2, long −0.3, short +0.4
    assert score.average_reward == pytest.approx(0.0)


def test_direction_leaves_out_rewards_of_zero_everywhere() -> None:
    result = judge(holdout([1, 0, 0], [0.1, 0.0, -0.1]), [0.9, 0.9, 0.9])
    assert (result.challenger.acted, result.challenger.wins, result.outcomes) == (2, 1, 2)
    assert result.challenger.brier == pytest.approx((0.01 + 0.81) / 2)


def test_selection_acts_above_the_threshold_alone_and_keeps_rewards_of_zero() -> None:
    decision = Decision(rule="Selection", threshold=0.7)
    score = judge(holdout([1, 0, 1, 1], [0.2, 0.0, 0.4, 0.8]), [0.7, 0.8, 0.9, 0.6], decision=decision).challenger
    assert (score.acted, score.wins) == (3, 2)
    assert score.average_reward == pytest.approx(0.2)


def test_a_model_that_never_acts_has_no_win_rate_and_no_lift() -> None:
    decision = Decision(rule="Selection", threshold=0.7)
    target = many(400)
    result = judge(holdout(list(target)), [0.1] * 400, noisy(target, 0.9, 1), decision=Decision(rule="Selection"))
    assert result.challenger.win_rate is None
    assert (result.lift, result.lower_bound, result.probability_better) == (None, None, None)
    assert judge(holdout([1, 0]), [0.1, 0.1], decision=decision).challenger.acted == 0


def test_rewards_that_are_not_known_are_in_the_win_rate_but_not_in_the_average() -> None:
    score = judge(holdout([1, 1, 0], [0.5, np.nan, np.nan]), [0.9, 0.9, 0.9]).challenger
    assert (score.acted, score.wins, score.average_reward) == (3, 2, 0.5)
    assert judge(holdout([1, 0]), [0.9, 0.1]).challenger.average_reward is None


def test_lift_is_relative_to_the_champions_win_rate() -> None:
    result = judge(holdout([1] * 10), [0.9] * 6 + [0.1] * 4, [0.9] * 5 + [0.1] * 5)
    assert result.lift == pytest.approx((0.6 - 0.5) / 0.5)


def test_a_champion_that_hardly_wins_does_not_make_the_lift_huge() -> None:
    result = judge(holdout([1] * 10), [0.9] * 1 + [0.1] * 9, [0.1] * 10)
    assert result.lift == pytest.approx(0.1 / 0.05)


def test_average_reward_lift_is_in_standard_deviations_of_the_reward() -> None:
    reward = [0.1, 0.1, -0.1, -0.1]
    rule = EvaluationRule.model_validate({"metric": {"type": "AverageReward"}})
    result = judge(holdout([1, 1, 0, 0], reward), [0.9, 0.9, 0.1, 0.1], [0.9, 0.9, 0.9, 0.9], rule=rule)
    assert result.lift == pytest.approx((0.1 - 0.0) / 0.1)


def test_average_reward_without_rewards_is_not_enough_data() -> None:
    rule = EvaluationRule.model_validate({"metric": {"type": "AverageReward"}})
    with pytest.raises(NotEnoughData, match="no row of the holdout has a reward"):
        judge(holdout([1, 0]), [0.9, 0.1], rule=rule)


def test_composite_is_refused_until_it_is_implemented() -> None:
    rule = EvaluationRule.model_validate({"metric": {"type": "Composite"}})
    with pytest.raises(TaskWrong, match="Composite is not implemented yet"):
        judge(holdout([1, 0]), [0.9, 0.1], rule=rule)


def test_a_holdout_where_the_price_never_moved_is_not_enough_data() -> None:
    with pytest.raises(NotEnoughData, match="every reward is 0"):
        judge(holdout([1, 0], [0.0, 0.0]), [0.9, 0.1])


def test_a_better_challenger_has_a_lower_bound_above_zero_and_an_equal_one_has_not() -> None:
    target = many(3_000)
    better = judge(holdout(list(target)), noisy(target, 0.60, 1), noisy(target, 0.50, 2))
    assert better.lower_bound > 0
    assert better.probability_better > 0.99
    equal = judge(holdout(list(target)), noisy(target, 0.55, 3), noisy(target, 0.55, 4))
    assert equal.lower_bound < 0
    assert equal.blocks >= 30
    assert equal.alpha == pytest.approx(0.05)


def test_the_same_model_again_is_no_better_and_has_no_lift() -> None:
    target = many(500)
    scores = noisy(target, 0.55, 3)
    result = judge(holdout(list(target)), scores, scores)
    assert (result.lift, result.brier_difference, result.probability_better) == (0, 0, 0)


def test_alpha_shrinks_with_the_rows_that_a_verdict_has_seen_before() -> None:
    target = many(1_000)
    seen = START + timedelta(hours=749)
    rule = EvaluationRule(previous_holdout_until=seen)
    result = judge(holdout(list(target)), noisy(target, 0.6, 1), noisy(target, 0.5, 2), rule=rule)
    assert result.fresh_share == 0.25
    assert result.alpha == pytest.approx(0.05 * 0.25)
    all_fresh = judge(holdout(list(target)), noisy(target, 0.6, 1), noisy(target, 0.5, 2))
    assert result.lower_bound < all_fresh.lower_bound


def test_a_holdout_seen_before_in_full_leaves_nothing_to_spend() -> None:
    target = many(1_000)
    rule = EvaluationRule(previous_holdout_until=START + timedelta(days=365))
    result = judge(holdout(list(target)), noisy(target, 0.7, 1), noisy(target, 0.5, 2), rule=rule)
    assert (result.alpha, result.lower_bound) == (0, None)
    assert result.probability_better > 0.99


def test_outcomes_of_acted_samples_alone_give_no_bound() -> None:
    target = many(3_000)
    contract = SampleContract(label_delay=timedelta(hours=1), outcomes="Acted")
    result = judge(holdout(list(target)), noisy(target, 0.6, 1), noisy(target, 0.5, 2), contract=contract)
    assert result.lift > 0.1
    assert result.probability_better > 0.99
    assert result.lower_bound is None


def test_too_few_blocks_give_a_lift_but_no_bound_and_no_probability() -> None:
    target = many(500)
    contract = SampleContract(label_delay=timedelta(hours=24))
    result = judge(holdout(list(target)), noisy(target, 0.7, 1), noisy(target, 0.5, 2), contract=contract)
    assert result.lift > 0
    assert result.blocks < 30
    assert (result.lower_bound, result.probability_better) == (None, None)


def test_outcomes_that_overlap_are_worth_less() -> None:
    target = np.repeat(many(300), 5)
    runs = [score for score in noisy(many(300), 0.6, 1) for _ in range(5)]
    contract = SampleContract(label_delay=timedelta(hours=5))
    result = judge(holdout(list(target)), runs, contract=contract)
    assert result.outcomes == 1_500
    assert 150 < result.effective_outcomes < 450


def test_several_series_at_one_time_count_as_one_timestamp() -> None:
    target = many(600)
    rows = holdout(list(target))
    panel = Holdout(rows.at // HOUR // 2 * HOUR * 2, rows.target, rows.reward)
    assert judge(panel, noisy(target, 0.6, 1)).blocks == judge(holdout(list(target[::2])), [0.6] * 300).blocks


def test_scores_that_are_no_probabilities_are_told_and_still_counted() -> None:
    result = judge(holdout([1, 0, 1]), [np.nan, 0.2, 0.8])
    assert result.challenger.finite is False
    assert np.isfinite(result.challenger.brier)
    assert judge(holdout([1, 0]), [1.5, -0.1]).challenger.finite is False
    assert judge(holdout([1, 0]), [1.0, 0.0]).challenger.finite is True


def test_without_a_champion_there_is_nothing_to_compare() -> None:
    result = judge(holdout([1, 0, 1, 0]), [0.9, 0.1, 0.2, 0.3])
    assert (result.champion, result.lift, result.alpha, result.lower_bound) == (None, None, None, None)
    assert result.effective_outcomes > 0
