"""The three kinds' schemas and models side by side, a spec with no more than it needs, and ways to change one."""

from collections.abc import Iterator
from typing import Any

from tests.unit.api.apiserver import defaulted, faults

from perennial.api.crd import KINDS
from perennial.api.schema import spec_schema
from perennial.api.validation import InvalidSpec, parse_spec

SPECS = {kind.kind: spec_schema(kind.spec) for kind in KINDS}
MODELS = {kind.kind: kind.spec for kind in KINDS}
SECRET = {"name": "samples-store", "key": "read"}
MINIMAL: dict[str, dict[str, Any]] = {
    "ModelDeployment": {
        "algorithm": {"name": "xgboost"},
        "samples": {"readUrlFrom": SECRET, "writeUrlFrom": SECRET, "labelDelay": "5h"},
    },
    "RetrainPolicy": {},
    "ModelVersion": {"modelDeployment": "btc"},
}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


def merged(value: Any, change: Any) -> Any:
    """A merge patch: nulls remove."""
    if not isinstance(change, dict) or not isinstance(value, dict):
        return change
    result = {key: item for key, item in value.items() if key not in change}
    return result | {key: merged(value.get(key), item) for key, item in change.items() if item is not None}


def at(path: str, value: Any) -> Any:
    """``at("a.b", 1)`` is ``{"a": {"b": 1}}``."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def refused_by_api(kind: str, spec: dict[str, Any]) -> list[str]:
    return faults(SPECS[kind], defaulted(SPECS[kind], spec))


def refused_by_model(kind: str, spec: dict[str, Any]) -> list[str]:
    try:
        parse_spec(MODELS[kind], spec)
    except InvalidSpec as error:
        return list(error.messages)
    return []
