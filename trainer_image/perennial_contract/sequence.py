"""What a model that looks back in a series says of itself: one file beside its weights, for whoever loads them."""

from pydantic import Field

from perennial_contract.base import Document
from perennial_contract.durations import PositiveDuration

SEQUENCE_FILE = "sequence.json"
DEFAULT_MAX_STEPS = 500
"""Training steps of a network whose parameters say nothing of ``max_steps``."""
MAX_GAP_STEPS = 5
"""Rows further apart than so many of their series' steps are no neighbours: a window over such a gap is refused."""


class Sequence(Document):
    """The window that a model takes: ``input_size`` rows of the scored row's series before it, and the row itself."""

    input_size: int = Field(ge=1)
    label_delay: PositiveDuration
    """A past target counts from ``max(resolved_at, at + labelDelay)`` on: younger ones are masked."""
    steps: dict[str, int]
    """The series that it learned from: `series_key` → the median distance of two rows in microseconds."""


def series_key(hashed: int) -> str:
    """The hash of a series (`recording.key_hash`) as a key in JSON."""
    return f"{hashed & 0xFFFF_FFFF_FFFF_FFFF:016x}"
