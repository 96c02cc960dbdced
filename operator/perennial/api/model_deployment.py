"""ModelDeployment: what serves, how well does it do, and how does traffic move?"""

from datetime import timedelta
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from perennial.api.base import Rule, Spec, field_error
from perennial.api.shared import Artifacts, Image, Name, Passthrough, Resources, SecretKeyRef
from perennial.api.traffic import Canary, Rollback, Traffic
from perennial_contract.durations import PositiveDuration, format_duration
from perennial_contract.samples import RESERVED_COLUMNS, Decision, Identifier, SampleContract
from perennial_contract.task import Algorithm

_RESERVED = str(sorted(RESERVED_COLUMNS))


class Samples(SampleContract):
    """The data contract."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.features) || self.features.all(f, !(f in {_RESERVED}))",
            f"features must not be reserved columns {_RESERVED}: remove them",
            ".features",
        ),
        Rule(
            "self.table != self.predictionsTable",
            "predictionsTable must differ from table: name another table",
            ".predictionsTable",
        ),
    )

    features: tuple[Identifier, ...] = Field(
        default=(), max_length=1000, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Feature columns; empty: every numeric column that is not reserved."""
    read_url_from: SecretKeyRef
    """Secret key with the SQLAlchemy URL that the operator reads with."""
    write_url_from: SecretKeyRef
    """Secret key with the SQLAlchemy URL for servers and training Jobs."""
    recorded_by: Literal["Server", "Client"] = "Server"
    """Who inserts the sample's features."""

    @model_validator(mode="after")
    def _tables_differ(self) -> Self:
        if self.table == self.predictions_table:
            raise field_error("predictionsTable", self.predictions_table, "is the samples' table: name another one")
        return self

    @property
    def contract(self) -> SampleContract:
        """The part that tables and rows depend on, without the Secrets."""
        return SampleContract.model_validate({name: getattr(self, name) for name in SampleContract.model_fields})


class Outcomes(Spec):
    """The endpoint that outcomes come in on."""

    port: int = Field(default=8081, ge=1, le=65535)
    """Never the port that inference comes in on: it may be given a policy of its own."""
    token_from: SecretKeyRef
    """Secret key with the bearer token."""


class Server(Spec):
    """The pods that serve."""

    cel_rules = (
        Rule(
            "!has(self.outcomes) || self.outcomes.port != self.port",
            "outcomes.port must differ from port: set another outcomes.port",
            ".outcomes.port",
        ),
    )

    replicas: int = Field(default=1, ge=1, le=1000)
    """Pods of the stable version; a canary comes on top."""
    image: Image | None = None
    """The operator has a default."""
    port: int = Field(default=8080, ge=1, le=65535)
    """Where inference requests come in."""
    resources: Resources | None = None
    pod_template: Passthrough | None = None
    """`metadata` (labels, annotations) and `spec` (nodeSelector, tolerations …) of the pods; what we set wins."""
    outcomes: Outcomes | None = None
    """Set: the servers accept ``POST /outcomes``."""

    @model_validator(mode="after")
    def _template_is_one(self) -> Self:
        for name, part in (self.pod_template or {}).items():
            if name not in ("metadata", "spec") or not isinstance(part, dict):
                raise field_error(f"podTemplate.{name}", part, "is no part of a pod template: write metadata or spec")
            for inner in ("labels", "annotations") if name == "metadata" else ():
                if not isinstance(part.get(inner, {}), dict):
                    raise field_error(f"podTemplate.metadata.{inner}", part[inner], "must map names to texts")
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.outcomes and self.outcomes.port == self.port:
            raise field_error("outcomes.port", self.port, "is the port of inference too: set another outcomes.port")
        return self


class Health(Spec):
    """When a model is well."""

    window: PositiveDuration = timedelta(days=30)
    """How far back a look goes; longer than labelDelay."""
    min_outcomes: int = Field(default=200, ge=1)
    """Effective outcomes; fewer: Unknown."""
    min_win_rate: float = Field(default=0.5, gt=0, lt=1)
    """Surely under it: Degraded; surely more than 0.05 under it: Critical."""
    max_calibration_error: float = Field(default=0.1, gt=0, le=1)
    """How far stated probabilities may be from what happens."""
    min_average_reward: float | None = None
    """Off unless set."""
    false_alarm_every: PositiveDuration = timedelta(days=180)
    """How seldom a model may be flagged whose true win rate is at least 0.02 over minWinRate."""


class Drift(Spec):
    """When live features no longer look like the training data."""

    window: PositiveDuration = timedelta(days=30)
    """The rows that are compared with the training data."""
    min_rows: int = Field(default=500, ge=1)
    """Fewer: Unknown."""
    threshold: float = Field(default=0.25, gt=0)
    """Population stability index."""
    consecutive_windows: int = Field(default=2, ge=1, le=10)
    """In how many windows on end the same feature must have drifted."""
    false_alarm_every: PositiveDuration = timedelta(days=365)
    """How seldom drift may be reported where there is none."""


class Regime(Spec):
    """Which series tells the market's regime."""

    cel_rules = (
        Rule(
            f"!(self.column in {_RESERVED})",
            f"column must not be one of the reserved columns {_RESERVED}: name a feature",
            ".column",
        ),
    )

    column: Identifier
    """A feature that is known at `at`, such as the last return; in a panel its mean over the series counts."""
    lookback: int = Field(default=1000, ge=1000, le=100_000)
    """Timestamps that a look filters; a training fits regimes to as many at least."""

    @field_validator("column")
    @classmethod
    def _column_is_a_feature(cls, name: str) -> str:
        if name in RESERVED_COLUMNS:
            raise ValueError(f"{name!r} is a reserved column, not known at `at`: name a feature")
        return name


class ModelDeploymentSpec(Spec):
    """What serves, how well should it do, and how may traffic move."""

    algorithm: Algorithm
    """xgboost | lightgbm | nhits | patchtst; parameters go to the library."""
    samples: Samples
    decision: Decision = Decision()
    artifacts: Artifacts | None = None
    """The operator has a default."""
    server: Server = Server()
    traffic: Traffic = Traffic()
    canary: Canary = Canary()
    health: Health = Health()
    drift: Drift | None = None
    """Absent: drift is not watched."""
    regime: Regime | None = None
    """Absent: regimes are off."""
    rollback: Rollback = Rollback()
    interval: PositiveDuration = timedelta(minutes=5)
    """How often the monitors look."""
    version: Name | None = None
    """Pin one ModelVersion: rollback, or freeze, from Git."""
    paused: bool = False
    """True: weights hold, nothing is promoted."""
    version_history_limit: int = Field(default=10, ge=2, le=1000)
    """Versions kept besides the live one and the one before it."""

    @model_validator(mode="after")
    def _windows_outlast_the_label(self) -> Self:
        delay = self.samples.label_delay
        windows = {"health.window": self.health.window, "canary.maxDuration": self.canary.max_duration}
        for field, window in windows.items():
            if window <= delay:
                problem = f"leaves no time for outcomes, which take samples.labelDelay ({format_duration(delay)})"
                raise field_error(field, format_duration(window), f"{problem}: make it longer")
        return self

    @property
    def probation(self) -> timedelta:
        """How long the version before stays warm: what is asked for, and at least 4 × labelDelay."""
        return max(self.rollback.window, 4 * self.samples.label_delay)
