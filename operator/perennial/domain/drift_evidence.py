"""What a look at live features brings back: counts in the bins of a reference profile, by window."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import floor

from perennial.api.model_deployment import Drift


@dataclass(frozen=True, slots=True)
class ColumnCounts:
    """One feature's rows in one window."""

    name: str
    bins: tuple[int, ...]
    """Rows a bin of the profile, infinities in the outer ones; missing values (NULL, NaN) are in none."""
    missing: int
    out_of_range: int
    """Rows below the smallest or above the largest value of training; they are in the outer bins too."""


@dataclass(frozen=True, slots=True)
class DriftWindow:
    """Samples with number · seconds ≤ epoch of `at` < (number + 1) · seconds, whoever predicted them."""

    number: int
    rows: int
    oldest: datetime
    newest: datetime
    columns: tuple[ColumnCounts, ...]
    """In the order of the profile's features."""
    scores: tuple[int, ...] = ()
    """The version's live predictions placed in the window, by bin of the profile's scores; empty: it has none."""


@dataclass(frozen=True, slots=True)
class DriftLook:
    """The windows that have rows, in order of time."""

    windows: tuple[DriftWindow, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Windows that are looked at together, aligned to 1970: the same for every look, and after every restart."""

    first: int
    count: int
    seconds: int

    @property
    def since(self) -> datetime:
        """Where the first begins; it belongs to it."""
        return _instant(self.first * self.seconds)

    @property
    def until(self) -> datetime:
        """Where the last ends; it does not belong to it."""
        return _instant((self.first + self.count) * self.seconds)

    def start_of(self, number: int) -> datetime:
        """Where a window begins."""
        return _instant(number * self.seconds)


def _instant(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def complete_windows(spec: Drift, label_delay: timedelta, now: datetime) -> Span:
    """The newest `consecutiveWindows` windows that ended labelDelay ago or earlier."""
    seconds = max(1, round(spec.window.total_seconds()))
    end = floor((now - label_delay).timestamp() / seconds)
    return Span(end - spec.consecutive_windows, spec.consecutive_windows, seconds)
