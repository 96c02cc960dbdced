"""How late a fall in the win rate is seen: by the cumulative sum of `perennial.domain.cusum`, and by others.

Beside ours, an outcome a block, stand ADWIN (Bifet & Gavaldà, "Learning from time-changing data with adaptive
windowing", SDM, 2007) and Page-Hinkley, as river has them, tuned to the same rate of false alarms on the same streams.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom
from tests.simulate.rates import Rate, rate_of

from perennial.domain.cusum import loss_weight

HEALTHY, POOR = 0.55, 0.45
BEFORE = 3000
"""Outcomes before the fall, and after it."""
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Detector = Callable[[Bools, float], list[Ints]]
"""From streams of wins, (runs, outcomes), and a setting (the higher, the fewer alarms) to the times of its alarms."""
TOLERANCE = 0.02
"""How finely settings are searched."""


@dataclass(frozen=True)
class Delay:
    """How many outcomes a detector needs, in the median with its interval at 99 % (order statistics)."""

    median: float
    lower: float
    upper: float
    setting: float
    false_alarms: Rate
    """An interval of so many healthy outcomes as one alarm was allowed in, on streams that it was not tuned on."""

    def longer_than(self, other: "Delay") -> bool:
        """Whether the difference is shown."""
        return self.lower > other.upper


def delays(
    runs: int, seed: int, *, detectors: Iterable[str] | None = None, every: int = 30_000, alarms: int = 100
) -> dict[str, Delay]:
    """Of a fall from 55 % to 45 % in independent outcomes, by detector.

    Args:
        runs: streams with such a fall, after 3 000 healthy outcomes.
        detectors: of `DETECTORS`; None: all of them, which needs river.
        every: a detector is made as eager as it may be to raise one false alarm in so many healthy outcomes.
        alarms: that it may raise while it is tuned: the more, the more exact.
    """
    rng = np.random.default_rng(seed)
    tuned_on, measured_on = (rng.random((alarms, every)) < HEALTHY for _ in range(2))
    fall = rng.random((runs, 2 * BEFORE)) < np.repeat([HEALTHY, POOR], BEFORE)
    found = {}
    for name in DETECTORS if detectors is None else detectors:
        detector, low, high = DETECTORS[name]
        setting = tune(detector, low, high, tuned_on, alarms)
        wrong = rate_of(sum(map(len, detector(measured_on, setting))), alarms)
        late = np.sort(first_after(detector(fall, setting), BEFORE, 2 * BEFORE))
        rank = int(binom.ppf(0.005, runs, 0.5)) - 1
        found[name] = Delay(float(np.median(late)), float(late[rank]), float(late[-1 - rank]), setting, wrong)
    return found


def cusum(wins: Bools, threshold: float) -> list[Ints]:
    """Begins anew at 0 after each alarm."""
    sums, hits = np.zeros(len(wins)), np.zeros_like(wins)
    losses = loss_weight(0.5) * (0.5 - wins.astype(float))
    for time in range(wins.shape[1]):
        sums = np.maximum(0.0, sums + losses[:, time])
        hits[:, time] = sums >= threshold - 1e-9
        sums[hits[:, time]] = 0.0
    return [np.flatnonzero(run) for run in hits]


def adwin(wins: Bools, caution: float) -> list[Ints]:
    """delta = e^−caution. It sees changes to either side: only a fall of its estimate is an alarm."""
    from river.drift import ADWIN

    found = []
    for run in wins.astype(float).tolist():
        detector, times = ADWIN(delta=np.exp(-caution)), []
        for time, won in enumerate(run):
            before = detector.estimation
            detector.update(won)
            if detector.drift_detected and detector.estimation < before:
                times.append(time)
        found.append(np.array(times, dtype=np.int64))
    return found


def page_hinkley(wins: Bools, threshold: float, delta: float = 0.05) -> list[Ints]:
    """It is told to look for a fall alone, and how large: delta is best at half of it."""
    from river.drift import PageHinkley

    found = []
    for run in wins.astype(float).tolist():
        detector, times = PageHinkley(mode="down", threshold=threshold, delta=delta), []
        for time, won in enumerate(run):
            detector.update(won)
            if detector.drift_detected:
                times.append(time)
        found.append(np.array(times, dtype=np.int64))
    return found


DETECTORS: dict[str, tuple[Detector, float, float]] = {
    "CUSUM": (cusum, 2.0, 12.0),
    "ADWIN": (adwin, 0.0, 16.0),
    "Page-Hinkley": (page_hinkley, 4.0, 60.0),
    "Page-Hinkley as it comes": (partial(page_hinkley, delta=0.005), 4.0, 400.0),
}
"""Each with the range in which its setting is looked for."""


def tune(detector: Detector, low: float, high: float, healthy: Bools, alarms: float) -> float:
    """The most eager setting that raises so many alarms at most, all streams together."""
    while high - low > TOLERANCE * low:
        middle = (low + high) / 2
        if sum(map(len, detector(healthy, middle))) > alarms:
            low = middle
        else:
            high = middle
    return high


def first_after(times: Sequence[Ints], change: int, end: int) -> Ints:
    """How many outcomes after the change each run's first alarm came; as many as there are where none did."""
    firsts = [run[np.searchsorted(run, change)] if run.size and run[-1] >= change else end - 1 for run in times]
    return np.array(firsts, dtype=np.int64) - change + 1
