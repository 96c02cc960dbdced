"""The CustomResourceDefinitions: ``python -m perennial.api.crd [--check] DIRECTORY``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from perennial.api import GROUP, VERSION
from perennial.api.base import Spec, Status
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import ModelDeploymentStatus
from perennial.api.model_version import ModelVersionSpec, ModelVersionStatus
from perennial.api.retrain_policy import RetrainPolicySpec, RetrainPolicyStatus
from perennial.api.schema import Schema, spec_schema, status_schema
from perennial.api.shared import MODEL_NAME_LENGTH, MODEL_NAME_PATTERN

_HEADER = "# Generated from operator/perennial/api by `make crds`: change it there.\n"


class Column(NamedTuple):
    """A column of ``kubectl get``; with ``wide`` only of ``kubectl get -o wide``."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    wide: bool = False


class Kind(NamedTuple):
    """One of the three kinds."""

    kind: str
    short_name: str
    description: str
    spec: type[Spec]
    status: type[Status]
    name: Schema
    """What ``metadata.name`` must be, beyond what every object's name must be."""
    columns: tuple[Column, ...]

    @property
    def plural(self) -> str:
        """As in the URL."""
        return f"{self.kind.lower()}s".replace("policys", "policies")


def _condition(type_: str, what: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{what}'


_READY = Column("Ready", _condition("Ready"), description="Whether what is declared is what runs.")
_MESSAGE = Column("Message", _condition("Ready", "message"), wide=True)
_AGE = Column("Age", ".metadata.creationTimestamp", "date")

MODEL_DEPLOYMENT = Kind(
    "ModelDeployment",
    "mdep",
    "A model that is served, watched and kept fresh.",
    ModelDeploymentSpec,
    ModelDeploymentStatus,
    {"type": "string", "maxLength": MODEL_NAME_LENGTH, "pattern": MODEL_NAME_PATTERN},
    (
        Column("Phase", ".status.phase"),
        Column("Stable", ".status.stable.version", description="The version that serves."),
        Column("Canary", ".status.canary.version", description="The challenger on its way."),
        Column("Weight", ".status.canary.weight", "number", "The canary's share of traffic."),
        Column("Health", ".status.health.state"),
        Column("Drift", ".status.drift.state"),
        Column("Win Rate", ".status.health.winRate.value", "number", "Of the version that serves, over health.window."),
        _READY,
        _AGE,
        Column("Algorithm", ".spec.algorithm.name", wide=True),
        Column("Outcomes", ".status.health.winRate.outcomes", "integer", "That the win rate rests on.", wide=True),
        Column("Endpoint", ".status.endpoint", wide=True),
        _MESSAGE,
    ),
)
RETRAIN_POLICY = Kind(
    "RetrainPolicy",
    "rpol",
    "When models are retrained, in which order, and what a new version must show.",
    RetrainPolicySpec,
    RetrainPolicyStatus,
    {"type": "string", "maxLength": 63},
    (
        Column("Mode", ".spec.mode"),
        Column("Models", ".status.models", "integer", "How many it governs."),
        Column("Plan", ".status.plan.id"),
        Column("Next", ".status.nextScheduleTime", description="When the schedule is next due."),
        _READY,
        _AGE,
        Column("Suspended", ".spec.suspend", "boolean", wide=True),
        Column("Takes", ".status.plan.estimatedDuration", description="The plan, as estimated.", wide=True),
        _MESSAGE,
    ),
)
MODEL_VERSION = Kind(
    "ModelVersion",
    "mver",
    "One attempt at a better model: why, on what data, with what result.",
    ModelVersionSpec,
    ModelVersionStatus,
    # 8 characters are left for what is named after it: its Jobs' attempts, its shadow's Deployment
    {"type": "string", "maxLength": 55, "pattern": MODEL_NAME_PATTERN},
    (
        Column("Model", ".spec.modelDeployment"),
        Column("Phase", ".status.phase"),
        Column("Verdict", ".status.verdict.decision"),
        Column("Lift", ".status.evaluation.lift", "number", "Over the champion, on the same holdout."),
        Column("Reason", ".spec.trigger.reason", description="Why it was trained."),
        _AGE,
        Column("Priority", ".spec.trigger.priority", wide=True),
        Column("Outcomes", ".status.evaluation.outcomes", "integer", "Holdout rows.", wide=True),
        Column("Because", ".status.verdict.reason", description="The verdict's reason.", wide=True),
        _MESSAGE,
    ),
)
KINDS = (MODEL_DEPLOYMENT, RETRAIN_POLICY, MODEL_VERSION)


def build_crd(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    schema = {
        "description": kind.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"{GROUP}/{VERSION}", "type": "string"},
            "kind": {"description": kind.kind, "type": "string"},
            "metadata": {"type": "object", "properties": {"name": kind.name}},
            "spec": spec_schema(kind.spec),
            "status": status_schema(kind.status),
        },
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_printer_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "perennial", "app.kubernetes.io/part-of": "perennial"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short_name],
                "categories": ["perennial"],
            },
            "versions": [version],
        },
    }


def _printer_column(column: Column) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        found["description"] = column.description
    return {**found, "priority": 1} if column.wide else found


class _Dumper(yaml.SafeDumper):
    """YAML without anchors: what is the same in two places is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def render_crds() -> dict[str, str]:
    """File name → text, the same on every machine."""
    return {
        f"{kind.plural}.yaml": _HEADER
        + yaml.dump(build_crd(kind), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
        for kind in KINDS
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the CRDs, or with --check says which of them are not what they should be."""
    parser = argparse.ArgumentParser(prog="python -m perennial.api.crd", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not up to date")
    options = parser.parse_args(arguments)
    stale = []
    for name, text in render_crds().items():
        path: Path = options.directory / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{path}: is not up to date: run `make crds`" if options.check else f"{path}: written", file=sys.stderr)
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
