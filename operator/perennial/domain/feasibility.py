"""Can the minimums be reached at all? Compared with the outcomes that really arrive, before anyone waits for weeks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Literal, NamedTuple

from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.retrain_policy import Promotion, Training
from perennial_contract.durations import format_duration


class Feasibility(NamedTuple):
    """Value of the condition `Feasible`, its reason, and one sentence."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Need:
    """A minimum of outcomes, and the time in which they have to come."""

    reason: str
    field: str
    minimum: int
    within: timedelta
    window: str
    share: float = 1.0
    """Of the outcomes that come in, those that count."""
    effective: bool = True
    """False: a minimum of rows, however much each is worth."""


def decide_feasible(
    spec: ModelDeploymentSpec,
    outcomes_per_day: float | None,
    *,
    effective_share: float = 1.0,
    training: Training | None = None,
    promotion: Promotion | None = None,
) -> Feasibility:
    """Whether every verdict can be reached at this arrival of outcomes.

    Args:
        outcomes_per_day: as measured (``SampleCounts.per_day``); None: not known yet.
        effective_share: what an outcome is worth as an independent one, 0..1, as health measured it.
        training, promotion: of the governing policy; None: no policy, and promotion is not looked at.
    """
    if outcomes_per_day is None:
        return Feasibility("Unknown", "ArrivalUnknown", "no outcomes have been counted yet: their arrival is unknown")
    climb = max(spec.canary.min_step_duration, spec.samples.label_delay) * len(spec.canary.steps)
    if climb >= spec.canary.max_duration:
        most = format_duration(spec.canary.max_duration)
        line = f"canary.steps take {format_duration(climb)}, canary.maxDuration is {most}"
        return Feasibility("False", "CanaryTooShort", f"{line}: lengthen it, or take fewer or shorter steps")
    unmet = [n for n in _needs(spec, training, promotion) if _coming(n, outcomes_per_day, effective_share) < n.minimum]
    arrival = f"{outcomes_per_day:.4g} outcomes a day, each worth {effective_share:.2f} of an independent one"
    if not unmet:
        return Feasibility("True", "Reachable", f"every minimum can be reached: {arrival}")
    lines = "; ".join(_line(need, outcomes_per_day, effective_share) for need in unmet)
    return Feasibility("False", unmet[0].reason, f"{lines} ({arrival})")


def _needs(spec: ModelDeploymentSpec, training: Training | None, promotion: Promotion | None) -> Iterator[Need]:
    """What each decision needs; an outcome that is not due by a window's end does not count in it."""
    delay, health, canary = spec.samples.label_delay, spec.health, spec.canary
    yield Need("HealthOutOfReach", "health.minOutcomes", health.min_outcomes, health.window - delay, "health.window")
    yield Need(
        "CanaryOutOfReach", "canary.minOutcomes", canary.min_outcomes, canary.max_duration - delay, "canary.maxDuration"
    )
    pairs = spec.rollback.min_pairs
    yield Need("RollbackOutOfReach", "rollback.minPairs", pairs, spec.probation - delay, "rollback.window")
    if training is None or promotion is None:
        return
    window, share = min([training.data_window, *training.data_windows.values()]), training.holdout.share
    within, rows, least = window - delay, training.holdout.min_rows, promotion.min_outcomes
    where = ("training.dataWindow", share)
    yield Need("HoldoutOutOfReach", "training.holdout.minRows", rows, within, *where, effective=False)
    yield Need("HoldoutOutOfReach", "promotion.minOutcomes", least, within, *where)


def _rate(need: Need, per_day: float, effective_share: float) -> float:
    """What counts for the need, a day."""
    return per_day * need.share * (effective_share if need.effective else 1.0)


def _coming(need: Need, per_day: float, effective_share: float) -> float:
    """What counts for the need within its time."""
    return max(0.0, _rate(need, per_day, effective_share) * (need.within / timedelta(days=1)))


def _line(need: Need, per_day: float, effective_share: float) -> str:
    come = _coming(need, per_day, effective_share)
    said = f"{need.field} {need.minimum} cannot be reached within {need.window}, which brings {come:.0f}"
    rate = _rate(need, per_day, effective_share)
    if rate <= 0:
        return said
    short = timedelta(days=ceil((need.minimum - come) / rate))
    return f"{said}: lengthen {need.window} by {format_duration(short)}, or lower {need.field}"
