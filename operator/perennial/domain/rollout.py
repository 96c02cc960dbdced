"""How a model's traffic moves: one checklist, from the strongest wish to the weakest.

Deletion > pin > structural guard > pause > canary. The state is `ModelDeployment.status` and nothing else, so a
decision made twice, or by an operator that was killed in between, comes out the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import CanaryStatus, IncomingStatus, ModelDeploymentStatus, PreviousStatus
from perennial.api.shared import TrackStatus
from perennial.domain.canary import Promote, Reject, decide_canary
from perennial.domain.probation import heed_probation
from perennial.domain.rollout_draft import Draft, Transition, VersionView, World

PROGRESS_DEADLINE = timedelta(minutes=10)
"""Pods that are not ready by then are not coming."""


@dataclass(frozen=True, slots=True)
class RolloutDecision:
    """The next state, what to tell, and what stands in a pin's way."""

    status: ModelDeploymentStatus
    transitions: tuple[Transition, ...]
    pin_problem: str | None


def decide_rollout(spec: ModelDeploymentSpec, status: ModelDeploymentStatus, world: World) -> RolloutDecision:
    """The rollout's next state. Deciding again in the same world changes nothing more."""
    draft = Draft(spec, status, world)
    for check in _CHECKLIST:
        if check(draft):
            break
    draft.count_pods()
    return RolloutDecision(draft.status, tuple(draft.transitions), draft.pin_problem)


def _leave_on_deletion(draft: Draft) -> bool:
    if not draft.world.deleting:
        return False
    draft.end_canary("Superseded", "Deleted", "the model is being deleted: the stable version takes all traffic first")
    draft.set(incoming=None, previous=None)
    return True


def _honour_pin(draft: Draft) -> bool:
    pin, status = draft.spec.version, draft.status
    if pin is None:
        if status.incoming and status.incoming.reason == "Pin":
            _unpin(draft, status.incoming)
        return False
    target = draft.world.version(pin)
    if target is None or not target.servable:
        what = "does not exist" if target is None else f"has no artifact to serve (phase {target.phase})"
        draft.pin_problem = f"spec.version: {pin}: {what}: name a ModelVersion that was trained, or remove spec.version"
        _guard_structure(draft)
        _heed_abort(draft)
        if not draft.spec.paused:
            _finish_incoming(draft)
        return True
    if status.canary:
        draft.end_canary("Superseded", "Pinned", f"spec.version pins {pin}: the canary {status.canary.version} ends")
    if status.incoming and status.incoming.uid != target.uid:
        _drop_incoming(draft, "Superseded", "Pinned", f"spec.version pins {pin}")
    if draft.status.incoming is None and not (draft.status.stable and draft.status.stable.uid == target.uid):
        draft.bring_in(target, "Pin", f"spec.version pins {pin}")
    if _finish_incoming(draft) and draft.world.pods_of(pin).broken:
        draft.pin_problem = f"spec.version: {pin}: a pod {draft.world.pods_of(pin).broken}: the old version serves on"
    return True


def _unpin(draft: Draft, incoming: IncomingStatus) -> None:
    """What a pin had brought in is again what it was; but a canary that it ended does not begin anew."""
    version = draft.world.version(incoming.version, incoming.uid)
    if version and version.phase == "Canary":
        _drop_incoming(draft, "Superseded", "Unpinned", f"{incoming.version} was pinned in its canary, and let go")
    else:
        draft.set(incoming=None)


def _drop_incoming(draft: Draft, phase: Literal["Rejected", "Superseded"], reason: str, message: str) -> None:
    incoming = draft.status.incoming
    assert incoming is not None
    draft.set(incoming=None)
    draft.end(incoming.version, incoming.uid, phase, reason, message)


def _guard_structure(draft: Draft) -> bool:
    """Pods and requests that fail take a version out at once; no evidence is waited for.

    A first version that does not come up is kept while there is nothing else to serve: what ails it may pass.
    """
    status, world = draft.status, draft.world
    if status.canary:
        pods = world.pods_of(status.canary.version)
        late = world.now - status.canary.started_at > PROGRESS_DEADLINE
        if pods.broken:
            draft.end_canary("Rejected", "PodsFailing", f"weight 0: a pod of {status.canary.version} {pods.broken}")
        elif late and not pods.ready_live + pods.ready_shadow:
            draft.end_canary("Rejected", "PodsNotReady", f"weight 0: {status.canary.version} has no ready pod")
        elif world.guard:
            draft.end_canary("Rejected", "RequestsFailing", f"weight 0: {status.canary.version}: {world.guard}")
        elif status.canary.cause != world.cause:
            draft.end_canary("Superseded", "SpecChanged", "algorithm, samples, decision or server changed mid-canary")
    if status.incoming and (status.stable or any(v.uid != status.incoming.uid for v in _candidates(draft))):
        pods = world.pods_of(status.incoming.version)
        late = world.now - status.incoming.since > PROGRESS_DEADLINE
        needed = 1 if draft.spec.paused else draft.spec.server.replicas  # while it is held, a pod may have to move
        if pods.broken or (late and pods.ready_live < needed):
            why = f"a pod of {status.incoming.version} {pods.broken or 'is not ready in time'}: the old version stays"
            _drop_incoming(draft, "Rejected", "PodsFailing" if pods.broken else "PodsNotReady", why)
    return False


def _heed_abort(draft: Draft) -> bool:
    """What a person no longer wants goes, a pause or not: in its canary, on its way in, or waiting for its turn."""
    stable = draft.status.stable
    past = {o.uid for o in draft.status.outcomes} | ({stable.uid} if stable else set())
    for version in [v for v in draft.world.versions if v.asked == "abort"]:
        status, why = draft.status, f"{version.name} was aborted by hand"
        if status.canary and status.canary.uid == version.uid:
            draft.end_canary("Rejected", "AbortedByHand", why)
        elif status.incoming and status.incoming.uid == version.uid:
            _drop_incoming(draft, "Rejected", "AbortedByHand", why)
        elif version.phase == "Evaluated" and version.uid not in past:
            draft.end(version.name, version.uid, "Rejected", "AbortedByHand", why)
    return False


def _finish_incoming(draft: Draft) -> bool:
    """Make before break: the new version takes over when all of its pods are ready."""
    status, world = draft.status, draft.world
    incoming = status.incoming
    if incoming is None:
        return False
    if world.pods_of(incoming.version).ready_live < draft.spec.server.replicas:
        return True
    old = status.stable
    if old and old.uid != incoming.uid:
        proven = incoming.reason in ("Deploy", "Promote")  # what a person chose, or evidence brought back, is not tried
        warm = world.now + draft.spec.probation if proven else None
        draft.set(previous=PreviousStatus(version=old.version, uid=old.uid, replaced_at=world.now, warm_until=warm))
        took = f"{incoming.version} took over from {old.version}"
        if incoming.reason == "Rollback":
            draft.end(old.version, old.uid, "Rejected", "RolledBack", f"{took}, which it did better than")
        else:
            draft.end(old.version, old.uid, "Archived", "Replaced", took)
    draft.set(
        stable=TrackStatus(version=incoming.version, uid=incoming.uid, weight=1.0),
        incoming=None,
    )
    draft.tell("Promoted", f"{incoming.version} serves all traffic ({incoming.reason})", incoming.version)
    return False


def _hold_when_paused(draft: Draft) -> bool:
    return draft.spec.paused


def _drive_canary(draft: Draft) -> bool:
    canary = draft.status.canary
    if canary is None:
        return False
    version = draft.world.version(canary.version, canary.uid)
    rival = _better_rival(draft, canary, version)
    if version is None:
        draft.end_canary("Superseded", "VersionDeleted", f"{canary.version} no longer exists")
    elif rival:
        draft.end_canary("Superseded", "BetterChallenger", f"{rival.name} scored better than {canary.version}")
        return False
    elif version.asked == "promote":
        draft.bring_in(version, "Promote", f"{canary.version} was promoted by hand")
    else:
        result = decide_canary(
            draft.spec.canary,
            draft.spec.samples.label_delay,
            canary,
            draft.world.look,
            draft.world.pods_of(canary.version),
            draft.world.now,
        )
        _follow(draft, version, result)
    return draft.status.canary is not None or draft.status.incoming is not None


def _follow(draft: Draft, version: VersionView, result: CanaryStatus | Promote | Reject) -> None:
    match result:
        case Promote(message):
            draft.bring_in(version, "Promote", message)
        case Reject(reason, message):
            draft.end_canary("Rejected", reason, message)
        case CanaryStatus():
            before = draft.status.canary
            draft.set(canary=result)
            if before and result.step != before.step:
                draft.tell("CanaryStep", f"{result.version} goes to weight {result.weight:.0%}", result.version)
            if before and result.state == "Inconclusive" != before.state:
                draft.tell("CanaryInconclusive", result.message, result.version, warning=True)


def _better_rival(draft: Draft, canary: CanaryStatus, version: VersionView | None) -> VersionView | None:
    """Urgent and High train even during a canary, and the better-scoring version supersedes it."""
    if version is None:
        return None
    rivals = [
        v
        for v in _candidates(draft)
        if v.uid != canary.uid
        and v.revision > version.revision
        and v.priority in ("Urgent", "High")
        and (v.lift or 0) > (version.lift or 0)
    ]
    return max(rivals, key=lambda v: (v.lift or 0, v.revision), default=None)


def _candidates(draft: Draft) -> list[VersionView]:
    ended = {o.uid for o in draft.status.outcomes}
    stable = draft.status.stable
    return [
        v
        for v in draft.world.versions
        if v.phase == "Evaluated"
        and v.decision in ("Deploy", "Canary")
        and v.approved
        and v.servable
        and v.uid not in ended
        and (stable is None or v.uid != stable.uid)
    ]


def _champions(draft: Draft) -> set[str | None]:
    """Whom a candidate may have been compared with: the stable version, or nobody where that one's record is gone."""
    stable = draft.status.stable
    if stable is None:
        return {None}
    return {stable.uid} if draft.world.version(stable.version) else {stable.uid, None}


def _start_candidate(draft: Draft) -> bool:
    stable = draft.status.stable
    candidates = _candidates(draft)
    champions = _champions(draft)
    for version in candidates:
        if version.champion_uid not in champions:
            draft.end(
                version.name,
                version.uid,
                "Superseded",
                "ChampionChanged",
                f"{version.name} was compared with a champion that is no longer stable: it is trained again",
            )
    current = [v for v in candidates if v.champion_uid in champions]
    best = max(current, key=lambda v: (v.decision == "Deploy", v.lift or 0, v.revision), default=None)
    if best is None:
        return False
    if best.decision == "Deploy" or stable is None:
        draft.bring_in(best, "Deploy", f"{best.name} has the verdict {best.decision}: its pods are being made")
        return True
    weight = draft.spec.canary.steps[0]
    draft.set(
        canary=CanaryStatus(
            version=best.name,
            uid=best.uid,
            weight=weight,
            started_at=draft.world.now,
            step_started_at=draft.world.now,
            cause=draft.world.cause,
        )
    )
    draft.tell("CanaryStarted", f"{best.name} starts at weight {weight:.0%}", best.name)
    return True


_CHECKLIST: tuple[Callable[[Draft], bool], ...] = (
    _leave_on_deletion,
    _honour_pin,
    _guard_structure,
    _heed_abort,
    _hold_when_paused,
    _finish_incoming,
    heed_probation,
    _drive_canary,
    _start_candidate,
)
