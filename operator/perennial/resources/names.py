"""Names, labels and owners of everything that we create."""

import hashlib
import json
from typing import Any

from perennial.api import API_VERSION
from perennial_contract.samples import Track

Object = dict[str, Any]

MODEL = "perennial.dev/model"
VERSION = "perennial.dev/version"
TRACK = "perennial.dev/track"
POLICY = "perennial.dev/policy"
IDENTITY = "perennial.dev/identity"
"""Annotation: digest of the declared fields that an object was made from."""
FINALIZER = "perennial.dev/rollout"
RETRAIN = "perennial.dev/retrain"
"""Annotation on a RetrainPolicy: a new token asks for a retrain of its models."""
ONE_SHOT = {verb: f"perennial.dev/{verb}" for verb in ("approve", "reject", "abort", "promote")}
"""Annotations on a ModelVersion, acknowledged in its status."""


def labels_for(model: str, version: str | None = None, track: Track | None = None) -> dict[str, str]:
    """The labels by which an object is found again."""
    labels = {"app.kubernetes.io/managed-by": "perennial", MODEL: model}
    if version:
        labels[VERSION] = version
    if track:
        labels[TRACK] = track
    return labels


def serving_name(version: str, track: Track) -> str:
    """The Deployment of one version on one track."""
    return version if track == "live" else f"{version}-shadow"


def version_name(model: str, revision: int) -> str:
    """The name is the lock: two plans cannot create the same revision."""
    return f"{model}-v{revision}"


def revision_of(model: str, name: str) -> int | None:
    """``m-v7`` → 7; None for a name that is not of that form."""
    prefix, _, number = name.rpartition("-v")
    return int(number) if prefix == model and number.isdecimal() and int(number) > 0 else None


def owner_reference(kind: str, owner: Object) -> Object:
    """The owner whose deletion takes the object along."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def digest_of(value: object) -> str:
    """SHA-256 of a JSON value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
