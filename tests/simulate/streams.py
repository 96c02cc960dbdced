"""Streams of wins and losses whose true win rate is known, with labels that overlap."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Bools = NDArray[np.bool_]


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
