"""Label selectors, as Kubernetes reads them."""

import re
from collections.abc import Callable, Mapping

from perennial.api.retrain_policy import LabelRequirement, Selector

_OPERATORS: dict[str, Callable[[str | None, list[str]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
}


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether all requirements hold; an empty selector matches everything, and NotIn matches a label that is absent."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(requirement, labels) for requirement in selector.match_expressions
    )


def to_query(selector: Selector) -> str:
    """The selector as a query of the API server takes it: ``book=spot,desk in (a,b),!old``."""
    equal = [f"{key}={value}" for key, value in selector.match_labels.items()]
    return ",".join([*equal, *map(_clause, selector.match_expressions)])


def parse_query(text: str) -> Selector:
    """The selector that a query stands for: the inverse of `to_query`."""
    clauses = [_requirement(clause) for clause in re.split(r",(?![^()]*\))", text) if clause]
    return Selector(match_expressions=clauses)


def _requirement(clause: str) -> LabelRequirement:
    if inside := re.fullmatch(r"(\S+) (in|notin) \((.*)\)", clause):
        operator = "In" if inside[2] == "in" else "NotIn"
        return LabelRequirement(key=inside[1], operator=operator, values=inside[3].split(","))
    if clause.startswith("!"):
        return LabelRequirement(key=clause[1:], operator="DoesNotExist")
    key, equal, value = clause.partition("=")
    if equal:
        return LabelRequirement(key=key, operator="In", values=[value])
    return LabelRequirement(key=key, operator="Exists")


def _clause(requirement: LabelRequirement) -> str:
    match requirement.operator:
        case "Exists":
            return requirement.key
        case "DoesNotExist":
            return f"!{requirement.key}"
        case operator:
            return f"{requirement.key} {operator.lower()} ({','.join(requirement.values)})"


def _holds(requirement: LabelRequirement, labels: Mapping[str, str]) -> bool:
    return _OPERATORS[requirement.operator](labels.get(requirement.key), requirement.values)
