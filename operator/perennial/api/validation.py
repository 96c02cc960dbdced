"""What is wrong with a resource, in its author's terms: old API servers let through what newer ones refuse."""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from perennial.api.base import FIELD_ERROR, Spec
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_version import ModelVersionSpec
from perennial.api.retrain_policy import RetrainPolicySpec

S = TypeVar("S", bound=Spec)
_LONGEST_VALUE = 60


class InvalidSpec(ValueError):  # noqa: N818 - a state of the resource, as its condition names it
    """A resource cannot be acted on. Each message is one line: the field as in YAML, its value, and what to do."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = tuple(messages)


def parse_spec(model: type[S], raw: Mapping[str, Any] | None) -> S:
    """The spec of a resource, as the cluster or a file has it.

    Raises:
        InvalidSpec: with a message for each fault.
    """
    try:
        return model.model_validate(dict(raw or {}), by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise InvalidSpec([_message(model, detail) for detail in details]) from None


def not_implemented(spec: Spec) -> list[str]:
    """The fields that are set and have no effect yet: one sentence each, for the condition ``NotImplemented``."""
    if isinstance(spec, ModelDeploymentSpec):
        return _deployment_not_implemented(spec)
    if isinstance(spec, RetrainPolicySpec):
        return _metric_not_implemented(spec.promotion.metric.type)
    return _metric_not_implemented(spec.promotion.metric.type) if isinstance(spec, ModelVersionSpec) else []


def _deployment_not_implemented(spec: ModelDeploymentSpec) -> list[str]:
    found = []
    if spec.traffic.provider != "Replicas":
        found.append(f"spec.traffic.provider: {spec.traffic.provider} does not move traffic yet: use Replicas")
    if spec.artifacts and spec.artifacts.deletion_policy == "Delete":
        found.append("spec.artifacts.deletionPolicy: Delete does not remove files yet: use Retain")
    return found


def _metric_not_implemented(type_: str) -> list[str]:
    if type_ != "Composite":
        return []
    return ["spec.promotion.metric.type: Composite cannot be computed yet: use WinRate or AverageReward"]


def _message(model: type[BaseModel], detail: ErrorDetails) -> str:
    location = detail["loc"]
    path = _path(location)
    kind, text = detail["type"], detail["msg"]
    if kind == FIELD_ERROR:
        context = detail["ctx"]
        return f"{path}.{context['field']}: {context['value']} {context['problem']}"
    if kind == "extra_forbidden":
        return f"{path}: unknown field: {_advice(str(location[-1]), _fields_at(model, location[:-1]))}"
    if kind == "missing":
        return f"{path}: is required and missing: add it"
    if kind == "value_error":
        return f"{path}: {text.removeprefix('Value error, ')}"
    return f"{path}: {_shown(detail['input'])} {_predicate(kind, text)}"


def _predicate(kind: str, text: str) -> str:
    """What is said of the value; pydantic's sentences have the input for a subject: "Input should be less than 1"."""
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "should be an object, with fields of its own"
    text = re.sub(r"^(Input|String|List|Tuple|Dictionary) ", "", text)
    return text[:1].lower() + text[1:].replace(" after validation", "")


def _path(location: Sequence[str | int]) -> str:
    named = (part for part in location if part != "[key]")  # pydantic's mark for the key of a mapping
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in named)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _advice(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here are {', '.join(sorted(known))}"


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The YAML names of the fields of the object at a location."""
    for part in location:
        field = {_yaml_name(name, info): info for name, info in model.model_fields.items()}.get(str(part))
        inner = _model_in(field.annotation) if field else None
        if inner is not None:
            model = inner
    return [_yaml_name(name, info) for name, info in model.model_fields.items()]


def _yaml_name(name: str, info: FieldInfo) -> str:
    return info.alias or name


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in found if model is not None), None)
