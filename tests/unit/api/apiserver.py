"""What an API server does with an object and a structural schema, as far as our CRDs need it: defaults, bounds, CEL."""

import copy
from collections.abc import Iterator
from typing import Any

from cel_expr_python import cel
from jsonschema import Draft4Validator

_ENVIRONMENT = cel.NewEnv(variables={"self": cel.Type.DYN, "oldSelf": cel.Type.DYN})


def evaluate(rule: str, value: Any, old: Any = None) -> bool:
    """The rule on the value. Raises when it does not compile, fails, or is neither true nor false."""
    result = _ENVIRONMENT.compile(rule).eval(data={"self": value, "oldSelf": old})
    if result.type().name() != "BOOL":
        raise ValueError(f"{rule!r} gives {result.value()!r}")
    return bool(result.value())


def defaulted(schema: dict[str, Any], value: Any) -> Any:
    """The value with defaults filled in, from the outside in."""
    if isinstance(value, dict):
        result = dict(value)
        for name, inner in schema.get("properties", {}).items():
            if name not in result and "default" in inner:
                result[name] = copy.deepcopy(inner["default"])
            if name in result:
                result[name] = defaulted(inner, result[name])
        return result
    if isinstance(value, list):
        return [defaulted(schema.get("items", {}), item) for item in value]
    return value


def faults(schema: dict[str, Any], value: Any, old: Any = None) -> list[str]:
    """Why the (defaulted) value is refused. CEL has its say only when all else is well, as in an API server."""
    found = [error.message for error in Draft4Validator(schema).iter_errors(value)]
    found += list(_unknown_or_repeated(schema, value))
    return found or list(_broken_rules(schema, value, old))


def _members(schema: dict[str, Any], value: Any) -> Iterator[tuple[dict[str, Any], Any, Any]]:
    """(schema, key, value) of each member; the key is the name or index."""
    if isinstance(value, dict):
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if inner is not None:
                yield inner, name, item
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield schema.get("items", {}), index, item


def _unknown_or_repeated(schema: dict[str, Any], value: Any) -> Iterator[str]:
    if isinstance(value, dict) and "properties" in schema and "additionalProperties" not in schema:
        yield from (f"{name} is unknown" for name in value if name not in schema["properties"])
    if schema.get("x-kubernetes-list-type") == "set" and len(set(value)) < len(value):
        yield f"{value} is a set and has duplicates"
    for inner, _, item in _members(schema, value):
        yield from _unknown_or_repeated(inner, item)


def _broken_rules(schema: dict[str, Any], value: Any, old: Any) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", []):
        if "oldSelf" in rule["rule"] and old is None:
            continue
        if not evaluate(rule["rule"], value, old):
            yield rule["message"]
    for inner, key, item in _members(schema, value):
        before = old.get(key) if isinstance(old, dict) and isinstance(key, str) else None
        yield from _broken_rules(inner, item, before)
