"""What several kinds have in common: references, conditions, Kubernetes fragments that pass through."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema, model_validator

from perennial.api.base import Rule, Spec, Status, field_error

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
"""A DNS label."""
ObjectName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]
"""The name of a Secret, a PersistentVolumeClaim …"""
MODEL_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
MODEL_NAME_LENGTH = 40
ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN, min_length=1, max_length=MODEL_NAME_LENGTH)]
"""The name of a ModelDeployment: Services, Jobs and versions are named after it, which takes room."""
Image = Annotated[str, StringConstraints(pattern=r"^\S+$", min_length=1, max_length=1024)]
"""A container image."""


def _rfc3339(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if value.microsecond else value.strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[
    datetime,
    PlainSerializer(_rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A UTC time."""

Passthrough = Annotated[
    dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]
"""A fragment of a Kubernetes object that we hand on as it is."""


_QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$"


def _parse_quantity(value: object) -> object:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(_QUANTITY_PATTERN, text):
        raise ValueError(f"{value!r} is no quantity: write a number or text such as 500m or 4Gi")
    return text


Quantity = Annotated[
    str,
    BeforeValidator(_parse_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": _QUANTITY_PATTERN,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""An amount as Kubernetes writes it: ``2``, ``500m``, ``4Gi``."""


class SecretKeyRef(Spec):
    """One key of a Secret in the same namespace."""

    name: ObjectName
    """The Secret."""
    key: str = Field(min_length=1, max_length=253)
    """The key in it."""


class SecretRef(Spec):
    """A Secret in the same namespace."""

    name: ObjectName
    """The Secret."""


class Artifacts(Spec):
    """Where versions are archived: a PersistentVolumeClaim or an S3-compatible store."""

    cel_rules = (
        Rule("has(self.claimName) != has(self.url)", "set exactly one of claimName and url"),
        Rule(
            "has(self.url) || !has(self.credentialsFrom)",
            "credentialsFrom goes with url: remove it, or set url instead of claimName",
            ".credentialsFrom",
        ),
    )

    claim_name: ObjectName | None = None
    """A PersistentVolumeClaim in the same namespace."""
    url: str | None = Field(default=None, pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$", max_length=1024)
    """``s3://bucket/prefix``."""
    credentials_from: SecretRef | None = None
    """A Secret whose keys become environment variables: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL …"""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """Whether the files outlive the model."""

    @model_validator(mode="after")
    def _one_store(self) -> Self:
        if self.claim_name is None and self.url is None:
            raise field_error("claimName", "nothing", "is set, nor is url: set exactly one of the two")
        if self.claim_name is not None and self.url is not None:
            raise field_error("url", self.url, f"is set and claimName ({self.claim_name}) too: remove one of the two")
        if self.credentials_from is not None and self.url is None:
            raise field_error(
                "credentialsFrom", self.credentials_from.name, "goes with url: remove it, or set url for claimName"
            )
        return self


class Resources(Spec):
    """Compute resources of a container, as in a Pod."""

    requests: dict[str, Quantity] = Field(default_factory=dict, max_length=16)
    """What is set aside for it, as in {cpu: 500m, memory: 1Gi}."""
    limits: dict[str, Quantity] = Field(default_factory=dict, max_length=16)
    """What it may use at most."""


class Condition(Status):
    """A kstatus condition."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    observed_generation: int = 0
    last_transition_time: Time


class TrackStatus(Status):
    """One version and what it carries."""

    version: str
    uid: str
    weight: float
    ready_replicas: int = 0
