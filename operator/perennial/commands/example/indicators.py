"""Indicators that look back only: value t is made of values up to and including t. The first ones are NaN."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

FloatArray = npt.NDArray[np.float64]


def rolling(values: FloatArray, window: int, reduce: Callable[..., Any]) -> FloatArray:
    """``reduce`` over the last ``window`` values, along the first axis."""
    found = np.full(values.shape, np.nan)
    if len(values) >= window:
        found[window - 1 :] = reduce(sliding_window_view(values, window, axis=0), axis=-1)
    return found


def log_return(close: FloatArray, steps: int) -> FloatArray:
    """log(close / close ``steps`` earlier)."""
    found = np.full(close.shape, np.nan)
    found[steps:] = np.log(close[steps:] / close[:-steps])
    return found


def over_average(close: FloatArray, window: int) -> FloatArray:
    """log(close / its moving average)."""
    return np.log(close / rolling(close, window, np.mean))


def relative_strength(close: FloatArray, window: int) -> FloatArray:
    """Cutler's RSI as a share: gains / (gains + losses) of the window; 0.5 where nothing moved."""
    change = np.diff(close, axis=0, prepend=np.nan)
    gains = rolling(np.maximum(change, 0), window, np.sum)
    losses = rolling(np.maximum(-change, 0), window, np.sum)
    return share(gains, gains + losses)


def channel_position(close: FloatArray, window: int) -> FloatArray:
    """Where the close stands between the window's lowest and highest close: 0..1; 0.5 where they are one."""
    low, high = rolling(close, window, np.min), rolling(close, window, np.max)
    return share(close - low, high - low)


def z_score(values: FloatArray, window: int) -> FloatArray:
    """Distance from the window's mean in its standard deviations; 0 where nothing varied."""
    spread = rolling(values, window, np.std)
    return np.where(spread == 0, 0.0, share(values - rolling(values, window, np.mean), spread))


def share(part: FloatArray, whole: FloatArray) -> FloatArray:
    """part / whole; 0.5 of nothing."""
    return np.divide(part, whole, out=np.where(np.isnan(whole), np.nan, 0.5), where=whole != 0)


def cycle(phase: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sine and cosine of a phase in turns, so that the end of a day or week is next to its beginning."""
    return np.sin(2 * np.pi * phase), np.cos(2 * np.pi * phase)
