"""Market time made quick: an hour of 2019 passes in a twentieth of a second."""

import math
from datetime import timedelta
from typing import Any

from perennial_contract.durations import format_duration, parse_duration

SECONDS_AN_HOUR = 0.05
FACTOR = 3600 / SECONDS_AN_HOUR
_DURATIONS = frozenset(
    {"labelDelay", "minStepDuration", "maxDuration", "window", "every", "cooldown", "dataWindow", "retryBackoff"}
)
"""Fields that speak of market time. Timeouts and intervals speak of the operator's own."""


def quicken(value: Any) -> Any:
    """A resource with every market duration divided by the factor, a second at the least."""
    if isinstance(value, dict):
        return {name: _quick(item) if name in _DURATIONS else quicken(item) for name, item in value.items()}
    return [quicken(item) for item in value] if isinstance(value, list) else value


def _quick(text: str) -> str:
    seconds = parse_duration(text).total_seconds() / FACTOR
    return format_duration(timedelta(seconds=max(1, math.ceil(seconds))))
