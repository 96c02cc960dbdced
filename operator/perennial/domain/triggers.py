"""Is there reason to retrain a model? A list of small rules; the strongest reason counts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from perennial.api.model_deployment_status import DriftStatus, HealthStatus, IncomingStatus, RegimeStatus
from perennial.api.model_version import Phase, Trigger
from perennial.api.retrain_policy import Priority, RetrainPolicySpec, TriggerType
from perennial.domain.evidence import SampleCounts
from perennial.domain.schedule import decide_schedule
from perennial_contract.durations import format_duration

PRIORITIES: tuple[Priority, ...] = ("Urgent", "High", "Medium", "Low")
"""Strongest first."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """A ModelVersion on its way, from Pending to Canary, awaiting approval included."""

    name: str
    phase: Phase
    trigger: Trigger
    holds_lane: bool = True
    """False while it can't start or backs off: others may train meanwhile."""

    @property
    def training(self) -> bool:
        """Whether it takes a lane."""
        return self.phase in ("Pending", "Training")


@dataclass(frozen=True, slots=True)
class ModelView:
    """All that triggers and plan know of a model; the controller fills it from the cluster."""

    name: str
    uid: str
    created_at: datetime
    min_outcomes: int
    """health.minOutcomes: so many new outcomes before a trigger fires again."""
    next_version: str
    """The name that the next version gets."""
    health: HealthStatus | None = None
    """Of the version that is stable now."""
    drift: DriftStatus | None = None
    regime: RegimeStatus | None = None
    """Beside the one that the version that is stable now was trained on."""
    versions_exist: bool = False
    has_stable: bool = False
    incoming: IncomingStatus | None = None
    """The version that is about to serve."""
    in_flight: tuple[InFlight, ...] = ()
    starts: tuple[datetime, ...] = ()
    """When trainings of this model began: of the last 24 hours at least, and the last one."""
    failures: int = 0
    """Failed attempts in a row."""
    retry_not_before: datetime | None = None
    measured_seconds: tuple[float, ...] = ()
    """Of finished trainings."""
    counts: SampleCounts | None = None
    """Counted since `last_evidence_until` (or ever, when there is none); None: the store does not answer."""
    last_evidence_until: datetime | None = None
    """spec.trigger.evidenceUntil of the last attempt."""
    superseded: Trigger | None = None
    """The last attempt's trigger, when that attempt is over because its champion was no longer the stable version."""
    retrain_requested: bool = False
    """Filled by the plan, from the policy's annotation."""
    pinned: bool = False
    conflict: str | None = None
    """The older policy that governs this model."""

    @property
    def last_started_at(self) -> datetime | None:
        """When a training of this model last began."""
        return max(self.starts, default=None)

    @property
    def new_outcomes(self) -> int | None:
        """Outcomes that no attempt has seen."""
        return self.counts.resolved_since if self.counts else None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a model should be retrained."""

    type: TriggerType
    priority: Priority
    reason: str
    message: str
    evidence_until: datetime | None = None
    """The newest outcome that it rests on."""
    fresh: bool = False
    """It needs no new outcomes: a person asked, or the last attempt was compared with a version that is gone."""


@dataclass(frozen=True, slots=True)
class Question:
    """What every rule is asked."""

    spec: RetrainPolicySpec
    model: ModelView
    created_at: datetime
    """Of the policy."""
    now: datetime

    @property
    def visible_until(self) -> datetime | None:
        """Outcomes up to here were known."""
        return self.model.counts.visible_until if self.model.counts else None


def decide_trigger(spec: RetrainPolicySpec, model: ModelView, created_at: datetime, now: datetime) -> Reason | None:
    """The strongest reason that fires, or none. Reasons that lack new outcomes do not fire (`held_back` names them)."""
    return next((r for r in _reasons(Question(spec, model, created_at, now)) if has_new_evidence(model, r)), None)


def held_back(spec: RetrainPolicySpec, model: ModelView, created_at: datetime, now: datetime) -> Reason | None:
    """The strongest reason, where none fires for want of outcomes that the last attempt has not seen."""
    reasons = _reasons(Question(spec, model, created_at, now))
    return reasons[0] if reasons and not any(has_new_evidence(model, r) for r in reasons) else None


def has_new_evidence(model: ModelView, reason: Reason) -> bool:
    """The same evidence never triggers twice, unless the attempt failed; what cannot be counted is not new."""
    if reason.fresh or model.failures > 0 or model.last_evidence_until is None:
        return True
    if reason.evidence_until is not None and reason.evidence_until <= model.last_evidence_until:
        return False  # newer outcomes there may be, but of samples that the reason does not rest on
    return model.new_outcomes is not None and model.new_outcomes >= model.min_outcomes


def _reasons(question: Question) -> list[Reason]:
    """All reasons, strongest first, among equals in the order of the rules. A person's wish comes before them all, at
    the priority of the strongest: it is spared waits that they are not."""
    found = [reason for rule in RULES if (reason := rule(question)) is not None]
    found.sort(key=lambda reason: PRIORITIES.index(reason.priority))
    asked = [replace(reason, priority=found[0].priority) for reason in found if reason.type == "Manual"]
    return asked + [reason for reason in found if reason.type != "Manual"]


def _superseded(question: Question) -> Reason | None:
    before = question.model.superseded
    if before is None:
        return None
    line = f"the last attempt ({before.reason}) was compared with a version that no longer serves"
    return Reason(before.type, before.priority, "ChampionChanged", line, question.visible_until, fresh=True)


def _missing(question: Question) -> Reason | None:
    model = question.model
    if model.has_stable:
        return None
    reason, line = (
        ("NoStableVersion", "no version has come to serve")
        if model.versions_exist
        else (
            "NoVersion",
            "no version yet",
        )
    )
    return Reason("Missing", "Urgent", reason, line, question.visible_until)


def _retrain_requested(question: Question) -> Reason | None:
    if not question.model.retrain_requested:
        return None
    line = "asked for by the annotation perennial.dev/retrain"
    return Reason("Manual", "High", "RetrainRequested", line, question.visible_until, fresh=True)


def _health_poor(question: Question) -> Reason | None:
    trigger, health = question.spec.triggers.health, question.model.health
    if trigger is None or health is None or health.state not in trigger.states:
        return None
    priority: Priority = "Urgent" if health.state == "Critical" else "High"
    return Reason(
        "Health", priority, f"Health{health.state}", f"{health.reason}: {health.message}", health.evidence_until
    )


def _trend_declining(question: Question) -> Reason | None:
    health = question.model.health
    if question.spec.triggers.health is None or health is None or health.state == "Unknown":
        return None
    if health.trend != "Declining":
        return None
    line = f"the second half of the window is significantly worse than the first; {health.message}"
    return Reason("Trend", "Medium", "TrendDeclining", line, health.evidence_until)


def _features_drifted(question: Question) -> Reason | None:
    """Once a window at most: the evidence is as old as the newest window that was judged."""
    drift = question.model.drift
    if question.spec.triggers.drift is None or drift is None or drift.state != "Drifting":
        return None
    return Reason("Drift", "Medium", drift.reason, drift.message, drift.evidence_until)


def _regime_changed(question: Question) -> Reason | None:
    """Another regime that has lasted, by the data and not by the clock. An attempt on data that showed as much has seen
    the change, whatever came of it."""
    trigger, regime, tried = question.spec.triggers.regime, question.model.regime, question.model.last_evidence_until
    if trigger is None or regime is None or regime.state != "Changed":
        return None
    if regime.candidate_since is None or regime.evidence_until is None:
        return None
    lasted = regime.candidate_since + trigger.sustained_for
    if regime.evidence_until < lasted or (tried is not None and tried >= lasted):
        return None
    began, least = f"{regime.candidate_since:%Y-%m-%d %H:%M}", format_duration(trigger.sustained_for)
    trained = f"{regime.trained_on}, which {regime.version} was trained on"
    line = f"{regime.candidate} began at {began} UTC and has lasted {least} or longer without a return to {trained}"
    return Reason("Regime", "Medium", "RegimeChanged", line, regime.evidence_until)


def _new_samples(question: Question) -> Reason | None:
    trigger, count = question.spec.triggers.new_samples, question.model.new_outcomes
    if trigger is None or count is None or count < trigger.at_least:
        return None
    line = f"{trigger.at_least} new outcomes have come in"
    return Reason("NewSamples", "Low", "NewSamples", line, question.visible_until)


def _schedule_due(question: Question) -> Reason | None:
    """Due for a model that has not started since the last scheduled time: no state to lose, none to catch up twice."""
    schedule = question.spec.triggers.schedule
    if schedule is None:
        return None
    model = question.model
    acted = max(model.created_at, model.last_started_at or model.created_at)
    due, _ = decide_schedule(schedule, question.created_at, acted, question.now)
    if due is None:
        return None
    return Reason(
        "Schedule", "Low", "ScheduleDue", f"scheduled for {due:%Y-%m-%d %H:%M:%S} UTC", question.visible_until
    )


RULES: tuple[Callable[[Question], Reason | None], ...] = (
    _superseded,
    _missing,
    _retrain_requested,
    _health_poor,
    _trend_declining,
    _features_drifted,
    _regime_changed,
    _new_samples,
    _schedule_due,
)
"""Another kind of evidence is another rule here."""
