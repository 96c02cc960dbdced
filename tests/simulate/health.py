"""How often health accuses a model that is well: the promise of `perennial.domain.health`, by simulation.

The looks of `decide_health`, over arrays of many models at once; tests/unit/domain/test_false_alarms.py shows that they
decide the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit
from tests.simulate.rates import Rate, rate_of
from tests.simulate.streams import overlapping_wins

from perennial.api.model_deployment import Health
from perennial.domain.blocks import CONFIDENCE
from perennial.domain.cusum import (
    CAP,
    LEAST_THRESHOLD,
    LEAVE,
    MOST_WINDOWS,
    ROUNDING,
    average_run_length,
    cusum_threshold,
    healthy_margin,
    loss_weight,
)
from perennial.domain.health import JUDGE_AGAIN
from perennial.domain.sliding import HYSTERESIS, sliding_level

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class FalseAlarms:
    """What healthy models were accused of: alarms an interval of falseAlarmEvery."""

    together: Rate
    """As `decide_health` raises them."""
    wilson: Rate
    """That the bound of the window would have raised by itself."""
    cusum: Rate
    """That the cumulative sum would have raised by itself."""
    intervals: float
    """Of falseAlarmEvery, all models together."""
    effective: float
    """Effective outcomes in a window, in the median."""
    judged: float
    """Share of the looks that had enough of them."""


@dataclass(frozen=True)
class Setting:
    """A prediction a step, whose outcome takes ``overlap`` steps; a window of so many ``rows``."""

    overlap: int
    rows: int
    spec: Health

    @property
    def block(self) -> int:
        """Rows a block: one where the label fits into one step."""
        return 1 if self.overlap == 1 else 2 * self.overlap

    def first_row(self, newest: int) -> int:
        """Of the window that ends when the outcome of ``newest`` is due."""
        return newest + self.overlap - self.rows + 1


class Seen(NamedTuple):
    """One look at many models: arrays with a value each."""

    enough: Bools
    strays: Floats
    """How many standard errors the win rate lies under the minimum; as many as t_{K−1} of the level are too many."""
    level: Floats
    degrees: int
    sums: Floats
    thresholds: Floats
    effective: Floats

    def low(self, flagged: Bools) -> Bools:
        """Whose bound is under the minimum, or not back over it yet."""
        return self.enough & (self.strays > stdtrit(self.degrees, ndtr(self.level - HYSTERESIS * flagged)))

    def fell(self, flagged: Bools) -> Bools:
        """Whose sum is at its threshold, or not back under a half of it yet."""
        return self.enough & (self.sums >= self.thresholds * np.where(flagged, LEAVE, 1.0))


def false_alarms(
    win_rate: float,
    overlap: int,
    runs: int,
    seed: int,
    *,
    intervals: float = 4,
    rows: int = 1440,
    every: int | None = None,
    spec: Health | None = None,
) -> FalseAlarms:
    """Alarms against models whose true win rate is known, a prediction a step, looked at again and again.

    Args:
        overlap: steps that an outcome takes; see `overlapping_wins` for the streams.
        runs: models, each of which is watched for ``intervals`` of falseAlarmEvery.
        rows: steps a window.
        every: steps between two looks; None: one time block.
    """
    setting = Setting(overlap, rows, spec or Health())
    length = round(rows * (1 + intervals * (setting.spec.false_alarm_every / setting.spec.window)))
    wins = overlapping_wins(np.random.default_rng(seed), win_rate, overlap, length, runs)
    flags = {name: np.zeros(runs, dtype=bool) for name in ("together", "wilson", "cusum")}
    alarms = dict.fromkeys(flags, 0)
    judged, effective = [], []
    for seen in looks(wins, setting, every or setting.block):
        now = {
            "together": seen.low(flags["together"]) | seen.fell(flags["together"]),
            "wilson": seen.low(flags["wilson"]),
            "cusum": seen.fell(flags["cusum"]),
        }
        for name, flagged in now.items():
            alarms[name] += int((flagged & ~flags[name]).sum())
        flags = now
        judged.append(seen.enough.mean())
        effective.append(np.median(seen.effective))
    rates = {name: rate_of(count, runs * intervals) for name, count in alarms.items()}
    return FalseAlarms(
        **rates, intervals=runs * intervals, effective=float(np.median(effective)), judged=float(np.mean(judged))
    )


def looks(wins: Bools, setting: Setting, every: int) -> Iterator[Seen]:
    """What is seen of the models at each look, once a window is full."""
    spec, rows = setting.spec, setting.rows
    minimum, block = spec.min_win_rate, setting.block
    total = np.concatenate([np.zeros((len(wins), 1)), np.cumsum(wins, axis=1)], axis=1)
    level = sliding_level(spec.window / spec.false_alarm_every / 2)
    least = sliding_level(1.0)
    spread = minimum * (1 - minimum)
    sums, enough, lost = Sums(total, setting), np.zeros(len(wins), dtype=bool), np.zeros(len(wins), dtype=bool)
    for newest in range(rows - 1, wins.shape[1], every):
        first = setting.first_row(newest)
        inner = np.arange(first // block + 1, newest // block + 1) * block
        edges = np.concatenate([[first], inner, [newest + 1]])
        count, won = np.diff(edges).astype(float), np.diff(total[:, edges], axis=1)
        value = won.sum(axis=1) / count.sum()
        worth = _worth(won - value[:, np.newaxis] * count, value, count.sum())
        degrees = len(count) - 1
        effective = worth * (least / stdtrit(degrees, CONFIDENCE)) ** 2
        shift = healthy_margin(minimum) * np.sqrt(effective / spread)
        within = spec.false_alarm_every / spec.window * rows / (len(count) * block)
        thresholds = thresholds_of(minimum, 2 * effective * within, len(count))
        enough, before = effective >= spec.min_outcomes * np.where(lost, JUDGE_AGAIN, 1.0), enough
        lost = ~enough & (lost | before)
        yield Seen(
            enough=enough,
            strays=(minimum - value) * np.sqrt(worth / spread),
            level=np.maximum(least, level - shift),
            degrees=degrees,
            sums=sums.at(newest, np.maximum(1.0, count.sum() / effective), thresholds),
            thresholds=thresholds,
            effective=effective,
        )


def _worth(residuals: Floats, value: Floats, total: float) -> Floats:
    """`Ratio.effective` without its last factor, of (models, blocks) residuals."""
    blocks = residuals.shape[1]
    neighbours = (residuals[:, 1:] * residuals[:, :-1]).sum(axis=1)
    variance = ((residuals**2).sum(axis=1) + 2 * np.maximum(0.0, neighbours)) / total**2 * blocks / (blocks - 1)
    return np.minimum(total, value * (1 - value) / variance)


def thresholds_of(minimum: float, outcomes: Floats, blocks: int) -> Floats:
    """`cusum_threshold` of many at once: the first tenth that is reached seldom enough."""
    most = cusum_threshold(minimum, float(outcomes.max()), blocks)
    tenths = np.arange(round(10 * LEAST_THRESHOLD), round(10 * most) + 1) / 10
    lengths = [average_run_length(minimum, tenth, blocks) for tenth in tenths]
    return tenths[np.searchsorted(lengths, outcomes)]


class Sums:
    """The cumulative sums of many models, each from its own cursor on.

    A sum that was never capped is a multiple of what a look before knew of it, and only new blocks are gone through.
    """

    def __init__(self, total: Floats, setting: Setting) -> None:
        self._minimum, self._setting = setting.spec.min_win_rate, setting
        self._losses = self._minimum * setting.block - np.diff(total[:, :: setting.block], axis=1)
        self._lists: list[list[float]] = self._losses.tolist()
        runs = len(self._losses)
        self._cursor, self._sum, self._peak = np.zeros(runs, dtype=np.int64), np.zeros(runs), np.zeros(runs)
        self._done: int | None = None

    def at(self, newest: int, design_effect: Floats, thresholds: Floats) -> Floats:
        """S at a look; every cursor moves to where it was last 0."""
        until, rows, block = newest + self._setting.overlap, self._setting.rows, self._setting.block
        earliest, end = -(-(until - MOST_WINDOWS * rows) // block), newest // block
        if self._done is None:
            self._done = -(-(until - rows) // block)
            self._cursor[:] = self._done
        for new in range(self._done, end):
            self._sum = np.maximum(0.0, self._sum + self._losses[:, new])
            self._peak = np.maximum(self._peak, self._sum)
            zero = self._sum < ROUNDING
            self._cursor[zero], self._sum[zero], self._peak[zero] = new + 1, 0.0, 0.0
        self._done = end
        weight, most = loss_weight(self._minimum) / design_effect, CAP * thresholds
        value = weight * self._sum
        for run in np.flatnonzero((weight * self._peak > most) | (self._cursor < earliest)).tolist():
            losses, start = self._lists[run], max(int(self._cursor[run]), earliest)
            value[run], start, _ = _walk(losses, start, end, float(weight[run]), float(most[run]))
            self._sum[run], self._cursor[run], self._peak[run] = _walk(losses, start, end, 1.0, np.inf)
        return value


def _walk(losses: list[float], start: int, end: int, weight: float, most: float) -> tuple[float, int, float]:
    """The sum from one block to another, where it was last 0, and the most that it has been since."""
    value, peak = 0.0, 0.0
    for block in range(start, end):
        value = min(most, value + weight * losses[block])
        if value < ROUNDING:
            value, peak, start = 0.0, 0.0, block + 1
        elif value > peak:
            peak = value
    return value, start, peak
