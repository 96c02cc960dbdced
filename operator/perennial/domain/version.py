"""What becomes of a ModelVersion: a phase at a time, from what the Job, the store and the rollout say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from perennial.api.model_deployment_status import ModelDeploymentStatus
from perennial.api.model_version import (
    ArtifactStatus,
    DatasetStatus,
    JobStatus,
    ModelVersionSpec,
    ModelVersionStatus,
    Phase,
    Resolved,
    Verdict,
)
from perennial.domain.rollout_draft import Transition
from perennial_contract.durations import format_duration
from perennial_contract.report import TrainingReport
from perennial_contract.task import EXIT_NOT_ENOUGH_DATA, EXIT_TASK_WRONG, ArtifactRef

DEADLINE = "DeadlineExceeded"
"""The Job condition's reason when it ran for too long."""
FALLBACK = timedelta(minutes=1)
"""A Job tells of its end by an event; this is for the one that gets lost."""
OVERDUE = timedelta(seconds=5)
"""The same for a Job that is past its deadline: whoever stops it may be late."""
A_LANE = timedelta(seconds=15)
"""How soon who waits for a lane looks whether there is one."""
FINAL_EXITS: Mapping[int, str] = {EXIT_TASK_WRONG: "TaskWrong", EXIT_NOT_ENOUGH_DATA: "NotEnoughData"}


@dataclass(frozen=True, slots=True)
class JobView:
    """The present attempt's Job as the cluster reports it."""

    state: Literal["Missing", "Running", "Succeeded", "Failed"]
    reason: str = ""
    """The Job condition's reason, e.g. DeadlineExceeded."""
    exit_code: int | None = None
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """How long it ran; None while that is not known."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Trained:
    """A report whose digests hold."""

    report: TrainingReport
    artifact: ArtifactRef
    bytes: int


@dataclass(frozen=True, slots=True)
class Untrusted:
    """A report is missing or its digests do not hold: success is the row, not the exit code."""

    reason: Literal["ReportMissing", "DigestMismatch", "ReportInvalid"]
    message: str


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """Everything a version is decided from, besides its spec and status."""

    now: datetime
    uid: str
    """The version's own."""
    resolved: Resolved | None = None
    """What a Job started now would be started with; None: it can't be started yet."""
    crowded: bool = False
    """Too many train already: neither a first nor another attempt starts now."""
    job: JobView = JobView("Missing")
    trained: Trained | Untrusted | None = None
    """None: the store does not answer, or was not asked."""
    rollout: ModelDeploymentStatus | None = None
    asked: Literal["approve", "reject"] | None = None


@dataclass(frozen=True, slots=True)
class VersionDecision:
    """The next status, what to tell, and when to look again without an event."""

    status: ModelVersionStatus
    transitions: tuple[Transition, ...] = ()
    look_again: timedelta | None = None


Verdicts = Callable[[Trained, Resolved], Verdict]
"""The verdict rule, with what it needs of the model already bound."""


def attempt_name(version: str, attempt: int) -> str:
    """A Job an attempt: the name is the lock that keeps a second one from starting."""
    return f"{version}-a{attempt}"


def starts_attempt(status: ModelVersionStatus, now: datetime) -> bool:
    """Whether the version would start a Job now, the first or another one, if there is room for it."""
    job = status.job
    if status.phase in (None, "Pending"):
        return True
    failed = status.phase == "Training" and job is not None and job.state == "Failed"
    return failed and job is not None and now >= (job.retry_at or now)


def decide_version(
    name: str, spec: ModelVersionSpec, status: ModelVersionStatus, facts: VersionFacts, judge: Verdicts
) -> VersionDecision:
    """The version's next status. Deciding again on the same facts changes nothing."""
    match status.phase:
        case None | "Pending":
            return _start(name, status, facts)
        case "Training":
            return _train(name, status, facts, judge)
        case "Evaluated":
            return _await_rollout(name, spec, status, facts)
        case _:
            return _follow_rollout(name, status, facts)


def _start(name: str, status: ModelVersionStatus, facts: VersionFacts) -> VersionDecision:
    if facts.resolved is None:
        return VersionDecision(status.model_copy(update={"phase": "Pending"}), look_again=timedelta(seconds=30))
    if facts.crowded:
        return VersionDecision(status.model_copy(update={"phase": "Pending"}), look_again=A_LANE)
    job = JobStatus(name=attempt_name(name, 1), attempt=1, started_at=facts.now)
    changes = {"phase": "Training", "resolved": facts.resolved, "job": job, "started_at": facts.now}
    told = Transition("TrainingStarted", f"{name} trains as {job.name}", name)
    return VersionDecision(status.model_copy(update=changes), (told,))


def _train(name: str, status: ModelVersionStatus, facts: VersionFacts, judge: Verdicts) -> VersionDecision:
    job, resolved = status.job, status.resolved
    assert job is not None
    assert resolved is not None
    if job.state == "Failed":
        return _retry(name, status, facts, job)
    if facts.job.state in ("Missing", "Running"):
        return VersionDecision(status, look_again=_fallback(job, resolved, facts.now))
    match facts.trained:
        case None:
            return VersionDecision(status, look_again=timedelta(seconds=5))
        case Trained():
            return _evaluated(name, status, facts, facts.trained, judge(facts.trained, resolved))
        case Untrusted(reason, message):
            return _attempt_failed(name, status, facts, (reason, message))


def _fallback(job: JobStatus, resolved: Resolved, now: datetime) -> timedelta:
    if job.started_at is None:
        return FALLBACK
    return min(FALLBACK, max(OVERDUE, job.started_at + resolved.training.timeout + OVERDUE - now))


def _attempt_failed(
    name: str, status: ModelVersionStatus, facts: VersionFacts, untrusted: tuple[str, str]
) -> VersionDecision:
    job, resolved = status.job, status.resolved
    assert job is not None
    assert resolved is not None
    reason, message = untrusted
    final = False
    if facts.job.state == "Failed":
        reason = FINAL_EXITS.get(facts.job.exit_code or 0, facts.job.reason or "TrainingFailed")
        message = facts.job.message or f"{job.name} failed ({reason}, exit code {facts.job.exit_code})"
        if reason == DEADLINE:
            limit = format_duration(resolved.training.timeout)
            message = f"{job.name} was stopped at training.timeout ({limit}): raise it, or shorten training.dataWindow"
        final = facts.job.exit_code in FINAL_EXITS
    finished = job.model_copy(
        update={"state": "Failed", "finished_at": facts.job.finished_at or facts.now, "message": message}
    )
    if final or job.attempt > resolved.training.retries:
        changes = {"phase": "Failed", "job": finished, "finished_at": facts.now}
        told = Transition(reason, f"{name} failed for good after {job.attempt} attempts: {message}", name, warning=True)
        return VersionDecision(status.model_copy(update=changes), (told,))
    wait = resolved.training.retry_backoff * (1 << (job.attempt - 1))
    finished = finished.model_copy(update={"retry_at": facts.now + wait})
    told = Transition(reason, f"{job.name} failed, next attempt in {wait}: {message}", name, warning=True)
    return VersionDecision(status.model_copy(update={"job": finished}), (told,), wait)


def _retry(name: str, status: ModelVersionStatus, facts: VersionFacts, job: JobStatus) -> VersionDecision:
    retry_at = job.retry_at or facts.now
    if facts.now < retry_at:
        return VersionDecision(status, look_again=retry_at - facts.now)
    if facts.crowded:
        return VersionDecision(status, look_again=A_LANE)
    attempt = job.attempt + 1
    again = JobStatus(name=attempt_name(name, attempt), attempt=attempt, started_at=facts.now)
    told = Transition("TrainingRetried", f"{name} trains again as {again.name}", name)
    return VersionDecision(status.model_copy(update={"job": again}), (told,))


def _evaluated(
    name: str, status: ModelVersionStatus, facts: VersionFacts, trained: Trained, verdict: Verdict
) -> VersionDecision:
    job, report = status.job, trained.report
    assert job is not None
    kept_out = verdict.decision == "Keep"
    done = {"state": "Succeeded", "finished_at": facts.job.finished_at or facts.now, "message": ""}
    changes = {
        "phase": "Rejected" if kept_out else "Evaluated",
        "job": job.model_copy(update=done),
        "artifact": ArtifactStatus(uri=trained.artifact.uri, digest=trained.artifact.digest, bytes=trained.bytes),
        "dataset": DatasetStatus(
            rows=report.dataset.rows,
            from_=report.dataset.from_,
            until=report.dataset.until,
            holdout_from=report.dataset.holdout_from,
            holdout_until=report.dataset.holdout_until,
            fingerprint=report.dataset.fingerprint,
        ),
        "evaluation": report.evaluation,
        "verdict": verdict,
        "training_seconds": facts.job.seconds,
        "evaluated_at": facts.now,
        "finished_at": facts.now if kept_out else None,
    }
    told = Transition(f"Verdict{verdict.decision}", f"{name}: {verdict.message}", name)
    return VersionDecision(status.model_copy(update=changes), (told,))


def _await_rollout(
    name: str, spec: ModelVersionSpec, status: ModelVersionStatus, facts: VersionFacts
) -> VersionDecision:
    moved = _phase_of_rollout(status, facts)
    if moved != status.phase:
        return _follow_rollout(name, status, facts)
    if spec.promotion.approval == "Automatic" or status.approval == "Approved":
        return VersionDecision(status)
    if facts.asked == "approve":
        told = Transition("Approved", f"{name} was approved", name)
        return VersionDecision(status.model_copy(update={"approval": "Approved"}), (told,))
    if facts.asked == "reject":
        changes = {"approval": "Rejected", "phase": "Rejected", "finished_at": facts.now}
        return VersionDecision(
            status.model_copy(update=changes), (Transition("RejectedByHand", f"{name} was rejected by hand", name),)
        )
    deadline = (status.evaluated_at or facts.now) + spec.promotion.approval_timeout
    if facts.now >= deadline:
        told = Transition("ApprovalTimedOut", f"{name} was not approved in time", name, warning=True)
        changes = {"phase": "Superseded", "finished_at": facts.now}
        return VersionDecision(status.model_copy(update=changes), (told,))
    return VersionDecision(status, look_again=deadline - facts.now)


def _phase_of_rollout(status: ModelVersionStatus, facts: VersionFacts) -> Phase | None:
    """Where the rollout has the version now; the ModelDeployment's status alone decides."""
    rollout = facts.rollout
    if rollout is None:
        return status.phase
    if rollout.stable and rollout.stable.uid == facts.uid:
        return "Live"
    if rollout.canary and rollout.canary.uid == facts.uid:
        return "Canary"
    if rollout.incoming and rollout.incoming.uid == facts.uid:
        return "Canary" if rollout.incoming.reason == "Promote" else status.phase
    ended: Phase | None = next((o.phase for o in rollout.outcomes if o.uid == facts.uid), None)
    return ended or ("Archived" if status.phase == "Live" else status.phase)


def _follow_rollout(name: str, status: ModelVersionStatus, facts: VersionFacts) -> VersionDecision:
    phase = _phase_of_rollout(status, facts)
    if phase == status.phase:
        return VersionDecision(status)
    changes: dict[str, object] = {"phase": phase}
    if phase in ("Archived", "Rejected", "Superseded"):
        changes["finished_at"] = facts.now
    return VersionDecision(status.model_copy(update=changes))
