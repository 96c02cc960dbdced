"""What keeps a wanted retrain from starting now? A list of small checks; the first that objects is named."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.api.retrain_policy import RetrainPolicySpec
from perennial.domain.rollout import PROGRESS_DEADLINE
from perennial.domain.triggers import ModelView, Reason

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wait:
    """A reason to wait (PascalCase), and until when, where that is known."""

    reason: str
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One model that there is reason to retrain."""

    spec: RetrainPolicySpec
    model: ModelView
    reason: Reason
    now: datetime


def decide_wait(spec: RetrainPolicySpec, model: ModelView, reason: Reason, now: datetime) -> Wait | None:
    """Why the model may not be trained now, lanes apart; None: it may."""
    request = Request(spec, model, reason, now)
    return next((wait for check in _CHECKS if (wait := check(request)) is not None), None)


def _conflict(request: Request) -> Wait | None:
    return Wait("Conflict") if request.model.conflict else None


def _suspended(request: Request) -> Wait | None:
    return Wait("Suspended") if request.spec.suspend else None


def _pinned(request: Request) -> Wait | None:
    """A pin freezes the model: only a person who asks gets another version trained meanwhile."""
    return Wait("Pinned") if request.model.pinned and request.reason.type != "Manual" else None


def _in_flight(request: Request) -> Wait | None:
    """Urgent and High do not wait for a canary, which may take weeks, nor for what waits behind it; nothing is trained
    twice at once."""
    flying = [v for v in request.model.in_flight if v.name != _stuck(request)]
    pressing = request.reason.priority in ("Urgent", "High") and any(v.phase == "Canary" for v in flying)
    blocking = [v for v in flying if not (pressing and v.phase in ("Canary", "Evaluated"))]
    return Wait("InFlight") if blocking else None


def _stuck(request: Request) -> str | None:
    """A first version whose pods do not come up: it is kept until there is another, which has to be trained first."""
    model, incoming = request.model, request.model.incoming
    if model.has_stable or incoming is None or incoming.ready_replicas:
        return None
    return incoming.version if request.now - incoming.since > PROGRESS_DEADLINE else None


def _store_unavailable(request: Request) -> Wait | None:
    return Wait("StoreUnavailable") if request.model.counts is None else None


def _too_soon(request: Request) -> Wait | None:
    """Of several rests the longest."""
    waits = [wait for wait in _rests(request) if wait.not_before and wait.not_before > request.now]
    return max(waits, key=lambda wait: wait.not_before or request.now, default=None)


def _rests(request: Request) -> Iterator[Wait]:
    """A person who asks is spared the cool-down and the back-off, but not the daily budget."""
    model, limits = request.model, request.spec.limits
    if request.reason.type != "Manual":
        if model.failures and model.retry_not_before is not None:
            yield Wait("BackOff", model.retry_not_before)
        if model.last_started_at is not None and model.superseded is None:
            yield Wait("CoolDown", model.last_started_at + limits.cooldown)
    today = sorted(start for start in model.starts if start > request.now - DAY)
    if len(today) >= limits.max_per_day:
        yield Wait("DailyBudget", today[-limits.max_per_day] + DAY)


def _advisory(request: Request) -> Wait | None:
    return Wait("Advisory") if request.spec.mode == "Advisory" else None


_CHECKS: tuple[Callable[[Request], Wait | None], ...] = (
    _conflict,
    _suspended,
    _pinned,
    _in_flight,
    _store_unavailable,
    _too_soon,
    _advisory,
)
