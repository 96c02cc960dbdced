"""From a ModelVersion to the Job that trains it."""

from dataclasses import dataclass
from typing import Any

from perennial.api.model_version import Resolved
from perennial.api.shared import SecretKeyRef
from perennial.resources import names
from perennial.resources.pods import (
    build_container_security,
    build_environment,
    build_files,
    build_mounts,
    build_pod_security,
    build_resources,
    build_volumes,
    cpu_threads,
    store_root,
)
from perennial_contract.task import ArtifactRef, EvaluationRule, TrainingTask, VersionRef

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at training a version."""

    version: Object
    """The ModelVersion, as the owner."""
    model: str
    model_uid: str
    resolved: Resolved
    job: str
    write_url_from: SecretKeyRef
    default_image: str
    brought: ArtifactRef | None = None

    @property
    def namespace(self) -> str:
        return str(self.version["metadata"]["namespace"])

    @property
    def name(self) -> str:
        return str(self.version["metadata"]["name"])


def build_task(attempt: Attempt) -> TrainingTask:
    """The task: the same for every attempt at a version."""
    resolved = attempt.resolved
    training = resolved.training
    return TrainingTask(
        version=VersionRef(
            namespace=attempt.namespace,
            model=attempt.model,
            model_uid=attempt.model_uid,
            name=attempt.name,
            uid=attempt.version["metadata"]["uid"],
            revision=resolved.revision,
        ),
        algorithm=resolved.algorithm,
        samples=resolved.samples,
        decision=resolved.decision,
        until=resolved.started_at,
        data_window=training.data_window,
        holdout=training.holdout,
        evaluation=EvaluationRule(
            metric=resolved.promotion.metric,
            confidence=resolved.promotion.confidence,
            previous_holdout_until=resolved.previous_holdout_until,
        ),
        regime=resolved.regime,
        seed=training.seed,
        threads=cpu_threads(training.resources),
        store=store_root(resolved.artifacts),
        champion=resolved.champion,
        warm_start=training.warm_start,
        brought=attempt.brought,
    )


def build_task_config_map(attempt: Attempt) -> Object:
    """The task as a file."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(attempt, f"{attempt.name}-task"),
        "data": {"task.json": build_task(attempt).to_json()},
    }


def build_job(attempt: Attempt) -> Object:
    """The Job. Attempts are Jobs of their own, so Kubernetes itself never retries."""
    resolved = attempt.resolved
    training, artifacts = resolved.training, resolved.artifacts
    labels = names.labels_for(attempt.model, attempt.name)
    container = {
        "name": "trainer",
        "image": training.image or attempt.default_image,
        "env": [{"name": "OMP_NUM_THREADS", "value": str(cpu_threads(training.resources))}],
        "envFrom": build_environment(artifacts),
        "resources": build_resources(training.resources),
        "securityContext": build_container_security(),
        "volumeMounts": build_mounts(artifacts, writes=True),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    files = build_files(f"{attempt.name}-task", "task.json", {"samples-url": attempt.write_url_from})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(attempt, attempt.job),
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(training.timeout.total_seconds()),
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": build_pod_security(),
                    "containers": [container],
                    "volumes": build_volumes(artifacts, files),
                },
            },
        },
    }


def _metadata(attempt: Attempt, name: str) -> Object:
    return {
        "name": name,
        "namespace": attempt.namespace,
        "labels": names.labels_for(attempt.model, attempt.name),
        "ownerReferences": [names.owner_reference("ModelVersion", attempt.version)],
    }
