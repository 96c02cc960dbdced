"""From a pydantic model to the structural schema that an API server takes: no references, no nulls, defaults filled in.

A structural schema is stricter than JSON Schema: see "Specifying a structural schema" in the documentation of
CustomResourceDefinitions. What has no place in it is an error here, not a surprise at ``kubectl apply``.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from perennial.api.base import Rule
from perennial_contract.durations import format_duration

Schema = dict[str, Any]

_ORDER = ("description", "type", "format", "default", "enum", "pattern", "required", "properties")
_DROPPED = frozenset({"title", "$defs"})
_STATUS_KEEPS = frozenset(
    {"description", "type", "format", "enum", "properties", "items", "additionalProperties", "anyOf"}
    | {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"}
)
_CONDITION_NEEDS = ["type", "status", "reason", "lastTransitionTime"]


def spec_schema(model: type[BaseModel]) -> Schema:
    """The schema of what a user writes, with bounds, defaults and CEL rules."""
    return _structural(model.model_json_schema(schema_generator=_Generator))


def status_schema(model: type[BaseModel]) -> Schema:
    """The schema of what the operator writes: types and words only.

    A bound, a default or a required field would turn a status of an older or a newer operator into a 422, after which
    nothing about the object can be reported at all.
    """
    schema = _relaxed(_structural(model.model_json_schema(schema_generator=_Generator)))
    conditions = schema["properties"]["conditions"]
    conditions |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    conditions["items"] = _ordered({**conditions["items"], "required": _CONDITION_NEEDS})
    schema["properties"]["kopf"] = {
        "description": "What the operator's framework remembers.",
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
    }
    return schema


class _Generator(GenerateJsonSchema):
    """JSON Schema as pydantic writes it, save for what only pydantic knows: nulls, defaults as texts, CEL rules."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        default = _plain_default(schema.get("default"))
        inner = self.generate_inner(schema["schema"])
        return inner if default is None else {**inner, "default": default}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        result = super().model_schema(schema)
        rules = _rules(schema["cls"])
        return {**result, "x-kubernetes-validations": [_validation(rule) for rule in rules]} if rules else result


def _rules(model: type[BaseModel]) -> tuple[Rule, ...]:
    rules: tuple[Rule, ...] = getattr(model, "cel_rules", ())
    return rules


def _validation(rule: Rule) -> Schema:
    found = {"rule": rule.expression, "message": rule.message}
    return {**found, "fieldPath": rule.field} if rule.field else found


def _plain_default(value: object) -> Any:
    """A default as YAML has it; None where there is nothing to write.

    An object's default is ``{}``: the API server then fills in those of its fields. It checks CEL rules on the bare
    default before that, so an object with rules of its own has its default written out.
    """
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True, exclude_none=True, mode="json") if _rules(type(value)) else {}
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, list | tuple):
        return [_plain_default(item) for item in value] or None
    return None if value == "" else value  # an API server of 1.20 takes the default "" for null


def _structural(root: Schema) -> Schema:
    definitions: Schema = root.get("$defs", {})

    def convert(node: Schema) -> Schema:
        node = _inlined(node, definitions)
        for keyword in ("oneOf", "not", "prefixItems", "patternProperties"):
            if keyword in node:
                raise TypeError(f"{keyword} has no place in a structural schema: {node}")
        if "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
            raise TypeError(f"a union of types has no place in a structural schema: {node}")
        result = {key: value for key, value in node.items() if key not in _DROPPED}
        _convert_values(result)
        _convert_members(result, convert)
        return _ordered(result)

    return convert(root)


def _inlined(node: Schema, definitions: Schema) -> Schema:
    while "$ref" in node:
        target = definitions[node["$ref"].removeprefix("#/$defs/")]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def _convert_values(node: Schema) -> None:
    if "const" in node:
        node["enum"] = [node.pop("const")]
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in node:
            node[bound], node[exclusive] = node[exclusive], True
    if "description" in node:
        node["description"] = " ".join(node["description"].replace("``", "`").split())


def _convert_members(node: Schema, convert: Any) -> None:
    if "properties" in node:
        node["properties"] = {name: convert(value) for name, value in node["properties"].items()}
    if "items" in node:
        node["items"] = convert(node["items"])
    names, values = node.pop("propertyNames", None), node.get("additionalProperties")
    if values is None or values is False:
        node.pop("additionalProperties", None)
    elif values is True:
        del node["additionalProperties"]
        node["x-kubernetes-preserve-unknown-fields"] = True
    elif names is not None:
        del node["additionalProperties"]
        node["properties"] = {name: convert(values) for name in convert(names)["enum"]}
    else:
        node["additionalProperties"] = convert(values)


def _relaxed(node: Schema) -> Schema:
    result = {key: value for key, value in node.items() if key in _STATUS_KEEPS}
    if "properties" in result:
        result["properties"] = {name: _relaxed(value) for name, value in result["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in result:
            result[key] = _relaxed(result[key])
    return result


def _ordered(node: Schema) -> Schema:
    keys: Iterable[str] = (*(key for key in _ORDER if key in node), *sorted(node.keys() - set(_ORDER)))
    return {key: node[key] for key in keys}
