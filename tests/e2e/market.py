"""A made-up market whose best possible win rates are known, so that a challenger's true lift is a matter of arithmetic.

Every row is moved by one of two signals and shows only that one. The steady signal is right with the same probability
for ever. What the fickle signal means turns round at some time: a model from before it is as wrong on those rows
as a model from after it is right.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

FEATURES = ("steady", "fickle", "noise")


@dataclass(frozen=True)
class Rows:
    """Samples and what became of them: n of each."""

    features: npt.NDArray[np.float64]
    """(n, 3)."""
    target: npt.NDArray[np.int64]
    reward: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True)
class Market:
    """How often either signal speaks, and how often it is right."""

    share: float
    """Of the rows that the fickle signal moves."""
    steady: float = 0.6
    fickle: float = 0.6
    turned: bool = False
    """Whether the fickle signal has turned round."""
    moved: float = 0.0
    """Mean of the feature that says nothing, in its standard deviations."""

    @property
    def win_rate(self) -> float:
        """Of a model that knows what the signals mean now."""
        return (1 - self.share) * self.steady + self.share * self.fickle

    @property
    def stale_win_rate(self) -> float:
        """Of a model from the other side of the turn."""
        return (1 - self.share) * self.steady + self.share * (1 - self.fickle)

    @property
    def lift(self) -> float:
        """What a model that knows gains on a stale one, as a verdict counts it."""
        return (self.win_rate - self.stale_win_rate) / self.stale_win_rate

    def turn(self) -> "Market":
        """The same market after the turn."""
        return replace(self, turned=not self.turned)

    def shift(self, by: float) -> "Market":
        """The same market, in which the feature without a signal has moved by so many standard deviations."""
        return replace(self, moved=by)

    def draw(self, count: int, seed: int) -> Rows:
        """Rows of this market; the same seed gives the same rows."""
        rng = np.random.default_rng(seed)
        is_fickle = rng.random(count) < self.share
        signal = rng.choice((-1.0, 1.0), count)
        right = rng.random(count) < np.where(is_fickle, self.fickle, self.steady)
        meaning = np.where(is_fickle & self.turned, -signal, signal)
        target = (np.where(right, meaning, -meaning) > 0).astype(np.int64)
        reward = np.where(target == 1, 1.0, -1.0) * rng.uniform(0.001, 0.02, count)
        noise = rng.normal(self.moved, size=count)
        features = np.column_stack([np.where(is_fickle, 0.0, signal), np.where(is_fickle, signal, 0.0), noise])
        return Rows(features, target, reward)


def times(count: int, first: datetime, step: timedelta) -> list[datetime]:
    """A row every so often. Steps of labelDelay or more keep outcomes from overlapping: each is evidence of its own."""
    return [first + i * step for i in range(count)]
