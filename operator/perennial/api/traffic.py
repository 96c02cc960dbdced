"""How traffic moves: by what means, how a challenger earns it, and how it is lost again."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from perennial.api.base import Rule, Spec, field_error
from perennial.api.shared import Name
from perennial_contract.durations import Duration, PositiveDuration

_MAX_STEPS = 20


class ParentRef(Spec):
    """A Gateway."""

    name: Name
    """The Gateway."""
    namespace: Name | None = None
    """Of the Gateway; the model's own when absent."""
    section_name: Name | None = None
    """One listener of it; all when absent."""


class GatewayAPI(Spec):
    """Where the HTTPRoute attaches."""

    parent_refs: list[ParentRef] = Field(min_length=1, max_length=8)
    """The Gateways."""
    hostnames: list[Annotated[str, Field(min_length=1, max_length=253)]] = Field(default_factory=list, max_length=16)
    """Hosts of the route; all when empty."""


class Traffic(Spec):
    """How weights are made."""

    cel_rules = (
        Rule(
            "has(self.gatewayAPI) == (self.provider == 'GatewayAPI')",
            "gatewayAPI goes with provider GatewayAPI: set both or neither",
            ".gatewayAPI",
        ),
    )

    provider: Literal["Replicas", "GatewayAPI"] = "Replicas"
    """Replicas: by the number of pods, nothing to install. GatewayAPI: exact, by an HTTPRoute."""
    gateway_api: GatewayAPI | None = Field(default=None, alias="gatewayAPI")
    """Where the route attaches; with provider GatewayAPI only."""

    @model_validator(mode="after")
    def _gateway_with_its_provider(self) -> Self:
        if self.provider == "GatewayAPI" and self.gateway_api is None:
            raise field_error("gatewayAPI", "nothing", "is set: name the Gateway in gatewayAPI.parentRefs")
        if self.provider != "GatewayAPI" and self.gateway_api is not None:
            raise field_error("provider", self.provider, "takes no gatewayAPI: remove it, or set provider: GatewayAPI")
        return self


class Guard(Spec):
    """When a canary goes at once, whatever its outcomes may be: its requests fail or crawl."""

    max_error_ratio: float = Field(default=0.05, ge=0, lt=1)
    """Share that may fail (5xx, or 422: cannot score) or take over maxLatencySeconds, and surely more than stable's."""
    max_latency_seconds: float = Field(default=1.0, gt=0, le=2.5)
    """A request may take so long inside the server."""
    min_requests: int = Field(default=100, ge=1)
    """Fewer tell nothing."""


class Canary(Spec):
    """How a challenger earns traffic."""

    cel_rules = (
        Rule(
            f"{list(range(_MAX_STEPS - 1))}.all(i, i + 1 >= size(self.steps) || self.steps[i] < self.steps[i + 1])",
            "steps must rise: write e.g. [0.1, 0.25, 0.5]",
            ".steps",
        ),
    )

    steps: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default=[0.1, 0.25, 0.5], min_length=1, max_length=_MAX_STEPS
    )
    """Shares of traffic, rising; after the last one comes promotion."""
    min_replicas: int = Field(default=1, ge=1, le=1000)
    """Pods of the canary that score every request beside the stable ones; those beyond the step's weight stand outside
    the endpoint."""
    min_step_duration: Duration = timedelta(minutes=30)
    """A step lasts at least as long, and never less than labelDelay."""
    min_outcomes: int = Field(default=300, ge=1)
    """Effective paired outcomes before a pass."""
    max_duration: PositiveDuration = timedelta(days=60)
    """How long a canary may take to show what it is worth."""
    on_inconclusive: Literal["Keep", "Pause"] = "Keep"
    """At maxDuration without a pass or a fail: keep the stable version, or wait for a person."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """A pass needs evidence of 1 / (1 − confidence)."""
    guard: Guard = Guard()

    @field_validator("steps")
    @classmethod
    def _steps_rise(cls, steps: list[float]) -> list[float]:
        if sorted(set(steps)) != steps:
            raise ValueError(f"{steps} does not rise: write e.g. [0.1, 0.25, 0.5]")
        return steps


class Rollback(Spec):
    """How long a promotion stays on probation."""

    window: Duration = timedelta(days=3)
    """The version before stays warm for as long, and at least for 4 × labelDelay."""
    min_pairs: int = Field(default=200, ge=1)
    """Effective pairs before a rollback."""
