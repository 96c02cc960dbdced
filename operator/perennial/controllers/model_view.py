"""What a policy needs to know of a model, gathered from its status, its versions and the sample store."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from perennial.api.conditions import find_condition
from perennial.api.model_version import Trigger
from perennial.controllers.context import Context, Kept
from perennial.controllers.objects import Model, Version, in_flight
from perennial.controllers.resolve import next_free_revision
from perennial.domain.evidence import SampleCounts, StoreError
from perennial.domain.triggers import InFlight, ModelView
from perennial.resources import names

A_DAY = timedelta(days=1)
_STARTED_OVER = frozenset({"ChampionChanged", "SpecChanged"})
"""Ends of a rollout that say nothing of the version: its model is trained again without cool-down."""
MEASURED = 10
"""Newest trainings that an estimate rests on."""


async def observe_model(
    context: Context, model: Model, labelled: Sequence[Version], now: datetime, conflict: str | None
) -> ModelView:
    """The model as a plan sees it. An invalid version takes its name, and is nothing beyond that."""
    spec = model.spec
    assert spec is not None
    versions = [v for v in labelled if v.spec]
    newest_first = sorted(versions, key=lambda v: (_revision(model, v), v.created_at), reverse=True)
    last = newest_first[0] if newest_first else None
    judged = next((v for v in newest_first if v.status.phase != "Failed"), None)
    evidence_until = _evidence_until(judged) if judged else None
    starts = [v.status.started_at or v.created_at for v in newest_first]
    failed = _failed_in_a_row(newest_first)
    return ModelView(
        name=model.name,
        uid=model.uid,
        created_at=model.created_at,
        min_outcomes=spec.health.min_outcomes,
        next_version=_next_version(context, model, labelled),
        health=model.status.health,
        drift=model.status.drift,
        regime=model.status.regime,
        versions_exist=bool(versions),
        has_stable=model.status.stable is not None,
        incoming=model.status.incoming,
        in_flight=tuple(
            InFlight(v.name, v.status.phase or "Pending", v.spec.trigger if v.spec else Trigger(), _holds_lane(v, now))
            for v in newest_first
            if in_flight(v)
        ),
        starts=tuple(s for i, s in enumerate(starts) if i == 0 or now - s < A_DAY),
        failures=len(failed),
        retry_not_before=_retry_not_before(failed),
        measured_seconds=tuple(
            v.status.training_seconds for v in newest_first if v.status.training_seconds is not None
        )[:MEASURED],
        counts=await _counts(context, model, evidence_until, now),
        last_evidence_until=evidence_until,
        superseded=_superseded(model, last),
        pinned=spec.version is not None,
        conflict=conflict,
    )


def _next_version(context: Context, model: Model, labelled: Sequence[Version]) -> str:
    revision = next_free_revision(model, labelled)
    while (model.namespace, names.version_name(model.name, revision)) in context.taken:
        revision += 1
    return names.version_name(model.name, revision)


def _revision(model: Model, version: Version) -> int:
    if version.status.resolved:
        return version.status.resolved.revision
    return names.revision_of(model.name, version.name) or 0


def _failed_in_a_row(newest_first: Sequence[Version]) -> list[Version]:
    failed = []
    for version in newest_first:
        if version.status.phase != "Failed":
            break
        failed.append(version)
    return failed


def _retry_not_before(failed: Sequence[Version]) -> datetime | None:
    """Versions that failed for good back off as attempts do: retryBackoff × 2ⁿ⁻¹ after the last one."""
    last = failed[0] if failed else None
    if last is None or last.spec is None or last.status.finished_at is None:
        return None
    return last.status.finished_at + last.spec.training.retry_backoff * (1 << min(len(failed) - 1, 10))


def _superseded(model: Model, last: Version | None) -> Trigger | None:
    if last is None or last.spec is None or last.status.phase != "Superseded":
        return None
    reasons = {o.uid: o.reason for o in model.status.outcomes}
    return last.spec.trigger if reasons.get(last.uid) in _STARTED_OVER else None


def _evidence_until(version: Version) -> datetime | None:
    """The newest outcome that a version rests on; one made by hand rests on what was known when it started."""
    if version.spec and version.spec.trigger.evidence_until:
        return version.spec.trigger.evidence_until
    resolved = version.status.resolved
    return resolved.started_at - resolved.samples.label_delay if resolved else None


def _holds_lane(version: Version, now: datetime) -> bool:
    """A version that cannot start, or backs off between two attempts, keeps no other from training.

    One that waits for a lane is as good as one that has it: no other is created to wait beside it.
    """
    stalled = find_condition(version.status.conditions, "Stalled")
    job = version.status.job
    backs_off = job is not None and job.state == "Failed" and (job.retry_at is None or now < job.retry_at)
    return stalled is None and not backs_off


async def _counts(context: Context, model: Model, since: datetime | None, now: datetime) -> SampleCounts | None:
    """Counted once in a monitor's interval, whatever else moves. None: what cannot be counted is not zero.

    While nothing can be counted, or the model's monitors say that the store is gone, each look asks anew.
    """
    assert model.spec is not None
    kept, ready = context.counted.get(model.uid), find_condition(model.status.conditions, "StoreReady")
    answers = ready is None or ready.status == "True"
    if kept and kept.look and answers and kept.asked == (since,) and now - kept.at < model.spec.interval:
        return kept.look
    counts = await _count(context, model, since, now)
    context.counted[model.uid] = Kept((since,), now, counts)
    return counts


async def _count(context: Context, model: Model, since: datetime | None, now: datetime) -> SampleCounts | None:
    assert model.spec is not None
    samples = model.spec.samples
    try:
        store = await context.store_at(model.namespace, "spec.samples.readUrlFrom", samples.read_url_from)
        return await store.observe_counts(samples.contract, since=since or model.created_at - 3650 * A_DAY, now=now)
    except StoreError:
        return None
