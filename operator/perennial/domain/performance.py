"""How a version did over its window, in figures: what the rules of health look at."""

from collections.abc import Sequence
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
    spiegelhalter: float
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
    ids = [block.block for block in blocks]
    found = win_rate_of(blocks)
    if found is None:
        return None
    wins, effective, interval = found
    reward = ratio_of(ids, [block.reward_sum for block in blocks], [block.rewarded for block in blocks])
    row_variance = 0.0
    if reward is not None:
        row_variance = max(0.0, sum(block.reward_sq for block in blocks) / reward.total - reward.value**2)
    numerators = [block.spiegelhalter_num for block in blocks]
    expected = sum(block.spiegelhalter_den for block in blocks)
    observed = sum_variance(ids, numerators)
    worth = max(1.0, wins.total / effective) if effective else 1.0
    return Performance(
        wins=wins,
        effective=effective,
        interval=interval,
        reward=reward,
        reward_spread=sqrt(row_variance),
        effective_rewards=reward.effective(row_variance) if reward else 0.0,
        calibration=calibration_error(
            [(b.n, b.score_sum, b.target_sum, b.score_var_sum) for b in look.bins],
            max(worth, observed / expected if expected else 1.0),
        ),
        spiegelhalter=spiegelhalter_z(sum(numerators), expected, observed),
        cusum=decide_cusum(
            spec.min_win_rate,
            look,
            start=cusum_start,
            first_open=first_open_block(until, contract.label_delay, look.block_seconds),
            design_effect=worth,
            threshold=cusum_threshold(spec.min_win_rate, 2 * _arriving(look, effective, spec.false_alarm_every)),
        )
        if effective
        else None,
    )


def _arriving(look: HealthLook, effective: float, within: timedelta) -> float:
    """Effective outcomes that come in within such a time, at the rate of the look."""
    blocks = look.blocks[-1].block - look.blocks[0].block + 1
    return effective * (within.total_seconds() / (blocks * look.block_seconds))
