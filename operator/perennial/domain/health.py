"""How well does the stable version do? Judged on blocks of outcomes, never on rows; too few of them is Unknown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import NamedTuple

from perennial.api.model_deployment import Health
from perennial.api.model_deployment_status import HealthState, HealthStatus, Interval
from perennial.domain.blocks import CONFIDENCE, Ratio, ratio_of, sum_variance
from perennial.domain.evidence import BlockRow, HealthLook
from perennial.domain.statistics import (
    CalibrationError,
    calibration_error,
    normal_quantile,
    significant,
    spiegelhalter_z,
    wilson_bounds,
)
from perennial.domain.trend import decide_trend
from perennial_contract.durations import format_duration
from perennial_contract.samples import SampleContract

CRITICAL_BELOW = 0.05
"""So far below minWinRate a win rate is Critical; a reward twice as far, in standard deviations, as ±1 utilities go."""
LEAVE_CONFIDENCE = 0.90
"""A flagged version stays flagged until even this bound is back: a figure on the line must not flap at every look."""
CALIBRATION_CONFIDENCE = 0.975
"""Of each side: a model may be too sure of itself or not sure enough."""

_SEVERITY: dict[HealthState, int] = {"Healthy": 0, "Unknown": 1, "Degraded": 2, "Critical": 3}


class Finding(NamedTuple):
    """What one rule says."""

    state: HealthState
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that the rules look at."""

    wins: Ratio
    effective: float
    interval: Interval
    confidence: float
    """Of the bound that is held against minWinRate; less for a version that is flagged already."""
    bound: float
    reward: Ratio | None
    reward_spread: float
    """Standard deviation of a row's reward."""
    effective_rewards: float
    calibration: CalibrationError | None
    spiegelhalter: float


def decide_health(
    spec: Health,
    contract: SampleContract,
    look: HealthLook | None,
    version: str,
    since: datetime,
    until: datetime,
    previous: HealthStatus | None,
) -> HealthStatus:
    """The state of ``version`` over its window, from one look; without a look (the store is down) it is Unknown."""
    seen = HealthStatus(version=version, window_from=since, window_until=until)
    if look is None:
        return seen.model_copy(
            update={"reason": "StoreUnavailable", "message": "the sample store does not answer: nothing is known"}
        )
    flagged = previous is not None and previous.version == version and _SEVERITY[previous.state] >= 2
    figures = _figures_of(look, flagged)
    finding = _judge(spec, look, figures)
    return seen.model_copy(
        update={
            "state": finding.state,
            "reason": finding.reason,
            "message": finding.message,
            "trend": decide_trend(spec, look.blocks),
            "evidence_until": look.newest_resolved,
            "samples": look.total,
            "resolved": look.resolved,
            "overdue": look.overdue,
            "late": look.late,
            **_displayed(look.blocks, figures),
        }
    )


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


def _figures_of(look: HealthLook, flagged: bool) -> Figures | None:
    blocks = look.blocks
    ids = [block.block for block in blocks]
    found = win_rate_of(blocks)
    if found is None:
        return None
    wins, effective, interval = found
    confidence = LEAVE_CONFIDENCE if flagged else CONFIDENCE
    reward = ratio_of(ids, [block.reward_sum for block in blocks], [block.rewarded for block in blocks])
    row_variance = 0.0
    if reward is not None:
        row_variance = max(0.0, sum(block.reward_sq for block in blocks) / reward.total - reward.value**2)
    numerators = [block.spiegelhalter_num for block in blocks]
    expected = sum(block.spiegelhalter_den for block in blocks)
    observed = sum_variance(ids, numerators)
    effect = max(1.0, wins.total / effective if effective else 1.0, observed / expected if expected else 1.0)
    return Figures(
        wins=wins,
        effective=effective,
        interval=interval,
        confidence=confidence,
        bound=wilson_bounds(wins.value, effective, confidence)[1],
        reward=reward,
        reward_spread=sqrt(row_variance),
        effective_rewards=reward.effective(row_variance) if reward else 0.0,
        calibration=calibration_error(
            [(b.n, b.score_sum, b.target_sum, b.score_var_sum) for b in look.bins], effect, CALIBRATION_CONFIDENCE
        ),
        spiegelhalter=spiegelhalter_z(sum(numerators), expected, observed),
    )


def _judge(spec: Health, look: HealthLook, figures: Figures | None) -> Finding:
    """The worst of what the rules find; of equally bad ones the first."""
    if figures is None or figures.effective < spec.min_outcomes:
        return _not_enough(spec, look, figures)
    return max(_findings(spec, figures), key=lambda finding: _SEVERITY[finding.state])


def _findings(spec: Health, figures: Figures) -> Iterator[Finding]:
    yield _win_rate(spec, figures)
    if spec.min_average_reward is not None:
        yield _reward(spec.min_average_reward, spec.min_outcomes, figures)
    if figures.calibration is not None:
        yield _calibration(spec, figures.calibration, figures.spiegelhalter)


def _not_enough(spec: Health, look: HealthLook, figures: Figures | None) -> Finding:
    have = (
        f"{figures.effective:.0f} effective outcomes ({figures.interval.outcomes} in {figures.wins.blocks} time blocks)"
        if figures
        else "no outcome"
    )
    overdue = f"; {look.overdue} are overdue" if look.overdue else ""
    return Finding(
        "Unknown",
        "NotEnoughOutcomes",
        f"{have} in the window of {format_duration(spec.window)}, {spec.min_outcomes} are needed{overdue}",
    )


def _win_rate(spec: Health, figures: Figures) -> Finding:
    share, bound = figures.wins.value, figures.bound
    seen = f"win rate {share:.1%} on {figures.effective:.0f} effective outcomes"
    figure = f"{seen}, at most {bound:.1%} at {figures.confidence:.0%}"
    if bound < spec.min_win_rate - CRITICAL_BELOW:
        line = f"{figure}: under the minimum of {spec.min_win_rate:.1%} by more than {CRITICAL_BELOW:.0%}"
        return Finding("Critical", "WinRateBelowMinimum", line)
    if bound < spec.min_win_rate:
        return Finding("Degraded", "WinRateBelowMinimum", f"{figure}: under the minimum of {spec.min_win_rate:.1%}")
    within = f"{seen}, {figures.interval.lower:.1%} to {figures.interval.upper:.1%}"
    line = f"{within}: not shown to be under the minimum of {spec.min_win_rate:.1%}"
    return Finding("Healthy", "WithinLimits", line)


def _reward(minimum: float, needed: int, figures: Figures) -> Finding:
    if figures.reward is None or figures.effective_rewards < needed:
        line = f"{figures.effective_rewards:.0f} effective outcomes with a reward, minAverageReward needs {needed}"
        return Finding("Unknown", "NotEnoughRewards", line)
    bound = figures.reward.value + figures.reward.student() * sqrt(figures.reward.variance)
    figure = f"average reward {figures.reward.value:.4g}, at most {bound:.4g} at 95 %"
    rung = minimum - 2 * CRITICAL_BELOW * figures.reward_spread
    if bound < rung:
        line = f"{figure}: under {rung:.4g}, a tenth of a standard deviation below the minimum of {minimum:.4g}"
        return Finding("Critical", "RewardBelowMinimum", line)
    if bound < minimum:
        return Finding("Degraded", "RewardBelowMinimum", f"{figure}: under the minimum of {minimum:.4g}")
    return Finding("Healthy", "WithinLimits", f"{figure}: not shown to be under the minimum of {minimum:.4g}")


def _calibration(spec: Health, error: CalibrationError, z: float) -> Finding:
    figure = (
        f"calibration error {error.value:.3f}, {error.perfect:.3f} if perfectly calibrated, Spiegelhalter's Z {z:.1f}"
    )
    significant = abs(z) > normal_quantile(CALIBRATION_CONFIDENCE) or error.value > error.perfect_upper
    if error.value - error.perfect > spec.max_calibration_error and significant:
        line = f"{figure}: the excess is over the maximum of {spec.max_calibration_error:.3f}"
        return Finding("Degraded", "CalibrationPoor", line)
    return Finding("Healthy", "WithinLimits", figure)


def _displayed(blocks: Sequence[BlockRow], figures: Figures | None) -> dict[str, object]:
    """Figures for the status: rounded, so that the order in which a database adds does not show."""
    rows = sum(block.n for block in blocks)
    if not rows:
        return {}
    loss = sum(block.reward_loss for block in blocks)
    error = figures.calibration if figures else None
    return {
        "win_rate": figures.interval if figures else None,
        "average_reward": significant(figures.reward.value) if figures and figures.reward else None,
        "profit_factor": significant(sum(block.reward_gain for block in blocks) / loss) if loss > 0 else None,
        "brier": significant(sum(block.brier_sum for block in blocks) / rows),
        "calibration_error": significant(error.value) if error else None,
        "mean_confidence": significant(sum(block.confidence_sum for block in blocks) / rows),
    }
