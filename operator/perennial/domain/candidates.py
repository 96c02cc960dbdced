"""Which job does each model need, in which order, and which of them find a lane?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from perennial.api.retrain_policy import PlannedJob, RetrainPolicySpec
from perennial.domain.triggers import PRIORITIES, InFlight, ModelView, Reason, decide_trigger
from perennial.domain.waiting import decide_wait

UNMEASURED_SECONDS = 900.0
"""A training's estimated duration until there is one to measure."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model's job, and what it would be created with."""

    model: ModelView
    job: PlannedJob
    reason: Reason | None = None
    """None: its version exists."""
    plan: str | None = None
    """The plan that its version was created by."""
    holds_lane: bool = False


def decide_candidates(
    spec: RetrainPolicySpec, policy: str, model: ModelView, created_at: datetime, now: datetime
) -> list[Candidate]:
    """One job a model: the training of this policy that runs, else its strongest reason.

    What a person asks for while such a training runs is listed behind it, or it would be forgotten.
    """
    seconds, measured = _estimate(model)
    found = []
    trained = next((v for v in model.in_flight if v.training and v.trigger.policy == policy), None)
    if trained is not None:
        job = _running_job(model.name, trained, seconds, measured)
        found.append(Candidate(model, job, plan=trained.trigger.plan, holds_lane=trained.holds_lane))
    reason = decide_trigger(spec, model, created_at, now)
    if reason is None or (trained is not None and reason.type != "Manual"):
        return found
    wait = decide_wait(spec, model, reason, now)
    job = PlannedJob(
        model=model.name,
        priority=reason.priority,
        trigger=reason.type,
        reason=reason.reason,
        message=reason.message,
        state="Waiting" if wait else "Planned",
        waiting_for=wait.reason if wait else None,
        not_before=wait.not_before if wait else None,
        estimated_seconds=seconds,
        estimated_from=measured,
    )
    return [*found, Candidate(model, job, reason)]


def urgency(candidate: Candidate) -> tuple[int, int, float, datetime, str]:
    """What runs, then by priority, then the worse health, then the older model."""
    job, model = candidate.job, candidate.model
    win_rate = model.health.win_rate.value if model.health and model.health.win_rate else 1.0
    return 0 if job.state == "Running" else 1, PRIORITIES.index(job.priority), win_rate, model.created_at, model.name


def with_lanes(candidates: Sequence[Candidate], lanes: int, slots: int) -> list[Candidate]:
    """The first of those that may start do, as far as lanes go; the others wait for one."""
    placed = []
    for candidate in candidates:
        if candidate.job.state != "Planned":
            placed.append(candidate)
            continue
        if lanes > 0 and slots > 0:
            changes = {"version": candidate.model.next_version}
            lanes, slots = lanes - 1, slots - 1
        else:
            changes = {"state": "Waiting", "waiting_for": "Lane" if lanes <= 0 else "OperatorLimit"}
        placed.append(replace(candidate, job=candidate.job.model_copy(update=changes)))
    return placed


def _running_job(model: str, version: InFlight, seconds: float, measured: int) -> PlannedJob:
    trigger = version.trigger
    return PlannedJob(
        model=model,
        version=version.name,
        priority=trigger.priority,
        trigger=trigger.type,
        reason=trigger.reason,
        message=trigger.message,
        state="Running",
        estimated_seconds=seconds,
        estimated_from=measured,
    )


def _estimate(model: ModelView) -> tuple[float, int]:
    """Seconds, and how many measured trainings they rest on."""
    measured = model.measured_seconds
    return (round(median(measured), 1), len(measured)) if measured else (UNMEASURED_SECONDS, 0)
