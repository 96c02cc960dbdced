"""From a version and a track to the objects that serve it."""

from dataclasses import dataclass
from typing import Any

from perennial.api.model_deployment import ModelDeploymentSpec, Server
from perennial.api.model_version import ArtifactStatus, Resolved
from perennial.resources import names
from perennial.resources.pods import (
    build_container_security,
    build_environment,
    build_files,
    build_mounts,
    build_pod_security,
    build_resources,
    build_volumes,
)
from perennial_contract.samples import Track
from perennial_contract.serving import ServerConfig
from perennial_contract.task import ArtifactRef

Object = dict[str, Any]
GRACE_SECONDS = 45
DRAIN_SECONDS = 20
ENDPOINTS_SECONDS = 5
"""What kube-proxy may need to forget a pod that is going: it serves on for so long."""


@dataclass(frozen=True, slots=True)
class Served:
    """A version that is to be served on a track."""

    model: Object
    """The ModelDeployment, as the owner."""
    spec: ModelDeploymentSpec
    version: str
    uid: str
    resolved: Resolved
    artifact: ArtifactStatus
    track: Track
    default_image: str

    @property
    def namespace(self) -> str:
        return str(self.model["metadata"]["namespace"])

    @property
    def model_name(self) -> str:
        return str(self.model["metadata"]["name"])

    @property
    def name(self) -> str:
        return names.serving_name(self.version, self.track)


def build_server_config(served: Served) -> ServerConfig:
    """What the server is told."""
    resolved, server = served.resolved, served.spec.server
    peers = tuple(
        f"http://{served.model_name}-{side}.{served.namespace}:{server.port}" for side in ("stable", "canary")
    )
    return ServerConfig(
        model=f"{served.namespace}/{served.model_name}",
        name=served.model_name,
        version=served.uid,
        version_name=served.version,
        track=served.track,
        algorithm=resolved.algorithm.name,
        artifact=ArtifactRef(uri=served.artifact.uri, digest=served.artifact.digest),
        samples=resolved.samples,
        recorded_by=resolved.recorded_by,
        decision=resolved.decision,
        peers=peers,
        port=server.port,
        outcomes_port=server.outcomes.port if server.outcomes else None,
        drain_seconds=DRAIN_SECONDS,
    )


def identity_of(served: Served) -> str:
    """Digest of what was declared and of the artifact: an operator upgrade, with other defaults, rolls nothing."""
    server: Server = served.spec.server
    declared = server.model_dump(mode="json", by_alias=True, exclude={"replicas"}, exclude_defaults=True)
    samples = served.spec.samples
    return names.digest_of(
        [
            declared,
            build_server_config(served).model_dump(mode="json", by_alias=True, exclude_defaults=True),
            samples.write_url_from.model_dump(mode="json"),
            served.resolved.artifacts.model_dump(mode="json"),
        ]
    )


def build_config_map(served: Served) -> Object:
    """The server's document."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(served, f"{served.name}-server"),
        "data": {"server.json": build_server_config(served).to_json()},
    }


def build_deployment(served: Served, replicas: int) -> Object:
    """The pods of one version on one track. One Deployment a version and track: nothing rolls when weights move."""
    selector = names.labels_for(served.model_name, served.version, served.track)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(served, served.name),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": selector},
            "template": _pod_template(served, selector),
        },
    }


def _pod_template(served: Served, labels: dict[str, str]) -> Object:
    template = served.spec.server.pod_template or {}
    given_metadata, given_spec = template.get("metadata", {}), template.get("spec", {})
    return {
        "metadata": {
            "labels": {**given_metadata.get("labels", {}), **labels},
            "annotations": {**given_metadata.get("annotations", {}), names.IDENTITY: identity_of(served)},
        },
        "spec": {**given_spec, **_pod_spec(served)},
    }


def _pod_spec(served: Served) -> Object:
    server, samples = served.spec.server, served.spec.samples
    secrets = {"samples-url": samples.write_url_from}
    if server.outcomes:
        secrets["outcomes-token"] = server.outcomes.token_from
    artifacts = served.resolved.artifacts
    return {
        "securityContext": build_pod_security(),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "containers": [_container(served)],
        "volumes": build_volumes(artifacts, build_files(f"{served.name}-server", "server.json", secrets)),
    }


def _container(served: Served) -> Object:
    server = served.spec.server
    ports = [{"name": "http", "containerPort": server.port, "protocol": "TCP"}]
    if server.outcomes:
        ports.append({"name": "outcomes", "containerPort": server.outcomes.port, "protocol": "TCP"})
    return {
        "name": "server",
        "image": server.image or served.default_image,
        "ports": ports,
        "envFrom": build_environment(served.resolved.artifacts),
        "resources": build_resources(server.resources),
        "securityContext": build_container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": build_mounts(served.resolved.artifacts, writes=False),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(ENDPOINTS_SECONDS)]}}},
        "startupProbe": _probe("/v2/health/live", period=1, failures=120),
        "readinessProbe": _probe("/v2/health/ready", period=2, failures=2),
        "livenessProbe": _probe("/v2/health/live", period=10, failures=6),
    }


def _probe(path: str, *, period: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _metadata(served: Served, name: str) -> Object:
    return {
        "name": name,
        "namespace": served.namespace,
        "labels": names.labels_for(served.model_name, served.version, served.track),
        "annotations": {names.IDENTITY: identity_of(served)},
        "ownerReferences": [names.owner_reference("ModelDeployment", served.model)],
    }


def build_services(model: Object, spec: ModelDeploymentSpec, stable: str | None, peer: str | None) -> list[Object]:
    """The endpoint, and the two that servers know: `<model>-stable` and `<model>-canary`.

    The endpoint selects every live pod, whatever its version: weights are made by the number of pods alone. A side that
    has no version selects nothing, and so refuses connections at once.
    """
    name = model["metadata"]["name"]
    sides = {
        name: {names.MODEL: name, names.TRACK: "live"},
        f"{name}-stable": {names.MODEL: name, names.VERSION: stable or "none"},
        f"{name}-canary": {names.MODEL: name, names.VERSION: peer or "none"},
    }
    return [_service(model, spec, service, selector) for service, selector in sides.items()]


def _service(model: Object, spec: ModelDeploymentSpec, name: str, selector: dict[str, str]) -> Object:
    server = spec.server
    ports = [{"name": "http", "port": server.port, "targetPort": "http", "protocol": "TCP"}]
    if server.outcomes and name == model["metadata"]["name"]:
        ports.append({"name": "outcomes", "port": server.outcomes.port, "targetPort": "outcomes", "protocol": "TCP"})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": model["metadata"]["namespace"],
            "labels": names.labels_for(model["metadata"]["name"]),
            "annotations": {names.IDENTITY: names.digest_of([ports, selector])},
            "ownerReferences": [names.owner_reference("ModelDeployment", model)],
        },
        "spec": {"selector": selector, "ports": ports},
    }
