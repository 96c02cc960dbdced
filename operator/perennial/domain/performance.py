"""How a version did over its window, in figures: what the rules of health look at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt

from perennial.api.model_deployment import Health
from perennial.api.model_deployment_status import Interval
from perennial.domain.blocks import CONFIDENCE, Ratio, ratio_of, sum_variance
from perennial.domain.cusum import Cusum, cusum_threshold, decide_cusum
from perennial.domain.evidence import BlockRow, HealthLook, first_open_block
from perennial.domain.statistics import (
    CalibrationError,
    calibration_error,
    significant,
    spiegelhalter_z,
    wilson_bounds,
)
from perennial_contract.samples import SampleContract

LARGEST = 1e100
"""Sums beyond it are of no rewards and no scores that anyone recorded on purpose; nor is NaN below it."""


@dataclass(frozen=True, slots=True)
class Performance:
    """Everything that the rules look at."""

    wins: Ratio
    effective: float
    """What the outcomes are worth as independent ones."""
    interval: Interval
    reward: Ratio | None
    reward_spread: float
    """Standard deviation of a row's reward."""
    effective_rewards: float
    calibration: CalibrationError | None
    spiegelhalter: float | None
    cusum: Cusum | None
    """None: one block says nothing of what its outcomes are worth."""

    def upper_bound(self, confidence: float) -> float:
        """Of the win rate, one-sided."""
        value = self.wins.value
        return wilson_bounds(value, self.wins.effective(value * (1 - value), confidence), confidence)[1]


def win_rate_of(blocks: Sequence[BlockRow]) -> tuple[Ratio, float, Interval] | None:
    """Wins / acted over blocks, what it rests on in effective outcomes, and its Wilson bounds, each one-sided at 95 %.

    None: nothing was acted on.
    """
    wins = ratio_of([b.block for b in blocks], [b.wins for b in blocks], [b.acted for b in blocks])
    if wins is None:
        return None
    effective = wins.effective(wins.value * (1 - wins.value))
    lower, upper = wilson_bounds(wins.value, effective, CONFIDENCE)
    return (
        wins,
        effective,
        Interval(
            value=significant(wins.value),
            lower=significant(lower),
            upper=significant(upper),
            outcomes=round(wins.total),
            effective_outcomes=round(effective, 1),
        ),
    )


def describe_performance(
    spec: Health, contract: SampleContract, look: HealthLook, until: datetime, cusum_start: datetime
) -> Performance | None:
    """The figures of a look; None: nothing was acted on in its window."""
    blocks = look.blocks
    found = win_rate_of(blocks)
    if found is None:
        return None
    wins, effective, interval = found
    reward, row_variance = _reward_of(blocks)
    worth = max(1.0, wins.total / effective) if effective else 1.0
    calibration, spiegelhalter = _calibration_of(look, worth)
    return Performance(
        wins=wins,
        effective=effective,
        interval=interval,
        reward=reward,
        reward_spread=sqrt(row_variance),
        effective_rewards=reward.effective(row_variance) if reward else 0.0,
        calibration=calibration,
        spiegelhalter=spiegelhalter,
        cusum=decide_cusum(
            spec.min_win_rate,
            look,
            start=cusum_start,
            first_open=first_open_block(until, contract.label_delay, look.block_seconds),
            design_effect=worth,
            threshold=cusum_threshold(
                spec.min_win_rate, 2 * _arriving(look, effective, spec.false_alarm_every), wins.blocks
            ),
        )
        if effective
        else None,
    )


def _reward_of(blocks: Sequence[BlockRow]) -> tuple[Ratio | None, float]:
    """Mean reward of an action, and the variance of one; None without rewards, and where they are no numbers."""
    if not _are_numbers(sum_ for block in blocks for sum_ in (block.reward_sum, block.reward_sq)):
        return None, 0.0
    found = ratio_of([b.block for b in blocks], [b.reward_sum for b in blocks], [b.rewarded for b in blocks])
    if found is None:
        return None, 0.0
    return found, max(0.0, sum(block.reward_sq for block in blocks) / found.total - found.value**2)


def _calibration_of(look: HealthLook, worth: float) -> tuple[CalibrationError | None, float | None]:
    """Of bins, and Spiegelhalter's Z; None where scores are no probabilities."""
    blocks, bins = look.blocks, [(b.n, b.score_sum, b.target_sum, b.score_var_sum) for b in look.bins]
    numerators, expected = [b.spiegelhalter_num for b in blocks], sum(b.spiegelhalter_den for b in blocks)
    spreads = (expected, *(spread for *_, spread in bins))
    if min(spreads) < 0 or not _are_numbers((*numerators, *spreads, *(score for _, score, *_ in bins))):
        return None, None
    observed = sum_variance([block.block for block in blocks], numerators)
    effect = max(worth, observed / expected if expected else 1.0)
    return calibration_error(bins, effect), spiegelhalter_z(sum(numerators), expected, observed)


def _are_numbers(sums: Iterable[float]) -> bool:
    return all(abs(sum_) < LARGEST for sum_ in sums)


def _arriving(look: HealthLook, effective: float, within: timedelta) -> float:
    """Effective outcomes that come in within such a time, at the rate of the look."""
    blocks = look.blocks[-1].block - look.blocks[0].block + 1
    return effective * (within.total_seconds() / (blocks * look.block_seconds))
