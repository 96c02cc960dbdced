"""Who may train: the operator's slots and the policies' lanes, taken before a Job starts and given back after it."""

from collections.abc import Collection
from typing import Literal

from perennial.api.model_version import ModelVersionStatus

WaitsFor = Literal["Lane", "OperatorLimit"]
"""What there is too little of: lanes of the version's policy, or slots of the operator."""


class Lanes:
    """The versions that train or are about to, of all policies.

    Nothing here awaits, so that two can't take the same lane. It follows from the versions' status: losing it at a
    restart costs one listing.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], str | None] = {}
        """(namespace, version) → the policy whose lane it is; None: made by hand, which takes a slot alone."""
        self._queued: set[tuple[str, str]] = set()
        """Those that wait for a slot: a plan does not take it from under them."""

    def holds(self, namespace: str, version: str) -> bool:
        """Whether the version has a lane."""
        return (namespace, version) in self._held

    def note(self, namespace: str, version: str, policy: str | None) -> None:
        """It trains, whatever there is room for."""
        self._held[namespace, version] = policy
        self._queued.discard((namespace, version))

    def take(self, namespace: str, version: str, policy: str | None, lanes: int | None, slots: int) -> WaitsFor | None:
        """A lane for a version that would start now; what it has to wait for when there is none.

        Args:
            lanes: how many the policy has; None: no policy limits it.
            slots: how many versions may train at a time, of all policies.
        """
        place = (namespace, version)
        if place in self._held:
            return None
        beside = sum(by == policy and where == namespace for (where, _), by in self._held.items())
        if policy is not None and lanes is not None and beside >= lanes:
            return "Lane"
        if len(self._held) >= slots:
            self._queued.add(place)
            return "OperatorLimit"
        self.note(*place, policy)
        return None

    def release(self, namespace: str, version: str) -> None:
        """It trains no more, or can't start."""
        self._held.pop((namespace, version), None)
        self._queued.discard((namespace, version))

    def busy(self, namespace: str, following: Collection[str]) -> int:
        """Slots that a plan can't fill: all that are held or queued for, save by the versions that it is to create."""
        return sum(not (where == namespace and name in following) for where, name in self._held.keys() | self._queued)


def trains(status: ModelVersionStatus) -> bool:
    """Whether a Job of the version runs, or is about to be made."""
    return status.phase == "Training" and status.job is not None and status.job.state == "Running"
