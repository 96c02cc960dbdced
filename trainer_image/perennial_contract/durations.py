"""Durations as people write them: ``30s``, ``5m``, ``2h``, ``3d``."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

PATTERN = r"^([0-9]{1,5}d)?([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,9}s)?$"
"""The digits are bounded so that any duration can be taken off any date."""
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def parse_duration(text: object) -> timedelta:
    """``"1d12h"`` → ``timedelta(days=1, hours=12)``.

    Raises:
        ValueError: the text is not a duration; the message names it and shows what one looks like.
    """
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str) or not text or not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text!r} is not a duration: write whole numbers with units, as in 30s, 5m, 2h or 3d")
    return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([dhms])", text)))


def format_duration(value: timedelta) -> str:
    """The shortest text that parses back to the value: ``90 min`` → ``"1h30m"``; zero is ``"0s"``."""
    rest, parts = round(value.total_seconds()), []
    for unit, seconds in _UNITS.items():
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 2, "maxLength": 32, "pattern": PATTERN}),
]


def _refuse_zero(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("0s is too short: write a duration above zero, as in 5m")
    return value


PositiveDuration = Annotated[
    Duration,
    AfterValidator(_refuse_zero),
    WithJsonSchema(
        {"type": "string", "minLength": 2, "maxLength": 32, "pattern": PATTERN, "allOf": [{"pattern": "[1-9]"}]}
    ),
]
