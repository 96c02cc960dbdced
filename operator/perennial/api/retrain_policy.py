"""RetrainPolicy: is there reason to retrain, what first, and may it start now?"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator, model_validator

from perennial.api.base import Rule, Spec, Status, field_error
from perennial.api.shared import Condition, Image, Resources, Time
from perennial_contract.durations import Duration, PositiveDuration
from perennial_contract.task import HoldoutRule, Metric

TriggerType = Literal["Missing", "Health", "Trend", "Drift", "Regime", "NewSamples", "Schedule", "Manual"]
Priority = Literal["Urgent", "High", "Medium", "Low"]
LabelValue = Annotated[str, Field(max_length=63)]


class LabelRequirement(Spec):
    """One requirement of a label selector."""

    cel_rules = (
        Rule(
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "values go with In and NotIn, and only with them: set or remove values",
            ".values",
        ),
    )

    key: str = Field(min_length=1, max_length=317)
    """The label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How its value relates to the values here."""
    values: list[LabelValue] = Field(default_factory=list, max_length=64)
    """With In and NotIn only."""

    @model_validator(mode="after")
    def _values_with_their_operator(self) -> Self:
        if self.operator in ("In", "NotIn") and not self.values:
            raise field_error("values", "nothing", f"is set, and {self.operator} needs values: list them")
        if self.operator in ("Exists", "DoesNotExist") and self.values:
            raise field_error("values", self.values, f"does not go with {self.operator}: remove values")
        return self


class Selector(Spec):
    """Which ModelDeployments of this namespace; empty matches all of them."""

    match_labels: dict[str, LabelValue] = Field(default_factory=dict, max_length=32)
    """Labels that it has, all of them."""
    match_expressions: list[LabelRequirement] = Field(default_factory=list, max_length=32)
    """Requirements that it meets, all of them."""


class Schedule(Spec):
    """When to retrain by the clock: every so often, or by cron."""

    cel_rules = (
        Rule(
            "has(self.every) != has(self.cron)",
            "set exactly one of every and cron: write {every: 24h} or {cron: '8 15 * * *'}",
        ),
        Rule(
            "has(self.cron) || !has(self.timeZone)",
            "timeZone goes with cron: remove it, or use cron instead of every",
            ".timeZone",
        ),
    )

    every: PositiveDuration | None = None
    """Counts from the policy's creation."""
    cron: str | None = Field(default=None, pattern=r"^\S+( +\S+){4}$", max_length=100)
    """Five fields: minute hour day month weekday."""
    time_zone: str | None = Field(default=None, min_length=1, max_length=64)
    """IANA name such as Europe/Oslo; UTC when absent. With cron only."""

    @field_validator("cron")
    @classmethod
    def _cron_is_cron(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                next(CronSim(value, datetime(2026, 1, 1, tzinfo=UTC)))
        except (CronSimError, StopIteration) as error:
            raise ValueError(
                f"{value!r} is no cron expression ({error or 'it never comes'}): "
                "write minute hour day month weekday, as in '8 15 * * *'"
            ) from None
        return value

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is no known time zone: use an IANA name such as Europe/Oslo") from error
        return value

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.every is None) == (self.cron is None):
            found = "neither every nor cron is set" if self.every is None else "both every and cron are set"
            raise field_error("every", found + ":", "set one of the two, as in {every: 24h} or {cron: '8 15 * * *'}")
        if self.time_zone and self.cron is None:
            raise field_error("timeZone", self.time_zone, "goes with cron: remove it, or use cron instead of every")
        return self


class HealthTrigger(Spec):
    """Poor performance."""

    states: list[Literal["Degraded", "Critical"]] = Field(default=["Degraded", "Critical"], min_length=1, max_length=2)
    """States that are reason enough."""


class DriftTrigger(Spec):
    """Features have drifted. Present: on."""


class RegimeTrigger(Spec):
    """The market's regime has changed."""

    sustained_for: Duration = timedelta(days=3)
    """How long the new regime must have lasted without a return, by the time of the data."""


class NewSamplesTrigger(Spec):
    """Enough new outcomes."""

    at_least: int = Field(default=50_000, ge=1)
    """Outcomes that came in since the last training that did not fail, whatever its verdict was."""


class Triggers(Spec):
    """What starts a retrain, besides a model without any version."""

    schedule: Schedule | None = None
    """By the clock."""
    health: HealthTrigger | None = None
    """When a model does poorly."""
    drift: DriftTrigger | None = None
    """When its features have drifted. Present: on."""
    regime: RegimeTrigger | None = None
    """When the market's regime has changed."""
    new_samples: NewSamplesTrigger | None = None
    """When there are enough new outcomes."""


class Training(Spec):
    """How a version is trained."""

    engine: Literal["Job"] = "Job"
    """A Kubernetes Job."""
    image: Image | None = None
    """The operator has a default."""
    data_window: PositiveDuration = timedelta(days=730)
    """How far back the training data goes."""
    data_windows: dict[TriggerType, PositiveDuration] = Field(default_factory=dict)
    """A window of its own by trigger: {Regime: 180d}."""
    holdout: HoldoutRule = HoldoutRule()
    """Which rows are kept for the comparison."""
    seed: int = Field(default=42, ge=0, lt=2**31)
    """The same seed on the same rows gives the same model."""
    warm_start: bool = False
    """Begin from the live version's weights or trees, where its algorithm and features are the same."""
    timeout: PositiveDuration = timedelta(hours=2)
    """Of one attempt."""
    retries: int = Field(default=1, ge=0, le=10)
    """Attempts after the first one."""
    retry_backoff: Duration = timedelta(hours=1)
    """Wait before the n-th retry: this × 2ⁿ⁻¹."""
    resources: Resources | None = None
    """Of the training container; its CPU limit is the number of threads."""


class Promotion(Spec):
    """What a challenger must show."""

    cel_rules = (
        Rule(
            "self.canaryAbove <= self.deployAbove",
            "canaryAbove must not exceed deployAbove: lower canaryAbove or raise deployAbove",
            ".canaryAbove",
        ),
        Rule(
            "!has(self.metric.weights) || self.metric.type == 'Composite'",
            "metric.weights go with metric.type Composite: remove them, or set the type",
            ".metric.weights",
        ),
    )

    metric: Metric = Metric()
    """What better means."""
    deploy_above: float = Field(default=0.05, ge=0, le=10)
    """Lift from which it is deployed."""
    canary_above: float = Field(default=0.02, ge=0, le=10)
    """Lift from which it goes through a canary."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Of the one-sided lower bound of the lift, which Deploy needs above zero."""
    min_outcomes: int = Field(default=500, ge=1)
    """Effective outcomes of the holdout before Deploy."""
    approval: Literal["Automatic", "Required"] = "Automatic"
    """Required: a verdict waits for the annotation perennial.dev/approve."""
    approval_timeout: PositiveDuration = timedelta(days=7)
    """Then Superseded."""

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> Self:
        if self.canary_above > self.deploy_above:
            raise field_error(
                "canaryAbove",
                self.canary_above,
                f"exceeds deployAbove ({self.deploy_above}): lower canaryAbove or raise deployAbove",
            )
        if self.metric.weights is not None and self.metric.type != "Composite":
            raise field_error(
                "metric.weights",
                self.metric.weights,
                f"goes with metric.type Composite, not {self.metric.type}: remove weights, or set the type",
            )
        return self


class Limits(Spec):
    """How much may happen."""

    max_parallel: int = Field(default=2, ge=1, le=100)
    """Trainings at a time, of this policy."""
    cooldown: Duration = timedelta(hours=6)
    """A model's rest between two trainings."""
    max_per_day: int = Field(default=6, ge=1, le=1000)
    """A model's trainings in 24 hours."""


class RetrainPolicySpec(Spec):
    """Which models, what reasons, how, and how much."""

    selector: Selector = Selector()
    mode: Literal["Enforced", "Advisory"] = "Enforced"
    """Advisory: plan and report only."""
    suspend: bool = False
    """True: nothing is started; what runs goes on."""
    triggers: Triggers = Triggers()
    training: Training = Training()
    promotion: Promotion = Promotion()
    limits: Limits = Limits()


class PlannedJob(Status):
    """One model that there is reason to retrain."""

    model: str
    version: str | None = None
    """The ModelVersion, once created."""
    priority: Priority
    trigger: TriggerType
    reason: str
    """PascalCase."""
    message: str = ""
    state: Literal["Waiting", "Planned", "Running", "Done"]
    waiting_for: str | None = None
    """CoolDown, DailyBudget, InFlight, BackOff, Lane, Advisory, Suspended, StoreUnavailable …"""
    not_before: Time | None = None
    estimated_seconds: float
    estimated_from: int = 0
    """How many measured trainings the estimate rests on."""


class Plan(Status):
    """What will be trained, in order."""

    id: str
    """plan-YYYYMMDD-HHMMSS; a new one only when its jobs change."""
    created_at: Time
    estimated_duration: str
    jobs: list[PlannedJob]


class RetrainPolicyStatus(Status):
    """The policy as the operator sees it."""

    observed_generation: int = 0
    next_schedule_time: Time | None = None
    last_schedule_time: Time | None = None
    models: int | None = None
    """How many ModelDeployments it governs."""
    retrain_token: str | None = None
    """The last value of the annotation perennial.dev/retrain that was acted on."""
    plan: Plan | None = None
    conditions: list[Condition] = Field(default_factory=list)
