"""What a rollout is decided from, and the draft that its checklist works on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import Evidence, IncomingStatus, ModelDeploymentStatus, Outcome
from perennial.api.model_version import DecisionName, Phase
from perennial.api.retrain_policy import Priority
from perennial.domain.canary import CanaryLook
from perennial.domain.traffic import PodsView

KEPT_OUTCOMES = 20
Bringing = Literal["Deploy", "Promote", "Pin", "Rollback"]
"""Why a version comes in."""
_BRINGING = {"Deploy": "Deploying", "Promote": "Promoting", "Pin": "Pinning", "Rollback": "RollingBack"}


@dataclass(frozen=True, slots=True)
class VersionView:
    """What a rollout needs to know of a ModelVersion."""

    name: str
    uid: str
    revision: int
    phase: Phase | None = None
    servable: bool = True
    """It was resolved and its artifact's digest is known."""
    decision: DecisionName | None = None
    lift: float | None = None
    priority: Priority = "Low"
    champion_uid: str | None = None
    approved: bool = True
    asked: Literal["abort", "promote"] | None = None
    """A one-shot annotation that was not acted on yet."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything a rollout is decided from, besides the spec and the state."""

    now: datetime
    cause: str
    """Digest of the declared fields whose change aborts a canary."""
    versions: tuple[VersionView, ...] = ()
    pods: Mapping[str, PodsView] = field(default_factory=dict)
    look: CanaryLook | None = None
    """The canary's paired evidence; None: the store did not answer, and weights hold."""
    probation: Evidence | None = None
    """Of the version before against the stable one, while it is warm; None: it is not, or the store did not answer."""
    guard: str | None = None
    """What is wrong with the canary's answers; None: nothing that is known."""
    deleting: bool = False

    def version(self, name: str, uid: str | None = None) -> VersionView | None:
        """The version of that name, if it exists; with `uid`, that very one and none that was made again."""
        return next((v for v in self.versions if v.name == name and uid in (None, v.uid)), None)

    def pods_of(self, name: str) -> PodsView:
        """Its pods; none when nothing is known of any."""
        return self.pods.get(name, PodsView())


@dataclass(frozen=True, slots=True)
class Transition:
    """Something happened that a person wants to read of: an Event, once."""

    reason: str
    message: str
    version: str | None = None
    warning: bool = False


@dataclass(slots=True)
class Draft:
    """The decision while the checklist runs."""

    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus
    world: World
    transitions: list[Transition] = field(default_factory=list)
    pin_problem: str | None = None

    def tell(self, reason: str, message: str, version: str | None = None, *, warning: bool = False) -> None:
        self.transitions.append(Transition(reason, message, version, warning))

    def set(self, **changes: object) -> None:
        self.status = self.status.model_copy(update=changes)

    def end(
        self,
        version: str,
        uid: str,
        phase: Literal["Archived", "Rejected", "Superseded"],
        reason: str,
        message: str,
    ) -> None:
        """Record how a version's rollout ended; its ModelVersion's phase follows from it."""
        entry = Outcome(version=version, uid=uid, phase=phase, reason=reason, message=message, at=self.world.now)
        kept = [o for o in self.status.outcomes if o.uid != uid]
        self.set(outcomes=[*kept, entry][-KEPT_OUTCOMES:])
        self.tell(reason, message, version, warning=phase == "Rejected")

    def end_canary(self, phase: Literal["Rejected", "Superseded"], reason: str, message: str) -> None:
        canary = self.status.canary
        if canary:
            self.set(canary=None)
            self.end(canary.version, canary.uid, phase, reason, message)

    def forget_outcome(self, uid: str) -> None:
        """A version that serves again has not ended."""
        if any(o.uid == uid for o in self.status.outcomes):
            self.set(outcomes=[o for o in self.status.outcomes if o.uid != uid])

    def bring_in(
        self, version: VersionView, reason: Literal["Deploy", "Promote", "Pin", "Rollback"], message: str
    ) -> None:
        self.set(
            incoming=IncomingStatus(version=version.name, uid=version.uid, reason=reason, since=self.world.now),
            canary=None if self.status.canary and self.status.canary.uid == version.uid else self.status.canary,
        )
        self.forget_outcome(version.uid)
        self.tell(_BRINGING[reason], message, version.name, warning=reason == "Rollback")

    def count_pods(self) -> None:
        """Weights and ready pods as they stand now."""
        status, world = self.status, self.world
        if status.stable:
            weight = 1.0 - (status.canary.weight if status.canary else 0.0)
            ready = world.pods_of(status.stable.version).ready_live
            self.set(stable=status.stable.model_copy(update={"weight": round(weight, 6), "ready_replicas": ready}))
        if status.canary:
            pods = world.pods_of(status.canary.version)
            ready = pods.ready_live + pods.ready_shadow
            self.set(canary=status.canary.model_copy(update={"ready_replicas": ready}))
        if status.incoming:
            ready = world.pods_of(status.incoming.version).ready_live
            self.set(incoming=status.incoming.model_copy(update={"ready_replicas": ready}))
