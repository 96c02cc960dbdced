"""Instants as whole microseconds since 1970: exact, where floats of seconds are not."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(value: datetime | timedelta) -> int:
    """Microseconds; since 1970 for an instant."""
    return (value - _EPOCH if isinstance(value, datetime) else value) // _MICROSECOND
