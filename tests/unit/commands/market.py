"""Made-up market files in the shape of the real ones."""

import gzip
import string
from datetime import UTC, datetime, timedelta

import numpy as np

BEGIN = datetime(2020, 3, 1, tzinfo=UTC)


def candles(hours: int, seed: int = 1, begin: datetime = BEGIN) -> bytes:
    """A file of hourly candles, newest first, below a line of origin and a header."""
    dice = np.random.default_rng(seed)
    close = 5000 * np.exp(np.cumsum(dice.normal(0, 0.01, hours)))
    opened = np.concatenate([[5000.0], close[:-1]])
    high = np.maximum(opened, close) * (1 + dice.uniform(0, 0.01, hours))
    low = np.minimum(opened, close) * (1 - dice.uniform(0, 0.01, hours))
    volume = dice.lognormal(4, 1, hours)
    rows = [
        f"{begin + timedelta(hours=i):%Y-%m-%d %I-%p},BTCUSD,{opened[i]},{high[i]},{low[i]},{close[i]},{volume[i]},0"
        for i in reversed(range(hours))
    ]
    return "\n".join(["https://origin", "date,symbol,open,high,low,close,volume_btc,volume", *rows, ""]).encode()


def closes(days: int, seed: int = 1, begin: datetime = BEGIN, shares: int = 3) -> bytes:
    """A gzipped file of daily closes of some shares."""
    dice = np.random.default_rng(seed)
    prices = 50 * np.exp(np.cumsum(dice.normal(0, 0.02, (days, shares)), axis=0))
    rows = [f"{begin + timedelta(days=i):%Y-%m-%d}," + ",".join(map(str, prices[i])) for i in range(days)]
    names = ",".join(3 * letter for letter in string.ascii_uppercase[:shares])
    return gzip.compress("\n".join([f"Date,{names}", *rows, ""]).encode())
