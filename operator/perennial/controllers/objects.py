"""The three kinds as the API server gives them, parsed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import ValidationError

from perennial.api.base import Spec, Status
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import ModelDeploymentStatus
from perennial.api.model_version import IN_FLIGHT, ModelVersionSpec, ModelVersionStatus
from perennial.api.retrain_policy import RetrainPolicySpec, RetrainPolicyStatus
from perennial.api.validation import InvalidSpec, parse_spec
from perennial.domain.rollout_draft import VersionView
from perennial.domain.traffic import PodsView
from perennial.domain.version import JobView
from perennial.resources import names
from perennial_contract.report import JobSummary

Object = dict[str, Any]
EMPTY = "(empty)"
"""What an annotation without a value is acknowledged as."""


class Unchanging(dict[str, Any]):
    """A body that nobody will ever change: it is parsed once, however often it is looked at."""

    parsed: Any = None


S = TypeVar("S", bound=Spec)
T = TypeVar("T", bound=Status)


@dataclass(frozen=True, slots=True)
class Parsed(Generic[S, T]):
    """An object, its spec (None: invalid, and `problem` says why) and its status."""

    body: Object
    spec: S | None
    status: T
    problem: str | None = None

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.body["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        return str(self.body["metadata"]["uid"])

    @property
    def generation(self) -> int:
        return int(self.body["metadata"].get("generation", 0))

    @property
    def created_at(self) -> datetime:
        return datetime.fromisoformat(self.body["metadata"]["creationTimestamp"])

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.body["metadata"].get("annotations") or {}

    @property
    def labels(self) -> Mapping[str, str]:
        return self.body["metadata"].get("labels") or {}

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.body["metadata"]


Model = Parsed[ModelDeploymentSpec, ModelDeploymentStatus]
Policy = Parsed[RetrainPolicySpec, RetrainPolicyStatus]
Version = Parsed[ModelVersionSpec, ModelVersionStatus]


def _parse(body: Object, spec: type[S], status: type[T]) -> Parsed[S, T]:
    if not isinstance(body, Unchanging):
        return _parse_anew(body, spec, status)
    if body.parsed is None:
        body.parsed = _parse_anew(body, spec, status)
    found: Parsed[S, T] = body.parsed
    return found


def _parse_anew(body: Object, spec: type[S], status: type[T]) -> Parsed[S, T]:
    state = status.model_validate(body.get("status") or {})
    try:
        return Parsed(body, parse_spec(spec, body.get("spec") or {}), state)
    except InvalidSpec as error:
        return Parsed(body, None, state, str(error))


def parse_model(body: Object) -> Model:
    """A ModelDeployment."""
    return _parse(body, ModelDeploymentSpec, ModelDeploymentStatus)


def parse_policy(body: Object) -> Policy:
    """A RetrainPolicy."""
    return _parse(body, RetrainPolicySpec, RetrainPolicyStatus)


def parse_version(body: Object) -> Version:
    """A ModelVersion."""
    return _parse(body, ModelVersionSpec, ModelVersionStatus)


def belongs_to(body: Object, uid: str) -> bool:
    """Whether the object was made for the owner with this UID: a name or a label could be anybody's."""
    return any(owner["uid"] == uid for owner in body["metadata"].get("ownerReferences") or [])


def owned_by(body: Object, model: Model) -> bool:
    """Whether it serves for this very model."""
    return belongs_to(body, model.uid) and names.TRACK in body["metadata"]["labels"]


def view_version(version: Version) -> VersionView:
    """What a rollout needs to know of it."""
    status, spec = version.status, version.spec
    automatic = spec is not None and spec.promotion.approval == "Automatic"
    return VersionView(
        name=version.name,
        uid=version.uid,
        revision=status.resolved.revision if status.resolved else 0,
        phase=status.phase,
        servable=status.resolved is not None and status.artifact is not None,
        decision=status.verdict.decision if status.verdict else None,
        lift=status.evaluation.lift if status.evaluation else None,
        priority=spec.trigger.priority if spec else "Low",
        champion_uid=status.resolved.champion.uid if status.resolved and status.resolved.champion else None,
        approved=automatic or status.approval == "Approved",
        asked=_asked(version),
    )


def _asked(version: Version) -> Literal["abort", "promote"] | None:
    if unacknowledged(version, "abort") is not None:
        return "abort"
    return "promote" if unacknowledged(version, "promote") is not None else None


def asked_by(asker: Parsed[S, T], annotation: str) -> str | None:
    """An annotation's value. An empty one asks no less, by another name: a status holds no empty text."""
    value = asker.annotations.get(annotation)
    return EMPTY if value == "" else value


def unacknowledged(version: Version, verb: str) -> str | None:
    """The value of a one-shot annotation that was not acted on yet."""
    value = asked_by(version, names.ONE_SHOT[verb])
    return value if value is not None and version.status.acknowledged.get(verb) != value else None


def in_flight(version: Version) -> bool:
    """Pending to Canary, awaiting approval included; just created counts."""
    return version.status.phase is None or version.status.phase in IN_FLIGHT


_FAILING = frozenset({"CrashLoopBackOff", "CreateContainerError", "RunContainerError", "InvalidImageName"})


def view_pods(deployments: Sequence[Object], pods: Sequence[Object]) -> dict[str, PodsView]:
    """Ready and failing pods by version; pods of its training are no concern of those who serve."""
    ready: dict[tuple[str, str], int] = {}
    for deployment in deployments:
        labels, status = deployment["metadata"]["labels"], deployment.get("status", {})
        ready[labels[names.VERSION], labels[names.TRACK]] = status.get("readyReplicas", 0)
    serving = [p for p in pods if names.TRACK in p["metadata"]["labels"]]
    broken = {p["metadata"]["labels"][names.VERSION]: failure for p in serving if (failure := _failure(p))}
    versions = {version for version, _ in ready} | set(broken)
    return {v: PodsView(ready.get((v, "live"), 0), ready.get((v, "shadow"), 0), broken.get(v)) for v in versions}


def _failure(pod: Object) -> str | None:
    """What a failing container says. One exit is no failure: it may be the node's, which evicted it or started anew."""
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"] or status.get("phase") == "Failed":
        return None
    for container in status.get("containerStatuses") or []:
        state, before = container.get("state", {}), container.get("lastState", {}).get("terminated") or {}
        waits = state.get("waiting") or {}
        waiting, ended = waits.get("reason"), state.get("terminated") or before
        code = ended.get("exitCode", 0)
        loops = "terminated" in state and code != 0 and container.get("restartCount", 0) >= 1
        if waiting in _FAILING or loops:
            said = next((m for m in (ended.get("message"), before.get("message"), waits.get("message")) if m), "")
            lines = str(said).strip().splitlines()
            what = f"{waiting or ended.get('reason') or 'Error'}{f', exit code {code}' if code else ''}"
            return f"fails ({what})" + (f": {lines[-1][:300]}" if lines else "")
    return None


def ready_addresses(pods: Sequence[Object], version: str) -> list[str]:
    """Where a version's serving pods are reached, in whatever track."""
    statuses = [
        pod.get("status", {})
        for pod in pods
        if names.TRACK in pod["metadata"]["labels"] and pod["metadata"]["labels"][names.VERSION] == version
    ]
    return [
        status["podIP"]
        for status in statuses
        if "podIP" in status
        and any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or [])
    ]


def view_job(job: Object | None, pods: Sequence[Object]) -> JobView:
    """The attempt's Job, with what its container said last."""
    if job is None:
        return JobView("Missing")
    status = job.get("status", {})
    ended = {c["type"]: c for c in status.get("conditions") or [] if c.get("status") == "True"}
    started = _time(status.get("startTime"))
    last = _terminated(pods)
    if "Complete" in ended:
        return JobView("Succeeded", "", 0, "", started, _time(status.get("completionTime")))
    if "Failed" in ended:
        reason = ended["Failed"].get("reason", "")
        said = _said(last) if reason != "DeadlineExceeded" else ""
        return JobView(
            "Failed",
            "" if reason == "BackoffLimitExceeded" else reason,
            last.get("exitCode") if reason != "DeadlineExceeded" else None,
            said or str(ended["Failed"].get("message", "")),
            started,
            _time(ended["Failed"].get("lastTransitionTime")),
        )
    return JobView("Running", started_at=started)


def _said(terminated: Object) -> str:
    """The error of the summary that a trainer leaves; another one's last words as they are."""
    text = str(terminated.get("message") or "").strip()
    try:
        return JobSummary.model_validate_json(text).error or ""
    except ValidationError:
        return text


def _terminated(pods: Sequence[Object]) -> Object:
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses") or []:
            terminated: Object | None = container.get("state", {}).get("terminated")
            if terminated:
                return terminated
    return {}


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
