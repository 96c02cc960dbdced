"""What serving pods and training pods have in common: non-root, read-only, and the same files in the same places."""

from typing import Any

from perennial.api.shared import Artifacts, Resources, SecretKeyRef
from perennial_contract.task import ARTIFACTS_MOUNT

Object = dict[str, Any]
USER = 65532


def store_root(artifacts: Artifacts) -> str:
    """The artifact store's root as trainers and servers see it."""
    return artifacts.url.rstrip("/") if artifacts.url else f"file://{ARTIFACTS_MOUNT}"


def build_pod_security() -> Object:
    """Security context of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def build_container_security() -> Object:
    """Security context of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def build_files(config_map: str, file: str, secrets: dict[str, SecretKeyRef]) -> Object:
    """One projected volume at ``/etc/perennial``: the document, and secrets below ``secrets/``."""
    sources: list[Object] = [{"configMap": {"name": config_map, "items": [{"key": file, "path": file}]}}]
    sources += [
        {"secret": {"name": ref.name, "items": [{"key": ref.key, "path": f"secrets/{path}"}]}}
        for path, ref in sorted(secrets.items())
    ]
    return {"name": "perennial", "projected": {"sources": sources}}


def build_volumes(artifacts: Artifacts, files: Object) -> list[Object]:
    """The files, a place for temporary ones, and the artifact store when it is a claim."""
    volumes: list[Object] = [files, {"name": "tmp", "emptyDir": {}}]
    if artifacts.claim_name:
        volumes.append({"name": "artifacts", "persistentVolumeClaim": {"claimName": artifacts.claim_name}})
    return volumes


def build_mounts(artifacts: Artifacts, *, writes: bool) -> list[Object]:
    """Where the volumes appear; only training writes artifacts."""
    mounts: list[Object] = [
        {"name": "perennial", "mountPath": "/etc/perennial", "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own emptyDir
    ]
    if artifacts.claim_name:
        mounts.append({"name": "artifacts", "mountPath": ARTIFACTS_MOUNT, "readOnly": not writes})
    return mounts


def build_environment(artifacts: Artifacts) -> list[Object]:
    """``envFrom`` with the object store's credentials, by reference."""
    return [{"secretRef": {"name": artifacts.credentials_from.name}}] if artifacts.credentials_from else []


def build_resources(resources: Resources | None) -> Object:
    """A container's resources, as declared."""
    if resources is None:
        return {}
    return {k: v for k, v in (("requests", resources.requests), ("limits", resources.limits)) if v}


def cpu_threads(resources: Resources | None) -> int:
    """Threads that a CPU limit carries: ``2`` → 2, ``1500m`` → 1; one when there is no limit, or a tiny one."""
    limit = str((resources.limits if resources else {}).get("cpu", "1"))
    parts = {"m": 1e3, "u": 1e6, "n": 1e9}
    cores = float(limit[:-1]) / parts[limit[-1]] if limit[-1] in parts else float(limit.rstrip("kMGTPE"))
    return max(1, int(cores))
