"""What each version said of which samples, and whether it was what the client got: the predictions of one model."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from perennial.adapters.recording import Floats, History, Ints, to_micros
from perennial_contract.recording import UNRESOLVED

LIVE, SHADOW = 1, 2
T = TypeVar("T", bound=np.generic)


@dataclass
class Scored:
    """One version's scores on the samples from ``first`` on."""

    first: int
    scores: Floats
    """(n − first,); NaN as far as it has not been asked."""
    track: NDArray[np.int8]
    """(n − first,): 0 where nothing was recorded, `LIVE` or `SHADOW`."""
    asked_until: int
    """Rows before this one have scores."""

    def tracks(self, rows: slice) -> NDArray[np.int8]:
        """The tracks of a range of rows, 0 before the first."""
        return _cut(self.track, self.first, rows, np.int8(0))

    def of(self, rows: slice) -> Floats:
        """The scores of a range of rows, NaN before the first."""
        return _cut(self.scores, self.first, rows, np.float64(np.nan))


def _cut(values: NDArray[T], first: int, rows: slice, fill: T) -> NDArray[T]:
    missing = max(0, min(first, rows.stop) - rows.start)
    found = values[max(0, rows.start - first) : max(0, rows.stop - first)]
    return found if not missing else np.concatenate([np.full(missing, fill, dtype=values.dtype), found])


@dataclass
class Predictions:
    """All that was recorded for one model. Bounded by the history's length and the versions that are still needed."""

    history: History
    label_delay: timedelta
    known_at: Ints = field(init=False)
    """(n,) µs: from when on each outcome is there."""
    visible_at: Ints = field(init=False)
    """(n,) µs: from when on it is evidence, which it is not before it was due."""
    arrivals: Ints = field(init=False)
    """µs, ascending: when each outcome was there, and its sample too."""
    resolutions: Ints = field(init=False)
    """µs, ascending: when the outcomes came that have a time of their own."""
    versions: dict[str, Scored] = field(default_factory=dict)
    """By UID."""
    live_score: Floats = field(default_factory=lambda: np.empty(0))
    """(n,) what clients got; NaN where nobody answered."""
    live_version: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """(n,) number of the version that answered, in the order in which versions first answered; −1: nobody."""
    answered: list[str] = field(default_factory=list)
    """Versions by that number: UIDs."""

    def __post_init__(self) -> None:
        count = len(self.history)
        self.known_at = self.history.known_at(self.label_delay)
        self.visible_at = np.maximum(self.known_at, self.history.at + to_micros(self.label_delay))
        known, dated = ~np.isnan(self.history.target), self.history.resolved_at != UNRESOLVED
        self.arrivals = np.sort(np.maximum(self.known_at, self.history.at)[known])
        self.resolutions = np.sort(np.maximum(self.history.resolved_at, self.history.at)[known & dated])
        if not len(self.live_score):
            self.live_score = np.full(count, np.nan)
            self.live_version = np.full(count, -1, dtype=np.int64)

    def begin(self, uid: str, first: int) -> Scored:
        """The version's record, begun at the row if there is none."""
        if uid not in self.versions:
            count = len(self.history) - first
            self.versions[uid] = Scored(first, np.full(count, np.nan), np.zeros(count, dtype=np.int8), first)
        return self.versions[uid]

    def record(self, uid: str, rows: Ints, track: int) -> None:
        """The version scored the rows. The first write wins: nothing here is ever written twice.

        Rows whose score is NaN got none: a server refuses what its model cannot score.
        """
        scored = self.versions[uid]
        rows = rows[~np.isnan(scored.scores[rows - scored.first])]
        scored.track[rows - scored.first] = track
        if track == LIVE:
            if uid not in self.answered:
                self.answered.append(uid)
            self.live_score[rows] = scored.scores[rows - scored.first]
            self.live_version[rows] = self.answered.index(uid)

    def forget_all_but(self, uids: set[str]) -> None:
        """Versions that no look will ask for any more."""
        for uid in self.versions.keys() - uids:
            del self.versions[uid]
