"""How well does the stable version do? Judged on blocks of outcomes, never on rows; too few of them is Unknown.

A healthy model may be flagged once in ``falseAlarmEvery``, however often it is looked at. The bound of the window's win
rate and the sum that sees a fall sooner have half of that each: together they raise one alarm in that time at most, for
a win rate of minWinRate + `HEALTHY_MARGIN` or more, whatever the overlap of labels. At minWinRate itself nothing that
ever raises one could promise it. Rewards, calibration, and either side of the trend have as much, each for itself.
"""

from collections.abc import Iterator
from datetime import datetime
from math import pi, sqrt
from typing import NamedTuple

from perennial.api.model_deployment import Health
from perennial.api.model_deployment_status import CusumStatus, HealthState, HealthStatus
from perennial.domain.cusum import LEAVE, Cusum, cusum_start, healthy_margin, kept_cursor
from perennial.domain.evidence import HealthLook
from perennial.domain.performance import Performance, describe_performance
from perennial.domain.sliding import HYSTERESIS, confidence_of, format_confidence, sliding_level
from perennial.domain.statistics import CalibrationError, significant
from perennial.domain.trend import decide_trend
from perennial_contract.durations import format_duration
from perennial_contract.samples import SampleContract

CRITICAL_BELOW = 0.05
"""So far below minWinRate a win rate is Critical; a reward twice as far, in standard deviations, as ±1 utilities go."""
CALIBRATION_CONFIDENCE = 0.975
"""Of each side: a model may be too sure of itself or not sure enough."""
CALIBRATION_SLOPE = 2 + 1 / (1 - 2 / pi)
"""Spiegelhalter's Z strays to two sides, and an |N(0, 1)| forgets itself that much faster than an N(0, 1)."""
JUDGE_AGAIN = 1.1
"""Times minOutcomes, for a version that had as many and lost them: what is counted as effective wavers."""
WIN_RATE_REASONS = frozenset({"WinRateBelowMinimum", "WinRateFell"})
"""Of a version that is flagged for its win rate."""

_SEVERITY: dict[HealthState, int] = {"Healthy": 0, "Unknown": 1, "Degraded": 2, "Critical": 3}


class Finding(NamedTuple):
    """What one rule says."""

    state: HealthState
    reason: str
    message: str


def decide_health(
    spec: Health,
    contract: SampleContract,
    look: HealthLook | None,
    version: str,
    since: datetime,
    until: datetime,
    previous: HealthStatus | None,
) -> HealthStatus:
    """The state of ``version`` over its window, from one look; without a look (the store is down) it is Unknown.

    ``previous``, where it is of the same version, says for what that is flagged, and where its cumulative sum goes on.
    """
    known = previous if previous is not None and previous.version == version else None
    kept = kept_cursor(previous, version)
    seen = HealthStatus(version=version, window_from=since, window_until=until, cusum=kept)
    if look is None:
        return seen.model_copy(
            update={"reason": "StoreUnavailable", "message": "the sample store does not answer: nothing is known"}
        )
    figures = describe_performance(spec, contract, look, until, cusum_start(spec, previous, version, until))
    finding = _judge(spec, look, figures, known)
    return seen.model_copy(
        update={
            "state": finding.state,
            "reason": finding.reason,
            "message": finding.message,
            "trend": decide_trend(spec, look.blocks, known.trend if known else "Unknown"),
            "evidence_until": look.newest_resolved,
            "samples": look.total,
            "resolved": look.resolved,
            "overdue": look.overdue,
            "late": look.late,
            **_displayed(look, figures),
        }
    )


def _judge(spec: Health, look: HealthLook, figures: Performance | None, known: HealthStatus | None) -> Finding:
    """The worst of what the rules find; of equally bad ones the first. ``known``: what was said of it before."""
    lost = known is not None and known.reason == "OutcomesFellShort"
    if figures is None or figures.effective < spec.min_outcomes * (JUDGE_AGAIN if lost else 1):
        judged = lost or (known is not None and known.state != "Unknown")
        return _too_few(spec, look, figures, judged_before=judged)
    flagged = known.reason if known and _SEVERITY[known.state] >= 2 else ""
    return max(_findings(spec, figures, flagged), key=lambda finding: _SEVERITY[finding.state])


def _findings(spec: Health, figures: Performance, flagged: str) -> Iterator[Finding]:
    yield _win_rate(spec, figures, flagged in WIN_RATE_REASONS)
    if figures.cusum is not None:
        yield from _fall(figures.cusum, flagged in WIN_RATE_REASONS)
    if spec.min_average_reward is not None:
        yield _reward(spec, spec.min_average_reward, figures, flagged == "RewardBelowMinimum")
    if figures.calibration is not None:
        yield _calibration(spec, figures.calibration, figures.spiegelhalter or 0.0, flagged == "CalibrationPoor")


def _too_few(spec: Health, look: HealthLook, figures: Performance | None, *, judged_before: bool) -> Finding:
    have = (
        f"{figures.effective:.0f} effective outcomes ({figures.interval.outcomes} in {figures.wins.blocks} time blocks)"
        if figures
        else "no outcome"
    )
    line = f"{have} in the window of {format_duration(spec.window)}"
    overdue = f"; {look.overdue} are overdue" if look.overdue else ""
    if judged_before:
        again = f"fewer than there were, {spec.min_outcomes * JUDGE_AGAIN:.0f} are needed to judge again"
        return Finding("Unknown", "OutcomesFellShort", f"{line}, {again}{overdue}")
    return Finding("Unknown", "NotEnoughOutcomes", f"{line}, {spec.min_outcomes} are needed{overdue}")


def _win_rate(spec: Health, figures: Performance, flagged: bool) -> Finding:
    """Half of the promise is this bound's."""
    minimum = spec.min_win_rate
    shift = healthy_margin(minimum) * sqrt(figures.effective / (minimum * (1 - minimum)))
    level = sliding_level(spec.window / spec.false_alarm_every / 2, shift=shift)
    confidence = confidence_of(level - HYSTERESIS * flagged)
    share, bound = figures.wins.value, figures.upper_bound(confidence)
    seen = f"win rate {share:.1%} on {figures.effective:.0f} effective outcomes"
    figure = f"{seen}, at most {bound:.1%} at {format_confidence(confidence)}"
    if bound < minimum - CRITICAL_BELOW:
        line = f"{figure}: under the minimum of {minimum:.1%} by more than {CRITICAL_BELOW:.0%}"
        return Finding("Critical", "WinRateBelowMinimum", line)
    if bound < minimum:
        return Finding("Degraded", "WinRateBelowMinimum", f"{figure}: under the minimum of {minimum:.1%}")
    within = f"{seen}, {figures.interval.lower:.1%} to {figures.interval.upper:.1%}"
    line = f"{within}: not shown to be under the minimum of {minimum:.1%}"
    return Finding("Healthy", "WithinLimits", line)


def _fall(cusum: Cusum, flagged: bool) -> Iterator[Finding]:
    """The other half of the promise; it says when the win rate fell, and nothing worse than Degraded."""
    least = cusum.threshold * (LEAVE if flagged else 1)
    if cusum.value >= least:
        seen = (
            f"win rate {cusum.wins / cusum.acted:.1%} on {cusum.acted} outcomes since {cusum.since:%Y-%m-%d %H:%M} UTC"
        )
        line = f"{seen}, when it seems to have fallen: a cumulative sum of {cusum.value:.1f}, {least:.1f} is too much"
        yield Finding("Degraded", "WinRateFell", line)


def _reward(spec: Health, minimum: float, figures: Performance, flagged: bool) -> Finding:
    if figures.reward is None or figures.effective_rewards < spec.min_outcomes:
        line = f"{figures.effective_rewards:.0f} effective outcomes with a reward, "
        return Finding("Unknown", "NotEnoughRewards", f"{line}minAverageReward needs {spec.min_outcomes}")
    shift = 2 * healthy_margin(spec.min_win_rate) * sqrt(figures.effective_rewards)
    level = sliding_level(spec.window / spec.false_alarm_every, shift=shift)
    confidence = confidence_of(level - HYSTERESIS * flagged)
    bound = figures.reward.value + figures.reward.student(confidence) * sqrt(figures.reward.variance)
    figure = f"average reward {figures.reward.value:.4g}, at most {bound:.4g} at {format_confidence(confidence)}"
    rung = minimum - 2 * CRITICAL_BELOW * figures.reward_spread
    if bound < rung:
        line = f"{figure}: under {rung:.4g}, a tenth of a standard deviation below the minimum of {minimum:.4g}"
        return Finding("Critical", "RewardBelowMinimum", line)
    if bound < minimum:
        return Finding("Degraded", "RewardBelowMinimum", f"{figure}: under the minimum of {minimum:.4g}")
    return Finding("Healthy", "WithinLimits", f"{figure}: not shown to be under the minimum of {minimum:.4g}")


def _calibration(spec: Health, error: CalibrationError, z: float, flagged: bool) -> Finding:
    """Far off, and further than chance brings a calibrated model once in falseAlarmEvery."""
    figure = (
        f"calibration error {error.value:.3f}, {error.perfect:.3f} if perfectly calibrated, Spiegelhalter's Z {z:.1f}"
    )
    level = sliding_level(
        spec.window / spec.false_alarm_every, slope=CALIBRATION_SLOPE, confidence=CALIBRATION_CONFIDENCE
    )
    level -= HYSTERESIS * flagged
    strayed = abs(z) > level or error.value > error.perfect + level * error.deviation
    if error.value - error.perfect > spec.max_calibration_error and strayed:
        line = f"{figure}: the excess is over the maximum of {spec.max_calibration_error:.3f}"
        return Finding("Degraded", "CalibrationPoor", line)
    return Finding("Healthy", "WithinLimits", figure)


def _displayed(look: HealthLook, figures: Performance | None) -> dict[str, object]:
    """Figures for the status: rounded, so that the order in which a database adds does not show."""
    blocks = look.blocks
    rows = sum(block.n for block in blocks)
    if not rows:
        return {}
    loss = sum(block.reward_loss for block in blocks)
    shown: dict[str, object] = {
        "profit_factor": significant(sum(block.reward_gain for block in blocks) / loss) if loss > 0 else None,
        "brier": significant(sum(block.brier_sum for block in blocks) / rows),
        "mean_confidence": significant(sum(block.confidence_sum for block in blocks) / rows),
    }
    if figures is None:
        return shown
    error, cusum = figures.calibration, figures.cusum
    shown |= {
        "win_rate": figures.interval,
        "average_reward": significant(figures.reward.value) if figures.reward else None,
        "calibration_error": significant(error.value) if error else None,
        "perfect_calibration_error": significant(error.perfect) if error else None,
        "spiegelhalter_z": None if figures.spiegelhalter is None else round(figures.spiegelhalter, 3),
    }
    if cusum is not None:
        shown["cusum"] = CusumStatus(value=round(cusum.value, 3), threshold=cusum.threshold, since=cusum.since)
    return shown
