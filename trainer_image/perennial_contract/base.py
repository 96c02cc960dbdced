"""The base of every document that crosses a process boundary."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """An immutable document: camelCase on the wire, unknown fields refused, no NaN and no infinity."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    def to_json(self) -> str:
        """The document's canonical text: the same document gives the same bytes, and so the same digest."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n"
