"""What is retrained, in which order, what may start now? Made of the world as it is, so a plan survives its maker."""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from perennial.api.model_version import Trigger
from perennial.api.retrain_policy import Plan, PlannedJob, RetrainPolicySpec, RetrainPolicyStatus
from perennial.domain.candidates import Candidate, decide_candidates, urgency, with_lanes
from perennial.domain.schedule import decide_schedule
from perennial.domain.triggers import ModelView, held_back
from perennial_contract.durations import format_duration

PLAN_ID = "plan-%Y%m%d-%H%M%S"


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A ModelVersion to create now. Its name is the lock: creating it again changes nothing."""

    name: str
    model: str
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class PlanDecision:
    """What the policy's status becomes, and what is created."""

    plan: Plan | None
    create: tuple[NewVersion, ...]
    next_schedule_time: datetime | None
    last_schedule_time: datetime | None
    retrain_token: str | None
    requeue_after: float | None
    """Seconds until something may change by itself; None: only an event can."""
    reason: str
    message: str


def decide_plan(
    spec: RetrainPolicySpec,
    status: RetrainPolicyStatus,
    models: Sequence[ModelView],
    *,
    policy: str,
    running: int,
    now: datetime,
    created_at: datetime,
    operator_slots: int,
    retrain_token: str | None = None,
) -> PlanDecision:
    """The plan for the models that the policy selects.

    The same world gives an equal plan: decided again on its own outcome, nothing changes.

    Args:
        policy: the policy's name, by which its own versions in flight are known.
        running: trainings that run now, of all policies.
        operator_slots: how many may run at a time, of all policies.
        retrain_token: the value of the annotation perennial.dev/retrain.
    """
    asked = _asked_for(status, models, retrain_token)
    views = [replace(model, retrain_requested=model.name in asked) for model in models]
    candidates = [c for view in views for c in decide_candidates(spec, policy, view, created_at, now)]
    candidates = sorted(candidates, key=urgency)
    own = sum(candidate.holds_lane for candidate in candidates)
    candidates = with_lanes(candidates, spec.limits.max_parallel - own, operator_slots - running)
    plan = _plan_of(spec, status.plan, candidates, views, now)
    starting = [candidate for candidate in candidates if candidate.job.state == "Planned"]
    schedule_last, schedule_next = _schedule_times(spec, status, created_at, now)
    reason, message = _told(spec, plan, views, created_at, now)
    return PlanDecision(
        plan=plan,
        create=tuple(_new_version(policy, plan, candidate) for candidate in starting if plan is not None),
        next_schedule_time=schedule_next,
        last_schedule_time=schedule_last,
        retrain_token=retrain_token or status.retrain_token,
        requeue_after=_requeue_after([schedule_next, *(candidate.job.not_before for candidate in candidates)], now),
        reason=reason,
        message=message,
    )


def _asked_for(status: RetrainPolicyStatus, models: Sequence[ModelView], token: str | None) -> set[str]:
    """A new token asks for every model once; what it asked for stays asked for until its version exists."""
    if token and token != status.retrain_token:
        return {model.name for model in models}
    following = {model.name: model.next_version for model in models}
    return {
        job.model
        for job in (status.plan.jobs if status.plan else ())
        if job.trigger == "Manual" and (job.state == "Waiting" or _not_created(job, following))
    }


def _not_created(job: PlannedJob, following: Mapping[str, str]) -> bool:
    """Whether the version that was to be created is still to come: its name is the model's next."""
    return job.state == "Planned" and job.version == following.get(job.model)


def _plan_of(
    spec: RetrainPolicySpec,
    before: Plan | None,
    candidates: Sequence[Candidate],
    models: Sequence[ModelView],
    now: datetime,
) -> Plan | None:
    """The plan before, brought up to date; a new one once there is a job that it does not have."""
    known = before.jobs if before else []
    added = [c for c in candidates if not any(_same(c.job, job) for job in known)]
    jobs = [candidate.job for candidate in candidates]
    if added:
        plan_id, created_at = _identity_of(before, added, now)
    elif before is not None:
        plan_id, created_at = before.id, before.created_at
        jobs += _finished(known, jobs, models)
    if not jobs:
        return None
    duration = _makespan([job.estimated_seconds for job in jobs], spec.limits.max_parallel)
    return Plan(id=plan_id, created_at=created_at, estimated_duration=duration, jobs=jobs)


def _same(job: PlannedJob, before: PlannedJob) -> bool:
    """Whether a job is one that the plan before had: waiting, or running as the same version."""
    if (job.model, job.reason) != (before.model, before.reason):
        return False
    return before.state in ("Waiting", "Planned") or before.version == job.version


def _finished(known: Sequence[PlannedJob], jobs: Sequence[PlannedJob], models: Sequence[ModelView]) -> list[PlannedJob]:
    """Jobs whose version was created and trains no more: they stay until another plan takes over."""
    busy, following = {job.model for job in jobs}, {model.name: model.next_version for model in models}
    return [
        job.model_copy(update={"state": "Done"})
        for job in known
        if job.version
        and job.state != "Waiting"
        and job.model in following
        and job.model not in busy
        and not _not_created(job, following)
    ]


def _identity_of(before: Plan | None, added: Sequence[Candidate], now: datetime) -> tuple[str, datetime]:
    """A new id, later than the last; or that of versions whose plan was lost before it was written."""
    lost = [time for c in added if (time := _time_of(c.plan)) and (before is None or time > before.created_at)]
    if lost:
        return max(lost).strftime(PLAN_ID), max(lost)
    created_at = now.astimezone(UTC).replace(microsecond=0)
    if before is not None:
        created_at = max(created_at, before.created_at + timedelta(seconds=1))
    return created_at.strftime(PLAN_ID), created_at


def _time_of(plan_id: str | None) -> datetime | None:
    """When a plan was made; None for a text that is no plan's id (a version may be written by hand)."""
    try:
        return datetime.strptime(plan_id or "", PLAN_ID).replace(tzinfo=UTC)
    except ValueError:
        return None


def _makespan(seconds: Sequence[float], lanes: int) -> str:
    """How long jobs take that start in this order, each on the lane that is free first."""
    ends = [0.0] * lanes
    for duration in seconds:
        heapq.heapreplace(ends, ends[0] + duration)
    return format_duration(timedelta(seconds=max(ends)))


def _new_version(policy: str, plan: Plan, candidate: Candidate) -> NewVersion:
    job, reason = candidate.job, candidate.reason
    return NewVersion(
        name=candidate.model.next_version,
        model=job.model,
        trigger=Trigger(
            type=job.trigger,
            priority=job.priority,
            reason=job.reason,
            message=job.message,
            policy=policy,
            plan=plan.id,
            evidence_until=reason.evidence_until if reason else None,
        ),
    )


def _schedule_times(
    spec: RetrainPolicySpec, status: RetrainPolicyStatus, created_at: datetime, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """The last scheduled time that has passed, and the next."""
    if spec.triggers.schedule is None:
        return status.last_schedule_time, None
    passed, following = decide_schedule(spec.triggers.schedule, created_at, None, now)
    return passed or status.last_schedule_time, following


def _requeue_after(times: Sequence[datetime | None], now: datetime) -> float | None:
    ahead = [(time - now).total_seconds() for time in times if time is not None and time > now]
    return max(1.0, min(ahead)) if ahead else None


def _told(
    spec: RetrainPolicySpec, plan: Plan | None, models: Sequence[ModelView], created_at: datetime, now: datetime
) -> tuple[str, str]:
    """Reason and sentence for the policy's condition."""
    listed = {job.model for job in plan.jobs if job.state != "Done"} if plan else set()
    quiet = [model for model in models if model.name not in listed]
    held = [(model, reason) for model in quiet if (reason := held_back(spec, model, created_at, now)) is not None]
    rest = "".join(
        f"; {model.name} is held back: {reason.reason} needs {model.min_outcomes} outcomes that no attempt has seen"
        for model, reason in held
    )
    states = Counter(job.waiting_for or job.state for job in plan.jobs) if plan else Counter[str]()
    if plan is None or set(states) == {"Done"}:
        return "NothingToRetrain", f"no reason fires for any of {len(models)} models{rest}"
    counted = ", ".join(f"{count} {name}" for name, count in sorted(states.items()))
    trains = states["Running"] + states["Planned"] > 0
    return "Retraining" if trains else "Waiting", f"{plan.id}: {counted}; about {plan.estimated_duration}{rest}"
