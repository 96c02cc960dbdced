"""The simulated clock, and the instants at which a replay looks."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from perennial.adapters.recording import Ints, to_micros


class Clock:
    """Stands still until it is set."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """The simulated instant."""
        return self._now

    def set(self, moment: datetime) -> None:
        """Time only goes forward."""
        assert moment >= self._now
        self._now = moment


def looks_between(visible: Sequence[Ints], since: datetime, until: datetime, every: timedelta) -> Ints:
    """When outcomes become visible, thinned to one look in ``every``: µs, ascending.

    Between two of them no evidence changes, so an operator that looks more often sees the same.

    Args:
        visible: for each model the instants (µs) at which its outcomes become visible.
    """
    moments = np.unique(np.concatenate(visible))
    moments = moments[(moments > to_micros(since)) & (moments <= to_micros(until))]
    chosen: list[int] = []
    last = to_micros(since)
    step = to_micros(every)
    position = 0
    while position < len(moments):
        position = int(np.searchsorted(moments, last + step, "left")) if chosen else position
        if position >= len(moments):
            break
        last = int(moments[position])
        chosen.append(last)
        position += 1
    if len(moments) and (not chosen or chosen[-1] != int(moments[-1])):
        chosen.append(int(moments[-1]))
    return np.array(chosen, dtype=np.int64)
