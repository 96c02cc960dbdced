"""Champion and challenger on the same rows: their scores' worth, the lift between them, and how sure it is."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from perennial_contract.report import Evaluation, ModelScore
from perennial_contract.samples import Decision, SampleContract
from perennial_contract.task import EvaluationRule
from perennial_trainer.bootstrap import (
    Blocks,
    Confidence,
    Lift,
    choose_blocks,
    draw_lifts,
    effective_outcomes,
    judge_lift,
    measure_overlap,
)
from perennial_trainer.errors import NotEnoughData, TaskWrong
from perennial_trainer.instants import to_micros
from perennial_trainer.reading import BoolArray, FloatArray, IntArray

MetricName = Literal["WinRate", "AverageReward"]

MIN_WIN_RATE = 0.05
"""The lift's denominator is never smaller: a champion that hardly ever wins must not make any gain look huge."""


@dataclass(frozen=True)
class Holdout:
    """The rows under comparison, in time order."""

    at: IntArray
    """µs since 1970."""
    target: FloatArray
    reward: FloatArray
    """Of the long side; NaN: none recorded."""


@dataclass(frozen=True)
class Scored:
    """One model's word on every row of the holdout."""

    version: str
    scores: FloatArray


@dataclass(frozen=True)
class _Acts:
    """What a model's scores came to, as numbers to sum: shape (n,) each."""

    acted: FloatArray
    wins: FloatArray
    rewarded: FloatArray
    """1 where it acted and the reward is known."""
    reward: FloatArray

    @property
    def utility(self) -> FloatArray:
        """Win +1, loss −1, no action 0."""
        return 2 * self.wins - self.acted


def evaluate(
    holdout: Holdout,
    challenger: Scored,
    champion: Scored | None,
    *,
    contract: SampleContract,
    decision: Decision,
    rule: EvaluationRule,
    seed: int,
) -> Evaluation:
    """The figures that a verdict is made from; what cannot be said is absent, never 0.

    With ``outcomes: Acted`` only what the live model acted on has outcomes: nothing is truly paired. There is a lift
    and P(better), but no lower bound, and so no Deploy.

    Raises:
        NotEnoughData: no row counts, or the metric is AverageReward and no row has a reward.
        TaskWrong: the metric is not implemented.
    """
    metric = choose_metric(rule)
    counted = _counted(holdout, decision)
    rows = Holdout(holdout.at[counted], holdout.target[counted], holdout.reward[counted])
    if not len(rows.at):
        raise NotEnoughData("holdout: no row counts; every reward is 0, so neither side was right")
    if metric == "AverageReward" and np.isnan(rows.reward).all():
        raise NotEnoughData("promotion.metric.type: AverageReward, but no row of the holdout has a reward")
    new, new_score = _judge(rows, challenger, counted, decision)
    blocks = _blocks(rows, contract)
    fresh_share = _fresh_share(rows, rule)
    by_time = _time_blocks(rows, contract)
    alone = Evaluation(
        challenger=new_score,
        fresh_share=fresh_share,
        outcomes=len(rows.at),
        effective_outcomes=effective_outcomes(new.wins, new.acted, by_time),
        blocks=blocks.count,
        block_length=blocks.length,
    )
    if champion is None:
        return alone
    old, old_score = _judge(rows, champion, counted, decision)
    alpha = (1 - rule.confidence) * fresh_share
    lift, sure = _compare(rows, new, old, metric, blocks, alpha, seed)
    paired = {
        "champion": old_score,
        "effective_outcomes": _worth_of_pairs(new, old, by_time) or alone.effective_outcomes,
        "alpha": alpha,
        "lift": lift,
        "lower_bound": sure.lower_bound if sure and contract.outcomes == "All" else None,
        "probability_better": sure.probability_better if sure else None,
        "brier_difference": new_score.brier - old_score.brier,
    }
    return alone.model_copy(update=paired)


def _worth_of_pairs(new: _Acts, old: _Acts, by_time: IntArray) -> float | None:
    """What the rows are worth as pairs, which is what the lift is made of; None where the two never differ."""
    difference = new.utility - old.utility
    return effective_outcomes(difference, np.ones(len(by_time)), by_time) if difference.any() else None


def choose_metric(rule: EvaluationRule) -> MetricName:
    """The rule's metric.

    Raises:
        TaskWrong: it is not implemented.
    """
    if rule.metric.type == "Composite":
        raise TaskWrong("promotion.metric.type: Composite is not implemented yet; use WinRate or AverageReward")
    return rule.metric.type


def _counted(holdout: Holdout, decision: Decision) -> BoolArray:
    """Direction leaves out rewards of exactly 0 (the price did not move: neither side was right)."""
    if decision.rule == "Selection":
        return np.ones(len(holdout.at), dtype=np.bool_)
    return np.not_equal(holdout.reward, 0)


def _judge(rows: Holdout, model: Scored, counted: BoolArray, decision: Decision) -> tuple[_Acts, ModelScore]:
    raw = model.scores[counted]
    valid = np.isfinite(raw)
    # A score that is no number is gated out by `finite`; the rest of the figures must be numbers all the same.
    scores = np.where(valid, raw, 0.5)
    long = scores >= decision.threshold
    known = ~np.isnan(rows.reward)
    if decision.rule == "Direction":
        acted = np.ones(len(scores), dtype=np.bool_)
        wins = long == (rows.target == 1)
        reward = np.where(long, rows.reward, -rows.reward)
    else:
        acted = long
        wins = long & (rows.target == 1)
        reward = rows.reward
    rewarded = acted & known
    acts = _Acts(
        acted.astype(np.float64), wins.astype(np.float64), rewarded.astype(np.float64), np.where(rewarded, reward, 0.0)
    )
    n_acted, n_wins, n_rewarded = int(acted.sum()), int(wins.sum()), int(rewarded.sum())
    return acts, ModelScore(
        version=model.version,
        acted=n_acted,
        wins=n_wins,
        win_rate=n_wins / n_acted if n_acted else None,
        average_reward=float(acts.reward.sum()) / n_rewarded if n_rewarded else None,
        brier=float(np.mean((scores - rows.target) ** 2)),
        mean_score=float(scores.mean()),
        score_spread=float(scores.std()),
        long_share=float(long.mean()),
        finite=bool(valid.all() and (scores >= 0).all() and (scores <= 1).all()),
    )


def _blocks(rows: Holdout, contract: SampleContract) -> Blocks:
    timestamps = np.unique(rows.at)
    return choose_blocks(len(timestamps), measure_overlap(timestamps, to_micros(contract.label_delay)))


def _time_blocks(rows: Holdout, contract: SampleContract) -> IntArray:
    """Blocks of 2 × labelDelay since 1970; one timestamp a block where the label fits into one step."""
    timestamps = np.unique(rows.at)
    delay = to_micros(contract.label_delay)
    if measure_overlap(timestamps, delay) <= 1:
        return rows.at
    return rows.at // (2 * delay)


def _fresh_share(rows: Holdout, rule: EvaluationRule) -> float:
    if rule.previous_holdout_until is None:
        return 1.0
    return float((rows.at > to_micros(rule.previous_holdout_until)).mean())


def _compare(
    rows: Holdout,
    new: _Acts,
    old: _Acts,
    metric: MetricName,
    blocks: Blocks,
    alpha: float,
    seed: int,
) -> tuple[float | None, Confidence | None]:
    lift: Lift
    if metric == "WinRate":
        columns, lift = (new.acted, new.wins, old.acted, old.wins), _win_rate_lift
    else:
        deviation = float(np.nanstd(rows.reward))
        columns = (new.rewarded, new.reward, old.rewarded, old.reward)
        lift = _reward_lift(deviation)
    starts = np.flatnonzero(np.diff(rows.at, prepend=rows.at[0] - 1))
    sums = np.add.reduceat(np.column_stack(columns), starts, axis=0)
    observed = float(lift(sums.sum(axis=0, keepdims=True))[0])
    if not np.isfinite(observed):
        return None, None
    if not blocks.enough:
        return observed, None
    return observed, judge_lift(observed, draw_lifts(sums, lift, blocks.length, seed), blocks, alpha)


def _win_rate_lift(sums: FloatArray) -> FloatArray:
    """(challenger − champion) / max(champion, 0.05), from sums of acted, wins, acted, wins."""
    new, old = _ratio(sums[:, 1], sums[:, 0]), _ratio(sums[:, 3], sums[:, 2])
    return _defined((new - old) / np.maximum(old, MIN_WIN_RATE))


def _reward_lift(deviation: float) -> Lift:
    """(challenger − champion) / SD of the holdout's reward, from sums of count, reward, count, reward."""

    def lift(sums: FloatArray) -> FloatArray:
        difference = _ratio(sums[:, 1], sums[:, 0]) - _ratio(sums[:, 3], sums[:, 2])
        return _defined(difference / deviation if deviation > 0 else np.where(difference == 0, 0.0, np.nan))

    return lift


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    result: FloatArray = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return result


def _defined(lift: FloatArray) -> FloatArray:
    """A draw in which a model never acted speaks against the challenger: −inf."""
    return np.where(np.isnan(lift), -np.inf, lift)
