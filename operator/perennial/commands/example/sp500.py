"""20 shares of the S&P 500 by the day, 1990 to 2022, labelled by the sign of the next day's return.

The shares are those that were large at the end: whoever trades on the past of survivors flatters himself.
"""

import csv
import gzip
import io
from dataclasses import dataclass
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import numpy as np

from perennial.commands.example.fetch import Package
from perennial.commands.example.indicators import (
    channel_position,
    cycle,
    log_return,
    over_average,
    relative_strength,
    rolling,
    share,
)
from perennial.commands.example.samples import FloatArray, Samples, TimeArray

PACKAGE = Package(
    requirement="skfolio==1.12.2",
    archive_sha256="2d324c62a4188dc0b62a713f8d5cea177e208a5b45987e3d3f204dd56d3a669b",
    source=False,
    member="skfolio/datasets/data/sp500_dataset.csv.gz",
    sha256="ee21cac28befb1d0a739a9ceb22184f995394726aa0cfde9a21941d1ac04ac0d",
)
_CLOSING = time(16, tzinfo=ZoneInfo("America/New_York"))


@dataclass(frozen=True, slots=True)
class Closes:
    """(days, shares), oldest first."""

    series: tuple[str, ...]
    ends: TimeArray
    close: FloatArray


def parse_closes(data: bytes) -> Closes:
    """The gzipped file: a row a day, a column a share. A close is known when the exchange closes, 16:00 in New York."""
    header, *rows = csv.reader(io.StringIO(gzip.decompress(data).decode()))
    closings = [datetime.combine(datetime.fromisoformat(row[0]), _CLOSING).astimezone(UTC) for row in rows]
    ends = np.array([closing.replace(tzinfo=None) for closing in closings], dtype="datetime64[us]")
    return Closes(tuple(header[1:]), ends, np.array([row[1:] for row in rows], dtype=float))


def build_features(closes: Closes) -> dict[str, FloatArray]:
    """What is known at each close, (days, shares) each; NaN until there is enough past."""
    close = closes.close
    change = log_return(close, 1)
    month, quarter = rolling(change, 21, np.std), rolling(change, 63, np.std)
    market = np.broadcast_to(change.mean(axis=1, keepdims=True), close.shape)
    rank = np.argsort(np.argsort(log_return(close, 21), axis=1), axis=1) / max(close.shape[1] - 1, 1)
    days = closes.ends.astype("datetime64[D]").astype(np.int64)
    weekday = [np.broadcast_to(part[:, None], close.shape) for part in cycle((days + 3) % 7 / 7)]
    return {
        **{f"ret_{steps}": log_return(close, steps) for steps in (1, 2, 5, 10, 21, 63, 252)},
        "vol_21": month,
        "vol_63": quarter,
        "vol_ratio": share(month, quarter),
        "rsi_14": relative_strength(close, 14),
        "channel_63": channel_position(close, 63),
        "over_ma_21": over_average(close, 21),
        "over_ma_252": over_average(close, 252),
        "market_ret_1": market,
        "market_ret_5": rolling(market, 5, np.sum),
        "market_vol_21": rolling(market, 21, np.std),
        "beside_market": change - market,
        "rank_21": np.where(np.isnan(log_return(close, 21)), np.nan, rank),
        "weekday_sin": weekday[0],
        "weekday_cos": weekday[1],
    }


def build_samples(data: bytes) -> Samples:
    """A sample a share and day, from the first with a year behind it to the last but one."""
    closes = parse_closes(data)
    features = build_features(closes)
    shares, days = len(closes.series), len(closes.ends) - 1
    values = np.stack(list(features.values()), axis=-1)[:days].reshape(days * shares, -1)
    reward = (closes.close[1:] / closes.close[:-1] - 1).reshape(-1)
    at = np.repeat(closes.ends[:-1], shares)
    series = np.tile(np.array(closes.series), days)
    samples = Samples(
        ids=np.char.add(np.char.add(series, "-"), np.datetime_as_string(at, unit="D")),
        series=series,
        at=at,
        features=tuple(features),
        values=values,
        target=(reward > 0).astype(np.int64),
        reward=reward,
        resolved_at=np.repeat(closes.ends[1:], shares),
    )
    return samples.complete()
