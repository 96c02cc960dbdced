"""One look at a running canary: go on, climb a step, promote, or take it out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.api.model_deployment_status import CanaryStatus, Evidence
from perennial.api.traffic import Canary
from perennial.domain.canary_evidence import explain_verdict, verdict_of
from perennial.domain.traffic import PodsView

MIN_COVERAGE = 0.95
"""Pairs must cover this share of the samples, or what is missing may be what matters."""


@dataclass(frozen=True, slots=True)
class CanaryLook:
    """What the store says of the canary: evidence since its start, and what the present step has brought."""

    evidence: Evidence
    resolved_since_step: int
    paired: bool = True
    """False with ``outcomes: Acted``, where there are no pairs to cover the samples."""
    observed_weight: float | None = None


@dataclass(frozen=True, slots=True)
class Promote:
    """The evidence carries it."""

    message: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Weight 0; the stable version is untouched."""

    reason: str
    message: str


def decide_canary(
    spec: Canary, label_delay: timedelta, canary: CanaryStatus, look: CanaryLook | None, pods: PodsView, now: datetime
) -> CanaryStatus | Promote | Reject:
    """The canary's next state. No look, no move: the weight holds."""
    if look is None:
        return canary.model_copy(update={"state": "Held", "message": "the sample store does not answer: weight holds"})
    evidence = look.evidence
    verdict, (reason, said) = verdict_of(spec, evidence), explain_verdict(spec, evidence)
    if verdict == "Fail":
        return Reject(reason, said)
    last_step = canary.step >= len(spec.steps) - 1
    ripe = _step_is_ripe(spec, label_delay, canary, look, pods, now)
    if verdict == "Pass" and last_step and ripe:
        return Promote(f"{canary.version} is {said}")
    next_state = canary.model_copy(
        update={
            "evidence": evidence,
            "observed_weight": look.observed_weight,
            "state": "Progressing",
            "message": said,
        }
    )
    if now - canary.started_at > spec.max_duration:
        message = f"not promoted and not failed within maxDuration: {said}"
        if spec.on_inconclusive == "Keep":
            return Reject("Inconclusive", message)
        return next_state.model_copy(update={"state": "Inconclusive", "message": message})
    if ripe and not last_step:
        step = canary.step + 1
        return next_state.model_copy(update={"step": step, "weight": spec.steps[step], "step_started_at": now})
    return next_state


def _step_is_ripe(
    spec: Canary, label_delay: timedelta, canary: CanaryStatus, look: CanaryLook, pods: PodsView, now: datetime
) -> bool:
    """Long enough, with outcomes from this very step, nothing missing, and pods that serve."""
    covered = not look.paired or (look.evidence.coverage or 0.0) >= MIN_COVERAGE
    return (
        now - canary.step_started_at >= max(spec.min_step_duration, label_delay)
        and look.resolved_since_step > 0
        and covered
        and pods.ready_live + pods.ready_shadow > 0
    )
