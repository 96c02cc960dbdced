"""ModelVersion: from intent to a Job, from the Job's report to a verdict, then wherever the rollout takes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from perennial.adapters.cluster import MODEL_VERSION
from perennial.api.conditions import KStatus, find_condition, with_kstatus
from perennial.api.model_version import ModelVersionSpec, ModelVersionStatus, Resolved, Verdict
from perennial.api.validation import not_implemented
from perennial.controllers.adoption import adopt, find_model
from perennial.controllers.conditions import with_missing_parts
from perennial.controllers.context import Context, Refusal
from perennial.controllers.jobs import ensure_job, note_lane, observe_job, take_lane
from perennial.controllers.lanes import WaitsFor
from perennial.controllers.objects import Model, Version, parse_version, unacknowledged
from perennial.controllers.queue import Key
from perennial.controllers.reports import read_features, read_trained
from perennial.controllers.resolve import BlockedError, resolve_version
from perennial.domain.evidence import StoreError, StoreMisconfigured
from perennial.domain.verdict import decide_verdict
from perennial.domain.version import (
    A_LANE,
    JobView,
    Trained,
    Untrusted,
    VersionDecision,
    VersionFacts,
    decide_version,
    starts_attempt,
)
from perennial.resources import names
from perennial.resources.pods import store_root
from perennial_contract.report import Feature
from perennial_contract.task import VersionRef


@dataclass(frozen=True, slots=True)
class _Seen:
    """A version and what surrounds it."""

    version: Version
    spec: ModelVersionSpec
    model: Model | None
    siblings: Sequence[Version] = ()
    """All versions of the model; looked at when the version takes its revision."""


async def reconcile_version(context: Context, key: Key) -> timedelta | None:
    """One look at a ModelVersion; returns when to look again without an event."""
    body = await context.cluster.get(MODEL_VERSION, key.namespace, key.name)
    if body is None or "deletionTimestamp" in body["metadata"]:
        context.lanes.release(key.namespace, key.name)
        context.taken.discard((key.namespace, key.name))
        return None
    version = parse_version(body)
    model = await find_model(context, version)
    if model and not model.deleting:
        version = await adopt(context, version, model)
    spec, problem = version.spec, version.problem or _mutated(version)
    if spec is None or problem:
        context.lanes.release(key.namespace, key.name)  # nobody looks whether its Job ends
        await _stall(context, version, problem or "")
        return None
    if version.status.phase not in (None, "Pending"):
        return await _reconcile(context, _Seen(version, spec, model))
    if _queues(version) and await take_lane(context, version):
        return A_LANE  # as before, and nothing else needs to be looked at
    async with context.resolving:
        labels = {names.MODEL: spec.model_deployment}
        listed = await context.cluster.list(MODEL_VERSION, key.namespace, labels, latest=True)
        siblings = [parse_version(body) for body in listed]
        return await _reconcile(context, _Seen(version, spec, model, siblings))


def _queues(version: Version) -> bool:
    """Whether all that the version lacked was a lane."""
    ready = find_condition(version.status.conditions, "Ready")
    return ready is not None and ready.reason in get_args(WaitsFor)


def _digest(version: Version) -> str:
    return names.digest_of(version.body.get("spec") or {})


def _mutated(version: Version) -> str | None:
    recorded = version.status.spec_digest
    if recorded is None or recorded == _digest(version):
        return None
    return "spec was changed, and is immutable: put it back, or create another ModelVersion"


async def _stall(context: Context, version: Version, problem: str) -> None:
    reason = "InvalidSpec" if version.spec is None else "SpecChanged"
    conditions = with_kstatus(
        version.status.conditions, "Stalled", reason, problem, generation=version.generation, now=context.now()
    )
    changes = {"conditions": conditions, "observed_generation": version.generation}
    await context.write_status(MODEL_VERSION, version.body, version.status.model_copy(update=changes))


async def _reconcile(context: Context, seen: _Seen) -> timedelta | None:
    version, spec = seen.version, seen.spec
    status = version.status
    blocked: BlockedError | None = None
    resolved: Resolved | None = None
    now = context.now()
    if status.phase in (None, "Pending"):
        try:
            resolved = await resolve_version(context, version, seen.model, seen.siblings, now)
        except BlockedError as error:
            blocked = error
    can_start = starts_attempt(status, now) and blocked is None
    waits = await take_lane(context, version) if can_start else None
    job = await observe_job(context, version)
    report = await _observe_report(context, seen, job)
    known = await _champion_features(context, seen) if isinstance(report, Trained) else None
    if isinstance(known, StoreError):
        report, known = known, None
    facts = VersionFacts(
        now=now,
        uid=version.uid,
        resolved=resolved,
        crowded=waits is not None,
        job=job,
        trained=None if isinstance(report, StoreError) else report,
        rollout=seen.model.status if seen.model else None,
        asked=_asked(version),
    )
    decision = decide_version(version.name, spec, status, facts, lambda t, r: _judge(seen, t, r, known, context))
    hindrance = blocked or (report if isinstance(report, StoreError) else None)
    status = _with_bookkeeping(context, seen, decision, hindrance, waits)
    written = await context.write_status(MODEL_VERSION, version.body, status)
    await context.tell(MODEL_VERSION, written, decision.transitions)
    _count(context, seen, status, job)
    again = await ensure_job(context, version, seen.model, status)
    if waits is None:
        note_lane(context, version, status)
    return decision.look_again if again is None else again


def _asked(version: Version) -> Literal["approve", "reject"] | None:
    if unacknowledged(version, "approve") is not None:
        return "approve"
    return "reject" if unacknowledged(version, "reject") is not None else None


async def _observe_report(context: Context, seen: _Seen, job: JobView) -> Trained | Untrusted | StoreError | None:
    """The report of a Job that ended; None while there is none to expect."""
    version, resolved = seen.version, seen.version.status.resolved
    if job.state not in ("Succeeded", "Failed") or resolved is None or seen.model is None or seen.model.spec is None:
        return None
    samples = seen.model.spec.samples
    try:
        store = await context.store_at(version.namespace, "spec.samples.readUrlFrom", samples.read_url_from)
        row = await store.read_report(version.uid)
    except StoreError as error:
        return error
    reference = _reference(seen, resolved)
    uri = f"{store_root(resolved.artifacts)}/{reference.artifact_path}"
    return read_trained(row, version.uid, uri, seen.spec.artifact)


async def _champion_features(context: Context, seen: _Seen) -> tuple[Feature, ...] | StoreError | None:
    """What the champion was trained on; None when that cannot be told, and so is not compared."""
    resolved, model = seen.version.status.resolved, seen.model
    if resolved is None or resolved.champion is None or model is None or model.spec is None:
        return None
    samples = model.spec.samples
    try:
        store = await context.store_at(seen.version.namespace, "spec.samples.readUrlFrom", samples.read_url_from)
        return read_features(await store.read_report(resolved.champion.uid), resolved.champion.artifact)
    except StoreError as error:
        return error


def _reference(seen: _Seen, resolved: Resolved) -> VersionRef:
    assert seen.model is not None
    return VersionRef(
        namespace=seen.version.namespace,
        model=seen.model.name,
        model_uid=seen.model.uid,
        name=seen.version.name,
        uid=seen.version.uid,
        revision=resolved.revision,
    )


def _judge(
    seen: _Seen, trained: Trained, resolved: Resolved, champion: tuple[Feature, ...] | None, context: Context
) -> Verdict:
    assert seen.model is not None
    assert seen.model.spec is not None
    decision, reason, message = decide_verdict(
        resolved.promotion,
        resolved.decision,
        seen.model.spec.health.min_win_rate,
        resolved.samples,
        trained.report.evaluation,
        trained.report.features,
        champion,
        has_champion=resolved.champion is not None,
    )
    return Verdict(decision=decision, reason=reason, message=message, at=context.now())


def _with_bookkeeping(
    context: Context,
    seen: _Seen,
    decision: VersionDecision,
    hindrance: BlockedError | StoreError | None,
    waits: WaitsFor | None,
) -> ModelVersionStatus:
    version, status = seen.version, decision.status
    conditions = version.status.conditions
    state, reason, message = _kstatus(status, hindrance, context.refused.get(version.uid), waits)
    generation, now = version.generation, context.now()
    conditions = with_kstatus(conditions, state, reason, message, generation=generation, now=now)
    conditions = with_missing_parts(conditions, not_implemented(seen.spec), generation, now)
    return status.model_copy(
        update={
            "observed_generation": generation,
            "spec_digest": status.spec_digest or _digest(version),
            "acknowledged": _acknowledged(version, status),
            "conditions": conditions,
        }
    )


_CROWDED: Mapping[WaitsFor, str] = {
    "Lane": "as many versions of the policy train as its limits.maxParallel allows",
    "OperatorLimit": "as many versions train as the operator's PERENNIAL_MAX_JOBS allows",
}


def _kstatus(
    status: ModelVersionStatus,
    hindrance: BlockedError | StoreError | None,
    refusal: Refusal | None,
    waits: WaitsFor | None,
) -> tuple[KStatus, str, str]:
    job = status.job
    if isinstance(hindrance, BlockedError):
        return "Stalled", hindrance.reason, str(hindrance)
    if hindrance and job:
        unread = f"{job.name} ended, but its report cannot be read: {hindrance}"
        if isinstance(hindrance, StoreMisconfigured):
            return "Stalled", "StoreMisconfigured", unread
        return "Reconciling", "StoreUnavailable", unread
    if refusal and status.phase == "Training":
        return "Stalled", refusal.reason, refusal.message
    if status.phase == "Failed":
        return "Stalled", "TrainingFailed", job.message if job else ""
    if waits:
        return "Reconciling", waits, _CROWDED[waits]
    if status.phase in (None, "Pending", "Training"):
        if job and job.state == "Failed":
            return "Reconciling", "BackOff", f"attempt {job.attempt} failed, next at {job.retry_at}: {job.message}"
        return "Reconciling", "Training", job.name if job else ""
    verdict = status.verdict
    return "Ready", verdict.reason if verdict else "Evaluated", verdict.message if verdict else ""


def _acknowledged(version: Version, status: ModelVersionStatus) -> dict[str, str]:
    """One-shot annotations that need nothing more: acted on, or come too late."""
    done = dict(status.acknowledged)
    for verb in names.ONE_SHOT:
        value = unacknowledged(version, verb)
        waits = verb in ("abort", "promote") and status.phase in ("Evaluated", "Canary")
        waits = waits or status.phase in (None, "Pending", "Training")
        if value is not None and not waits:
            done[verb] = value
    return done


def _count(context: Context, seen: _Seen, status: ModelVersionStatus, job: JobView) -> None:
    """What this look has changed, and so is counted once."""
    before, namespace, model = seen.version.status, seen.version.namespace, seen.spec.model_deployment
    owner = ("ModelDeployment", namespace, model)
    if before.phase is None:
        context.metrics.count(owner, context.metrics.triggers, seen.spec.trigger.type)
    if status.verdict and not before.verdict:
        context.metrics.count(owner, context.metrics.verdicts, status.verdict.decision)
    was, attempt = before.job, status.job
    if was and attempt and was.state == "Running" and attempt.state != "Running" and job.seconds is not None:
        context.metrics.time_training(namespace, model, attempt.state, job.seconds)
