"""What is recorded of an answered request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from perennial_contract.samples import Track
from perennial_server.models import Matrix


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows and their scores; all fields have one entry a row."""

    ids: Sequence[str]
    series: Sequence[str]
    """Empty where the client records its samples itself and names none."""
    times: Sequence[datetime]
    rows: Matrix
    scores: Matrix
    """NaN: the model could not score the row; the sample is recorded, and no prediction."""
    tracks: Sequence[Track]

    def __len__(self) -> int:
        return len(self.ids)

    def split(self) -> "tuple[Scored, Scored]":
        """Two halves: how one bad row is found among good ones."""
        middle = len(self) // 2
        return self._part(slice(None, middle)), self._part(slice(middle, None))

    def _part(self, part: slice) -> "Scored":
        return replace(
            self,
            ids=self.ids[part],
            series=self.series[part],
            times=self.times[part],
            rows=self.rows[part],
            scores=self.scores[part],
            tracks=self.tracks[part],
        )


def join(parts: Sequence[Scored]) -> Scored:
    """One batch of many requests, each sample once and in order of id.

    The first of a sample counts, as it would in the table. Servers that write the same samples at the same time meet
    their rows in the same order, and so never wait for each other in a circle.
    """
    ids = [name for part in parts for name in part.ids]
    first = {name: position for position, name in reversed(list(enumerate(ids)))}
    order = [first[name] for name in sorted(first)]
    # Only a client that records its samples itself may leave them out; nothing of them is written then.
    series = [name for part in parts for name in part.series] if all(part.series for part in parts) else []
    times = [time for part in parts for time in part.times]
    tracks = [track for part in parts for track in part.tracks]
    return Scored(
        ids=[ids[position] for position in order],
        series=[series[position] for position in order] if series else (),
        times=[times[position] for position in order],
        rows=np.concatenate([part.rows for part in parts])[order],
        scores=np.concatenate([part.scores for part in parts])[order],
        tracks=[tracks[position] for position in order],
    )
