"""ModelDeployment.status: the rollout's only memory, and what the monitors last saw."""

from typing import Literal

from pydantic import Field

from perennial.api.base import Status
from perennial.api.shared import Condition, Time, TrackStatus

HealthState = Literal["Healthy", "Degraded", "Critical", "Unknown"]
TrendState = Literal["Improving", "Stable", "Declining", "Unknown"]
DriftState = Literal["None", "Suspected", "Drifting", "Unknown"]
DriftSign = Literal["PSI", "MissingRate", "OutOfRange"]
RegimeState = Literal["AsTrained", "Changed", "Unknown"]
RolloutPhase = Literal["Pending", "Deploying", "Stable", "Canary", "RollingBack", "Paused", "Stalled"]


class Interval(Status):
    """A share with its interval and what it rests on."""

    value: float
    lower: float
    upper: float
    outcomes: int
    effective_outcomes: float


class CusumStatus(Status):
    """Whether the win rate fell: a sum over time blocks that is 0 while it is well."""

    value: float | None = None
    threshold: float | None = None
    """At it the win rate counts as fallen."""
    since: Time
    """Until then the value was 0: the next look goes on from here."""


class EarlyEstimate(Status):
    """What win rate to expect of the predictions whose outcomes are not there yet: an estimate, and no evidence."""

    win_rate: float
    predictions: int
    calibrated: bool
    """Scores were translated into frequencies of the holdout; false: they are taken at their word."""


class HealthStatus(Status):
    """How well the stable version does."""

    state: HealthState = "Unknown"
    reason: str = "NotLookedYet"
    message: str = ""
    trend: TrendState = "Unknown"
    win_rate: Interval | None = None
    average_reward: float | None = None
    profit_factor: float | None = None
    brier: float | None = None
    calibration_error: float | None = None
    """Expected calibration error."""
    perfect_calibration_error: float | None = None
    """What a perfectly calibrated model would show on as much evidence."""
    spiegelhalter_z: float | None = None
    """Under perfect calibration a standard normal figure."""
    mean_confidence: float | None = None
    cusum: CusumStatus | None = None
    early_estimate: EarlyEstimate | None = None
    samples: int | None = None
    """Live predictions in the window."""
    resolved: int | None = None
    overdue: int | None = None
    late: int | None = None
    window_from: Time | None = None
    window_until: Time | None = None
    evidence_until: Time | None = None
    """The newest outcome that the state rests on."""
    version: str | None = None
    """The version looked at."""


class FeatureDrift(Status):
    """How far a feature is from what the version was trained on."""

    name: str
    psi: float
    """Population stability index."""
    q_value: float
    """Chance of it without drift, corrected for how many columns are looked at."""
    sign: DriftSign | None = None
    """What is beyond its limit, and surely so."""


class ScoreDrift(Status):
    """How far the model's own scores are from those on its holdout."""

    psi: float
    q_value: float


class DriftStatus(Status):
    """Whether live features still look like the training data."""

    state: DriftState = "Unknown"
    reason: str = "NotLookedYet"
    message: str = ""
    features: list[FeatureDrift] = Field(default_factory=list)
    """The worst five."""
    scores: ScoreDrift | None = None
    rows: int | None = None
    """Samples in the newest window."""
    judged: int | None = None
    """Columns, the scores among them."""
    unjudged: int | None = None
    """Columns whose rows resemble their past so much that the window holds too few effective ones."""
    window_from: Time | None = None
    window_until: Time | None = None
    """Of the newest window."""
    evidence_until: Time | None = None
    version: str | None = None
    """The version looked at."""


class RegimeStatus(Status):
    """Which regime the series is in, beside the one that the stable version was trained on."""

    state: RegimeState = "Unknown"
    reason: str = "NotLookedYet"
    message: str = ""
    current: str | None = None
    """The regime that the series is in; absent while it is in between."""
    probability: float | None = None
    """Of `current`, else of the likeliest."""
    trained_on: str | None = None
    """The regime at the end of the stable version's data."""
    candidate: str | None = None
    """Another regime, entered since without a return; kept while nothing new is known."""
    candidate_since: Time | None = None
    evidence_until: Time | None = None
    """The newest point looked at."""
    version: str | None = None
    """The version looked at."""


class Evidence(Status):
    """What the paired comparison says so far."""

    pairs: int = 0
    effective_pairs: float = 0
    blocks: int = 0
    utility_difference: float | None = None
    """Mean of challenger − stable, in units of one win or loss."""
    e_value: float = 1.0
    """Evidence that the challenger is better; a pass at 1 / (1 − confidence)."""
    harm: float = 1.0
    """Evidence that it is worse."""
    coverage: float | None = None
    """Share of the canary's samples that both versions scored."""


class CanaryStatus(Status):
    """A challenger on its way."""

    version: str
    uid: str
    step: int = 0
    """Index into canary.steps."""
    weight: float = 0
    """The step's weight; the traffic never exceeds it."""
    observed_weight: float | None = None
    """Counted from live predictions."""
    ready_replicas: int = 0
    started_at: Time
    step_started_at: Time
    evidence: Evidence = Evidence()
    state: Literal["Progressing", "Inconclusive", "Held"] = "Progressing"
    message: str = ""
    cause: str = ""
    """Digest of the declared fields that the canary started under: a change aborts it."""


class IncomingStatus(Status):
    """The version that is about to become stable, until its pods are ready (make-before-break)."""

    version: str
    uid: str
    reason: Literal["Deploy", "Promote", "Pin", "Rollback"]
    since: Time
    ready_replicas: int = 0


class PreviousStatus(Status):
    """The version before the stable one: warm for a while, archived, never pruned."""

    version: str
    uid: str
    replaced_at: Time
    warm_until: Time | None = None
    """Until then it scores every request beside its successor, and may be brought back."""
    evidence: Evidence | None = None
    """That it was better than its successor, `eValue`, or worse, `harm`."""


class Outcome(Status):
    """How a version's rollout ended; the ModelVersion's phase is derived from it."""

    version: str
    uid: str
    phase: Literal["Archived", "Rejected", "Superseded"]
    reason: str
    message: str = ""
    at: Time


class ModelDeploymentStatus(Status):
    """Rollout state and monitors."""

    observed_generation: int = 0
    phase: RolloutPhase | None = None
    endpoint: str | None = None
    last_revision: int = 0
    stable: TrackStatus | None = None
    canary: CanaryStatus | None = None
    incoming: IncomingStatus | None = None
    previous: PreviousStatus | None = None
    outcomes: list[Outcome] = Field(default_factory=list)
    """The newest ends of rollouts, bounded."""
    health: HealthStatus | None = None
    drift: DriftStatus | None = None
    regime: RegimeStatus | None = None
    conditions: list[Condition] = Field(default_factory=list)
