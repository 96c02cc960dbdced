"""``report.json``: what a policy did over a stretch of history. The schema is stable; what is measured stands apart.

Instants are UTC, win rates shares of 1. An interval of a win rate has one-sided bounds at 95 % each, as in a model's
status; that of a difference is at 95 %. The same inputs give the same
document, byte for byte, but for ``measured``.
"""

from typing import Literal

from pydantic import Field

from perennial.api.base import Status
from perennial.api.model_deployment_status import Interval
from perennial.api.retrain_policy import Priority, TriggerType
from perennial.api.shared import Time


class Performance(Status):
    """How a record of answers did."""

    win_rate: Interval | None = None
    average_reward: float | None = None
    """Of an action, costs deducted."""
    total_reward: float | None = None
    """Of all actions, costs deducted."""
    brier: float | None = None


class WinRateDifference(Status):
    """With − without retraining (or this run − the other), on the samples that both answered; an interval at 95 %."""

    value: float
    lower: float
    upper: float
    outcomes: int
    """The trials behind it: samples that one of the two acted on."""
    effective_outcomes: float
    """What they are worth as independent ones."""
    blocks: int


class CurvePoint(Status):
    """Win rates over the window of the model's health that ends here."""

    at: Time
    with_retraining: Interval | None = None
    without_retraining: Interval | None = None


class Stretch(Status):
    """A version that served, as stable or as a canary at one weight."""

    version: str
    from_: Time = Field(alias="from")
    until: Time
    weight: float


class TriggerReport(Status):
    """Why a version was trained."""

    type: TriggerType
    priority: Priority
    reason: str
    message: str = ""


class VersionReport(Status):
    """One attempt."""

    name: str
    created_at: Time
    trigger: TriggerReport
    phase: str
    decision: Literal["Deploy", "Canary", "Keep"] | None = None
    """The verdict."""
    reason: str = ""
    message: str = ""
    lift: float | None = None
    lower_bound: float | None = None
    probability_better: float | None = None
    effective_outcomes: float | None = None
    """Of the holdout."""
    training_rows: int | None = None


class FeatureDrift(Status):
    """How far a feature was from what the live version was trained on, at one look."""

    at: Time
    feature: str
    psi: float
    drifted: bool


class Counts(Status):
    """How often."""

    retrains: int = 0
    """Trainings that were started."""
    deploys: int = 0
    canaries: int = 0
    keeps: int = 0
    failures: int = 0
    promotions: int = 0
    """Versions that came to serve, the first one included."""
    rollbacks: int = 0


class ModelReport(Status):
    """One model."""

    name: str
    """namespace/name."""
    algorithm: str
    window: str
    """Of the curve's points."""
    counts: Counts
    with_retraining: Performance
    without_retraining: Performance
    """The first version that served, left alone."""
    difference: WinRateDifference | None = None
    curve: list[CurvePoint] = Field(default_factory=list)
    stable: list[Stretch] = Field(default_factory=list)
    canary: list[Stretch] = Field(default_factory=list)
    versions: list[VersionReport] = Field(default_factory=list)
    drift: list[FeatureDrift] = Field(default_factory=list)


class Decision(Status):
    """One thing that the operator did, and why."""

    at: Time
    model: str | None = None
    """None: of the policy as a whole."""
    version: str | None = None
    kind: Literal["Trigger", "Plan", "Training", "Verdict", "Canary", "Traffic", "Ended", "Other"]
    reason: str
    message: str
    warning: bool = False


class Run(Status):
    """One book of policies over the history."""

    name: str
    policies: list[str]
    models: list[ModelReport]
    decisions: list[Decision]


class ModelComparison(Status):
    """A model in both runs."""

    model: str
    difference: WinRateDifference | None = None
    """First run − second."""
    first: Performance
    second: Performance


class Comparison(Status):
    """Two runs over the same history."""

    first: str
    second: str
    models: list[ModelComparison]


class Settings(Status):
    """What the replay was told."""

    from_: Time = Field(alias="from")
    until: Time
    training_duration: str
    """Simulated, of each training: a duration, or ``recorded``."""
    look_every: str
    """How often the monitors look, at the most."""
    cost: float
    """Deducted from the reward of each action: costs and slippage."""
    speed_up_training: int


class Measured(Status):
    """What depends on the machine and differs from run to run."""

    wall_seconds: float
    waited_seconds: float
    """Of these, those in which nothing could go on until a training or a scoring had ended."""
    training_cpu_seconds: dict[str, float]
    """By run and model, as in ``first default/btc``."""
    scoring_cpu_seconds: dict[str, float]
    peak_memory_mib: float


class Report(Status):
    """The whole document."""

    schema_version: Literal[1] = 1
    complete: bool
    """False: interrupted, and told as far as it went."""
    simulated_until: Time
    settings: Settings
    samples: dict[str, int]
    """Rows by table."""
    assumptions: list[str]
    without_effect: list[str]
    """What is declared and not built yet."""
    runs: list[Run]
    comparison: Comparison | None = None
    measured: Measured
