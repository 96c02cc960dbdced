"""Outcomes and models that never were: what the simulations, here and in the unit tests, are fed with."""

from dataclasses import dataclass
from math import cos, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtr

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_BELIEF = 0.1
"""A model without any skill still takes sides: it believes in as much correlation with the outcome."""


def overlapping_targets(rng: np.random.Generator, rows: int, horizon: int, count: int = 1) -> Bools:
    """(count, rows): whether a random walk is higher ``horizon`` steps on: neighbours share most of their outcome."""
    return moving_sums(rng, rows, horizon, count) > 0


def moving_sums(rng: np.random.Generator, rows: int, horizon: int, count: int = 1) -> Floats:
    """(count, rows): what a random walk gains over the next ``horizon`` steps, with variance ``horizon``."""
    walk = np.cumsum(rng.standard_normal((count, rows + horizon)), axis=1)
    gained: Floats = walk[:, horizon:] - walk[:, :-horizon]
    return gained


def overlapping_wins(
    rng: np.random.Generator, win_rate: float, overlap: int, rows: int, runs: int, persistence: float = 0.9
) -> Bools:
    """(runs, rows): whether a model that is right with probability ``win_rate`` was right, row after row in time.

    The target of a row is the sign of the next ``overlap`` steps of a random walk, so that neighbours share most of it.
    The model's side is the sign of an autoregressive process: it keeps a side for a while, and knows nothing. So it
    would win half of the rows, in long streaks; with probability 2·win_rate − 1 it is told the target, anew each row.

    Raises:
        ValueError: a win rate under a half cannot be made so.
    """
    if win_rate < 0.5:
        raise ValueError(f"win_rate {win_rate} must be 0.5 or more")
    steps = rng.standard_normal((runs, rows + overlap - 1))
    sums = np.cumsum(np.concatenate([np.zeros((runs, 1)), steps], axis=1), axis=1)
    up = sums[:, overlap:] > sums[:, :-overlap]
    noise = rng.standard_normal((runs, rows + 100))
    side = lfilter([1.0], [1.0, -persistence], noise, axis=1)[:, 100:] > 0
    told = rng.random((runs, rows)) < 2 * win_rate - 1
    return np.asarray((up == side) | told)


def runs(rng: np.random.Generator, rows: int, length: float, count: int = 1) -> Bools:
    """(count, rows): a coin that is thrown again once in ``length`` rows: models lean one way for a while."""
    thrown = rng.random((count, rows)) < 1 / length
    thrown[:, 0] = True
    sides = rng.random((count, rows)) < 0.5
    latest = np.maximum.accumulate(np.where(thrown, np.arange(rows), 0), axis=1)
    return np.asarray(np.take_along_axis(sides, latest, axis=1))


def autoregressive(rng: np.random.Generator, rows: int, persistence: float, count: int = 1) -> Floats:
    """(count, rows): stationary normal noise with variance 1 and the autocorrelation ``persistence`` ** lag."""
    shocks = rng.standard_normal((count, rows))
    shocks[:, 1:] *= sqrt(1 - persistence**2)
    noise: Floats = lfilter([1.0], [1.0, -persistence], shocks, axis=1)
    return noise


@dataclass(frozen=True)
class Bout:
    """What a champion and its challengers said of the same samples, by stream and time."""

    target: Bools
    """(streams, rows)."""
    champion: Floats
    """(streams, rows): scores, P(target = 1)."""
    challengers: Floats
    """(challengers, streams, rows)."""

    def differences(self) -> Floats:
        """(streams, rows): 1 where the first challenger alone is right, −1 where the champion alone is, else 0."""
        right = [(scores >= 0.5) == self.target for scores in (self.challengers[0], self.champion)]
        return right[0].astype(np.float64) - right[1]


@dataclass(frozen=True)
class Rivalry:
    """Models that go long or short at every step, on outcomes that overlap.

    The outcome is the sign of a moving sum y. A model goes by z = a·y + √(1 − a²)·noise, of variance 1, and wins with
    probability 1/2 + asin(a)/π; two models disagree with probability acos(ρ)/π, ρ their correlation (Sheppard, "On the
    application of the theory of error to cases of normal distribution and normal correlation", 1899). The noise is
    autoregressive, so that sides are kept for a while, and partly common, so that mistakes are.
    """

    overlap: int
    """Steps that an outcome takes."""
    champion: float
    """Its win rate."""
    challenger: float
    discordance: float = 0.2
    """Share of the samples on which the two take different sides."""
    persistence: float = 0.9

    def play(self, rng: np.random.Generator, rows: int, *, streams: int = 1, challengers: int = 1) -> Bout:
        """Independent streams; in each, every challenger is one of its own, as close to the champion as the others."""
        y = moving_sums(rng, rows, self.overlap, streams) / sqrt(self.overlap)
        old, new = (sin(pi * (rate - 0.5)) for rate in (self.champion, self.challenger))
        shared = (cos(pi * self.discordance) - old * new) / sqrt((1 - old**2) * (1 - new**2))
        common = sqrt(shared) * autoregressive(rng, rows, self.persistence, streams)

        def scores(skill: float) -> Floats:
            own = sqrt(1 - shared) * autoregressive(rng, rows, self.persistence, streams)
            belief = max(skill, LEAST_BELIEF)
            z = skill * y + sqrt(1 - skill**2) * (common + own)
            told: Floats = ndtr(belief / sqrt(1 - belief**2) * z)
            return told

        return Bout(y > 0, scores(old), np.stack([scores(new) for _ in range(challengers)]))
