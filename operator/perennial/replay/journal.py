"""What happened in a replay, as the operator tells of it: Events, and the statuses that they are about."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from perennial.adapters.cluster import EVENT, MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY, Kind, Object
from perennial.api.model_deployment_status import DriftStatus
from perennial.controllers.objects import parse_version
from perennial.replay.report import FeatureDrift


@dataclass(slots=True)
class Entry:
    """One thing that happened."""

    at: datetime
    model: str | None
    """namespace/name; None for what concerns a policy's whole book."""
    kind: str
    """Trigger, or the reason of the Event."""
    reason: str
    message: str
    version: str | None = None
    about: str = ""
    """The kind that the Event is about."""
    warning: bool = False


@dataclass(slots=True)
class Stay:
    """A stretch of time in which a version was stable, or a canary at one weight."""

    version: str
    since: datetime
    weight: float
    until: datetime | None = None


class Journal:
    """Listens to the simulated cluster."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.entries: list[Entry] = []
        self.versions: dict[str, Object] = {}
        """The last state of every version, by UID, in the order in which they came to be."""
        self.stable: dict[str, list[Stay]] = {}
        """By model."""
        self.judged: dict[str, str] = {}
        """Version and end of the last window that was judged, by model."""
        self.canaries: dict[str, list[Stay]] = {}
        self.drift: dict[str, list[FeatureDrift]] = {}
        """Of each window that was judged, by model."""

    def restore_versions(self, versions: dict[str, Object]) -> None:
        """Those of a run that was interrupted."""
        self.versions.update(versions)

    def notice(self, kind: Kind, body: Object, gone: bool) -> None:
        """An object was written, or an Event told."""
        if kind is EVENT:
            self._event(body)
        elif kind is MODEL_VERSION and not gone:
            self._version(body)
        elif kind is MODEL_DEPLOYMENT and not gone:
            self._rollout(body)

    def _event(self, body: Object) -> None:
        about = body["involvedObject"]
        name, namespace = about["name"], about["namespace"]
        version = None
        model: str | None = f"{namespace}/{name}"
        if about["kind"] == MODEL_VERSION.kind:
            known = self.versions.get(about["uid"])
            version, model = name, f"{namespace}/{known['spec']['modelDeployment']}" if known else None
        elif about["kind"] == RETRAIN_POLICY.kind:
            model = None
        reason, warning = body["reason"], body["type"] == "Warning"
        self.entries.append(Entry(self._now(), model, reason, reason, body["message"], version, about["kind"], warning))

    def _version(self, body: Object) -> None:
        metadata = body["metadata"]
        if metadata["uid"] not in self.versions:
            spec = parse_version(body).spec
            if spec:
                model, trigger = f"{metadata['namespace']}/{spec.model_deployment}", spec.trigger
                said = f"{trigger.priority}: {trigger.message}" if trigger.message else trigger.priority
                self.entries.append(Entry(self._now(), model, "Trigger", trigger.reason, said, metadata["name"]))
        self.versions[metadata["uid"]] = body

    def _rollout(self, body: Object) -> None:
        model, status = f"{body['metadata']['namespace']}/{body['metadata']['name']}", body.get("status", {})
        stable, canary = status.get("stable"), status.get("canary")
        self._move(self.stable.setdefault(model, []), stable["version"] if stable else None, 1.0)
        weight = canary["weight"] if canary else 0.0
        self._move(self.canaries.setdefault(model, []), canary["version"] if canary else None, weight)
        if status.get("drift", {}).get("features"):
            self._drifts(model, DriftStatus.model_validate(status["drift"]))

    def _drifts(self, model: str, drift: DriftStatus) -> None:
        """A window judged: once for each version that it was held against."""
        judged = f"{drift.version} {drift.window_until}"
        if drift.window_until is None or self.judged.get(model) == judged:
            return
        self.judged[model] = judged
        self.drift.setdefault(model, []).extend(
            FeatureDrift(at=drift.window_until, feature=f.name, psi=f.psi, drifted=f.sign is not None)
            for f in drift.features
        )

    def _move(self, stays: list[Stay], version: str | None, weight: float) -> None:
        last = stays[-1] if stays and stays[-1].until is None else None
        if last and (last.version, last.weight) == (version, weight):
            return
        if last:
            last.until = self._now()
        if version:
            stays.append(Stay(version, self._now(), weight))
