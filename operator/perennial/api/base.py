"""Bases of everything in a resource, and the rules that go into its CRD."""

import math
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from perennial_contract.base import Document

FIELD_ERROR = "field"
"""The pydantic error type of `field_error`."""


class Rule(NamedTuple):
    """A CEL rule on ``self``, with the message that a user sees. The same check stands in a pydantic validator."""

    expression: str
    message: str
    field: str = ""
    """Where in ``self`` the fault is, as in ``.steps``; an API server that knows ``fieldPath`` names it."""


def field_error(field: str, value: object, problem: str) -> PydanticCustomError:
    """What a validator of several fields raises, so that the message names the field at fault.

    ``problem`` follows on the value and ends in the fix: "exceeds deployAbove (0.05): lower it".
    """
    return PydanticCustomError(
        FIELD_ERROR, "{field}: {value} {problem}", {"field": field, "value": str(value), "problem": problem}
    )


class Spec(Document):
    """Something a user writes: unknown fields are refused."""

    cel_rules: ClassVar[tuple[Rule, ...]] = ()
    """`x-kubernetes-validations` of this object."""


class Status(BaseModel):
    """Something we wrote, perhaps an older or a newer we: unknown fields are let through."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the API: camelCase, absent for unset, figures of six digits.

        No nulls, nor empty texts, which 1.20 takes for nulls, nor what is not finite, which JSON cannot say. Figures
        are rounded so that noise in the last digits is neither shown nor written again and again.
        """
        stated: dict[str, Any] = _stated(self.model_dump(by_alias=True, exclude_none=True, mode="json"))
        return stated


def _stated(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stated(item) for name, item in value.items() if _can_be_said(item)}
    if isinstance(value, list):
        return [_stated(item) for item in value if _can_be_said(item)]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _can_be_said(value: object) -> bool:
    return math.isfinite(value) if isinstance(value, float) else value != ""
