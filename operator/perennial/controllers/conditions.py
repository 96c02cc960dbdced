"""Conditions: what a person, `kubectl wait` and a GitOps tool read first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from perennial.api.conditions import (
    ConditionStatus,
    KStatus,
    find_condition,
    with_condition,
    with_kstatus,
    without_condition,
)
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import ModelDeploymentStatus, RolloutPhase
from perennial.api.shared import Condition
from perennial.api.validation import not_implemented
from perennial.controllers.context import Refusal
from perennial.controllers.drift import drifting
from perennial.controllers.looks import StoreState
from perennial.controllers.objects import Model
from perennial.controllers.regime import with_regime
from perennial.domain.feasibility import Feasibility
from perennial.domain.rollout_draft import Transition


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What may stand in a model's way."""

    store: StoreState
    pin: str | None
    """Why `spec.version` cannot be served."""
    refusal: Refusal | None
    """Why a Deployment or Service could not be made."""


def stalled_model(model: Model, now: datetime) -> ModelDeploymentStatus:
    """An invalid spec: say so and leave everything as it is."""
    conditions = with_kstatus(
        model.status.conditions, "Stalled", "InvalidSpec", model.problem or "", generation=model.generation, now=now
    )
    changes = {"conditions": conditions, "observed_generation": model.generation, "phase": "Stalled"}
    return model.status.model_copy(update=changes)


def model_conditions(
    model: Model,
    spec: ModelDeploymentSpec,
    status: ModelDeploymentStatus,
    hindrance: Hindrance,
    feasible: Feasibility | None,
    now: datetime,
) -> ModelDeploymentStatus:
    """The status with its phase and conditions; `feasible` None: not looked at now."""
    generation = model.generation
    state, reason, message = _kstatus(spec, status, hindrance)
    conditions = with_kstatus(status.conditions, state, reason, message, generation=generation, now=now)

    def say(type_: str, value: ConditionStatus, reason: str, message: str) -> None:
        nonlocal conditions
        conditions = with_condition(conditions, type_, value, reason, message, generation=generation, now=now)

    say("StoreReady", *_store(hindrance.store))
    say("Healthy", *_healthy(status))
    if feasible and not _says_the_same(find_condition(conditions, "Feasible"), feasible, generation):
        say("Feasible", *feasible)
    if spec.drift is None:
        conditions = without_condition(conditions, "Drifting")
    else:
        say("Drifting", *drifting(status))
    conditions = with_regime(conditions, status, spec.regime is not None, generation, now)
    canary = status.canary
    if canary:
        say("CanaryActive", "True", canary.state, f"{canary.version} at weight {canary.weight:.0%}")
    else:
        say("CanaryActive", "False", "NoCanary", "")
    conditions = with_missing_parts(conditions, not_implemented(spec), generation, now)
    return status.model_copy(update={"conditions": conditions, "phase": _phase(spec, status, state)})


def _says_the_same(before: Condition | None, feasible: Feasibility, generation: int) -> bool:
    """Its figures move with the clock; only another answer, or another spec, is news."""
    return before is not None and (before.status, before.reason, before.observed_generation) == (
        feasible.status,
        feasible.reason,
        generation,
    )


def store_transitions(before: Sequence[Condition], after: Sequence[Condition]) -> list[Transition]:
    """A store that stops to answer, or answers again, is worth an Event; a first answer is not."""
    was, now = find_condition(before, "StoreReady"), find_condition(after, "StoreReady")
    if now is None or now.status == (was.status if was else "True"):
        return []
    if now.status == "True":
        return [Transition("StoreAnswers", "the sample store answers again")]
    return [Transition(now.reason, now.message, warning=True)]


def with_missing_parts(
    conditions: list[Condition], fields: list[str], generation: int, now: datetime
) -> list[Condition]:
    """Fields that are set and have no effect yet are named."""
    if not fields:
        return without_condition(conditions, "NotImplemented")
    message = f"set, and without effect in this release: {', '.join(fields)}"
    return with_condition(
        conditions, "NotImplemented", "True", "NotImplemented", message, generation=generation, now=now
    )


def _kstatus(
    spec: ModelDeploymentSpec, status: ModelDeploymentStatus, hindrance: Hindrance
) -> tuple[KStatus, str, str]:
    if hindrance.pin:
        return "Stalled", "PinNotServable", hindrance.pin
    if hindrance.store.misconfigured:
        return "Stalled", "StoreMisconfigured", str(hindrance.store.error)
    if hindrance.refusal:
        return "Stalled", hindrance.refusal.reason, hindrance.refusal.message
    if status.incoming:
        incoming = status.incoming
        ready = f"{incoming.ready_replicas} of {spec.server.replicas} pods ready"
        return "Reconciling", incoming.reason, f"{incoming.version}: {ready}"
    if status.stable is None:
        return "Reconciling", "NoVersion", "no version has been trained and accepted yet"
    if status.stable.ready_replicas == 0:
        return "Reconciling", "PodsNotReady", f"{status.stable.version} has no ready pod"
    return "Ready", "Serving", f"{status.stable.version} serves"


def _store(store: StoreState) -> tuple[ConditionStatus, str, str]:
    if store.error is None:
        return "True", "Answers", ""
    if store.misconfigured:
        return "False", "StoreMisconfigured", str(store.error)
    return "Unknown", "StoreUnavailable", str(store.error)


def _healthy(status: ModelDeploymentStatus) -> tuple[ConditionStatus, str, str]:
    health = status.health
    if health is None or health.state == "Unknown":
        return "Unknown", health.reason if health else "NoVersion", health.message if health else ""
    return "True" if health.state == "Healthy" else "False", health.reason, health.message


def _phase(spec: ModelDeploymentSpec, status: ModelDeploymentStatus, state: KStatus) -> RolloutPhase:
    if state == "Stalled":
        return "Stalled"
    if status.incoming:
        return "RollingBack" if status.incoming.reason in ("Pin", "Rollback") else "Deploying"
    if status.stable is None:
        return "Pending"
    if spec.paused:
        return "Paused"
    return "Canary" if status.canary else "Stable"
