"""Samples as arrays, before they go to a file: which to take, when they happen, how they are written."""

import csv
import gzip
import io
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
TimeArray = npt.NDArray[np.datetime64]

_EPOCH = np.datetime64(0, "us")


@dataclass(frozen=True, slots=True)
class Samples:
    """n samples in the order of time, every one with its outcome."""

    ids: npt.NDArray[np.str_]
    series: npt.NDArray[np.str_]
    at: TimeArray
    """UTC, microseconds; as is ``resolved_at``."""
    features: tuple[str, ...]
    values: FloatArray
    """(n, features)."""
    target: npt.NDArray[np.int64]
    reward: FloatArray
    resolved_at: TimeArray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: npt.NDArray[np.bool_]) -> "Samples":
        """The chosen ones."""
        return replace(
            self,
            ids=self.ids[chosen],
            series=self.series[chosen],
            at=self.at[chosen],
            values=self.values[chosen],
            target=self.target[chosen],
            reward=self.reward[chosen],
            resolved_at=self.resolved_at[chosen],
        )

    def complete(self) -> "Samples":
        """Those with every feature: the others do not have enough past."""
        return self.take(np.asarray(np.isfinite(self.values).all(axis=1)))

    def between(self, since: datetime | None, until: datetime | None) -> "Samples":
        """Those with since ≤ at < until."""
        chosen = np.ones(len(self), dtype=bool)
        if since is not None:
            chosen &= self.at >= as_time(since)
        if until is not None:
            chosen &= self.at < as_time(until)
        return self.take(chosen)

    def split(self, moment: datetime) -> "tuple[Samples, Samples]":
        """History, whose outcomes were all known at the moment, and what began from it on. What was under way is left
        out: its outcome would tell the history about the future."""
        return self.take(self.resolved_at <= as_time(moment)), self.take(self.at >= as_time(moment))

    def compress(self, factor: float, anchor: datetime, end: datetime) -> "Samples":
        """Time made to run ``factor`` times as fast, with ``anchor`` put at ``end``."""

        def moved(times: TimeArray) -> TimeArray:
            micros = (times - as_time(anchor)).astype(np.int64) / factor
            return as_time(end) + np.round(micros).astype("timedelta64[us]")

        return replace(self, at=moved(self.at), resolved_at=moved(self.resolved_at))


def as_time(moment: datetime) -> np.datetime64:
    """An aware instant as numpy keeps it."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def as_datetime(time: np.datetime64) -> datetime:
    """And back."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int((time - _EPOCH).astype(np.int64)))


def write_samples(samples: Samples, path: Path) -> None:
    """A CSV that `perennial store load` takes; gzipped when the name ends in .gz."""
    with ExitStack() as opened:
        raw = opened.enter_context(path.open("wb"))
        packed = opened.enter_context(gzip.open(raw, "wb", compresslevel=6)) if path.suffix == ".gz" else raw
        with io.TextIOWrapper(packed, encoding="utf-8", newline="") as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(["id", "series", "at", *samples.features, "target", "reward", "resolved_at"])
            writer.writerows(
                [key, series, f"{at}Z", *(f"{value:.9g}" for value in values), target, f"{reward:.9g}", f"{resolved}Z"]
                for key, series, at, values, target, reward, resolved in zip(
                    samples.ids.tolist(),
                    samples.series.tolist(),
                    np.datetime_as_string(samples.at).tolist(),
                    samples.values.tolist(),
                    samples.target.tolist(),
                    samples.reward.tolist(),
                    np.datetime_as_string(samples.resolved_at).tolist(),
                    strict=True,
                )
            )
