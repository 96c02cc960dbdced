"""How many pods each version wants, so that traffic never exceeds the canary's weight."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from perennial.api.model_deployment_status import ModelDeploymentStatus, PreviousStatus
from perennial_contract.samples import Track


@dataclass(frozen=True, slots=True)
class PodsView:
    """The pods of one version as the cluster reports them."""

    ready_live: int = 0
    ready_shadow: int = 0
    broken: str | None = None
    """What a failing container says; None while nothing fails."""


Replicas = Mapping[tuple[str, Track], int]
"""(ModelVersion's name, track) → pods; what is absent must not exist."""


def warm_previous(status: ModelDeploymentStatus, now: datetime) -> PreviousStatus | None:
    """The version before, for as long as it scores beside the stable one."""
    previous = status.previous
    return previous if previous and previous.warm_until and now < previous.warm_until else None


def canary_replicas(stable: int, weight: float) -> int:
    """Pods beside ``stable`` ones that get at most ``weight`` of connections: c / (c + stable) ≤ weight.

    Zero means that the step is made in the shadow alone: pairs accumulate, nobody is served.
    """
    return math.floor(weight / (1 - weight) * stable + 1e-9)


def decide_replicas(
    replicas: int, status: ModelDeploymentStatus, pods: Mapping[str, PodsView], now: datetime, *, scoring: int = 1
) -> Replicas:
    """What must run for the rollout state in ``status``; stable never shrinks for a canary's sake.

    Args:
        scoring: so many pods of a canary at least score requests, in whatever track.
    """
    wanted: dict[tuple[str, Track], int] = {}
    beside = replicas
    if warm := warm_previous(status, now):
        wanted[warm.version, "shadow"] = 1
    if status.canary:
        name, weight = status.canary.version, status.canary.weight
        seen = pods.get(name, PodsView())
        shadow_alone = not canary_replicas(replicas, weight)
        if shadow_alone and status.stable:
            beside = max(replicas, _held(weight, seen, pods.get(status.stable.version, PodsView())))
        if live := canary_replicas(beside, weight):
            wanted[name, "live"] = live
        # live pods that are not ready score nothing: until they are, those in the shadow stay
        if shadow := max(scoring - min(live, seen.ready_live), int(shadow_alone)):
            wanted[name, "shadow"] = shadow
    for served in (status.stable, status.incoming):
        if served:
            wanted[served.version, "live"] = beside if served is status.stable else replicas
            wanted.pop((served.version, "shadow"), None)
    return wanted


def _held(weight: float, canary: PodsView, stable: PodsView) -> int:
    """Stable pods that stay until the canary's shadow is ready: so many that one live pod of it may stay beside them.

    That is for a canary that has served, and with fewer replicas has to go on in the shadow alone; else 0.
    """
    fewest = math.ceil((1 - weight) / weight - 1e-9)
    return fewest if canary.ready_live and not canary.ready_shadow and stable.ready_live >= fewest else 0


def decide_peer(status: ModelDeploymentStatus, now: datetime) -> str | None:
    """The version behind ``<model>-canary``: the one that scores every request beside the stable one."""
    stable = status.stable.version if status.stable else None
    warm = warm_previous(status, now)
    for version in (
        status.incoming.version if status.incoming else None,
        status.canary.version if status.canary else None,
        warm.version if warm else None,
    ):
        if version and version != stable:
            return version
    return None
