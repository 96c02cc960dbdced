"""A feature's mean over the series at each timestamp: `adapters.store.queries.build_series_query` over a recording."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from perennial.adapters.recording import History, Ints, to_instant, to_micros
from perennial.domain.evidence import SeriesLook, StoreMisconfigured
from perennial_contract.recording import VALUES_FILE
from perennial_contract.regime import LARGEST


@dataclass(frozen=True, slots=True)
class Series:
    """All of it, made once: n timestamps, ascending."""

    micros: Ints
    at: Sequence[datetime]
    mean: Sequence[float]


def find_series(history: History, column: str) -> int:
    """Where a column stands in the recording.

    Raises:
        StoreMisconfigured: it was not recorded, or is no number.
    """
    numbers = {f.name: place for place, f in enumerate(history.recording.features, start=2) if f.dtype != "bool"}
    if column not in numbers:
        value = f"{history.recording.table!r} has no numeric column {column!r}"
        raise StoreMisconfigured("spec.regime.column", value, f"name one of {', '.join(numbers)}")
    return numbers[column]


def build_series(history: History, column: str) -> Series:
    """The series of a recorded column.

    Raises:
        StoreMisconfigured: as `find_series`.
    """
    values = np.load(history.folder / VALUES_FILE, mmap_mode="r", allow_pickle=False)
    found = np.array(values[:, find_series(history, column)])
    usable = np.abs(found) <= LARGEST
    micros, position = np.unique(history.at[usable], return_inverse=True)
    sums, rows = np.bincount(position, found[usable], len(micros)), np.bincount(position, minlength=len(micros))
    return Series(micros, [to_instant(moment) for moment in micros], (sums / rows).tolist())


def look_at_series(series: Series, visible_until: datetime, limit: int) -> SeriesLook:
    """`SampleStore.observe_series`."""
    end = int(np.searchsorted(series.micros, to_micros(visible_until), "right"))
    newest = slice(max(0, end - limit), end)
    return SeriesLook(tuple(series.at[newest]), tuple(series.mean[newest]), visible_until)
