"""Rows as neighbours in their series: which ones a row looks back on, and which of their outcomes it may know."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from perennial_contract.sequence import MAX_GAP_STEPS, Sequence, series_key
from perennial_trainer.reading import BoolArray, FloatArray, IntArray

SHORT = "with too short a history"
GAP = f"with a gap of more than {MAX_GAP_STEPS} of the series' steps in their window"
MISSING = "with a missing value in their window"
UNSEEN = "of a series unseen in training"
_NEVER = 2**30
"""Rows until an outcome is known that never came."""
_WINDOW_ROWS_AT_ONCE = 400_000
"""Rows of windows: at 30 features 100 MB."""

Faults = dict[str, BoolArray]
"""Rows that a model cannot score, by the first reason that holds: a mask a reason."""


class Columns(Protocol):
    """A model's columns of a table, read by row numbers."""

    def __getitem__(self, rows: IntArray, /) -> FloatArray:
        """(…, k) for numbers of shape (…)."""
        ...


@dataclass(frozen=True)
class Sequences:
    """The rows of a table in time order, resolved or not.

    A row's window is what stands before it in its series: rows count, not hours, so that nights and weekends are no
    holes. Nothing is computed before it is asked for.
    """

    series: IntArray
    """(n,) hash of the series."""
    at: IntArray
    """(n,) µs, ascending."""
    known_at: IntArray
    """(n,) when the outcome counts as known, µs."""
    target: FloatArray
    """(n,) 0 or 1; NaN: there is none (yet)."""
    label_delay: int
    """µs."""

    def __len__(self) -> int:
        return len(self.at)

    @cached_property
    def order(self) -> IntArray:
        """(n,) row numbers by series and time."""
        return np.argsort(self.series, kind="stable").astype(np.int64)

    @cached_property
    def place(self) -> IntArray:
        """(n,) where each row stands in `order`."""
        place = np.empty(len(self), dtype=np.int64)
        place[self.order] = np.arange(len(self))
        return place

    @cached_property
    def head(self) -> IntArray:
        """(n,) rows of its series before each row."""
        begin = self._bounds[:-1]
        head: IntArray = self.place - np.repeat(begin, np.diff(self._bounds))[self.place]
        return head

    @cached_property
    def lag(self) -> IntArray:
        """(n,) how many rows later in its series each outcome is known: strictly before that row's ``at``."""
        lag = np.empty(len(self), dtype=np.int64)
        for begin, end in zip(self._bounds[:-1], self._bounds[1:], strict=True):
            rows = self.order[begin:end]
            first = np.searchsorted(self.at[rows], self.known_at[rows], side="right")
            lag[rows] = np.where(first < len(rows), first - np.arange(len(rows)), _NEVER)
        lag[np.isnan(self.target)] = _NEVER
        return lag

    @cached_property
    def _bounds(self) -> IntArray:
        """Where series begin in `order`, and the end."""
        begins = np.flatnonzero(np.diff(self.series[self.order])) + 1
        return np.concatenate([[0], begins, [len(self)]]).astype(np.int64)

    def steps(self, rows: IntArray) -> dict[str, int]:
        """Each series' median distance between neighbours among some rows, µs; a single row has none."""
        chosen = rows[np.lexsort((self.at[rows], self.series[rows]))]
        parts = np.split(chosen, np.flatnonzero(np.diff(self.series[chosen])) + 1)
        return {
            series_key(int(self.series[part[0]])): max(1, int(np.median(np.diff(self.at[part]))))
            for part in parts
            if len(part) > 1
        }

    def windows(self, rows: IntArray, length: int) -> IntArray:
        """(r, length + 1) row numbers: what stands before each row, oldest first, and the row itself.

        Before a series begins there is −1.
        """
        back = np.arange(length, -1, -1)
        numbers: IntArray = self.order[np.maximum(self.place[rows][:, np.newaxis] - back, 0)]
        numbers[self.head[rows][:, np.newaxis] < back] = -1
        return numbers

    def past_targets(self, windows: IntArray) -> FloatArray:
        """(r, length) of windows without −1: −1 and 1 for a target of 0 and 1, 0 where it is not known at the row."""
        past = windows[:, :-1]
        known = self.lag[past] <= np.arange(past.shape[1], 0, -1)
        return np.where(known, 2 * np.nan_to_num(self.target[past]) - 1, 0.0)


@dataclass(frozen=True)
class Past:
    """Where rows stand in their table: what a model that looks back needs beside them."""

    sequences: Sequences
    rows: IntArray
    """(r,) their numbers."""
    columns: Columns
    """The model's columns of the table."""

    def part(self, chosen: BoolArray) -> "Past":
        """The same of some of the rows."""
        return Past(self.sequences, self.rows[chosen], self.columns)

    def chunks(self, length: int) -> "Iterator[Past]":
        """The same a piece at a time: the windows of all rows together are many times the table.

        Args:
            length: of the windows.
        """
        step = max(1, _WINDOW_ROWS_AT_ONCE // (length + 1))
        for begin in range(0, len(self.rows), step):
            yield Past(self.sequences, self.rows[begin : begin + step], self.columns)

    def faults(self, shape: Sequence) -> Faults:
        """Which of the rows a model with such windows cannot score, and why."""
        found = [part._faults(shape) for part in self.chunks(shape.input_size)]
        return {reason: np.concatenate([part[reason] for part in found]) for reason in found[0]} if found else {}

    def _faults(self, shape: Sequence) -> Faults:
        table = self.sequences
        hashes, which = np.unique(table.series[self.rows], return_inverse=True)
        step = np.array([shape.steps.get(series_key(int(one)), 0) for one in hashes], dtype=np.int64)[which]
        windows = table.windows(self.rows, shape.input_size)
        whole = np.maximum(windows, 0)
        reasons = (
            (UNSEEN, step == 0),
            (SHORT, windows[:, 0] < 0),
            (GAP, (np.diff(table.at[whole], axis=1) > MAX_GAP_STEPS * step[:, np.newaxis]).any(axis=1)),
            (MISSING, self._incomplete(whole)),
        )
        found, left = {}, np.ones(len(self.rows), dtype=np.bool_)
        for reason, mask in reasons:
            found[reason] = mask & left
            left = left & ~mask
        return found

    def _incomplete(self, windows: IntArray) -> BoolArray:
        """Whether a window has a value that is no number; each row of the table is looked at once."""
        rows, which = np.unique(windows, return_inverse=True)
        missing = np.logical_or.reduce(~np.isfinite(self.columns[rows]), axis=-1)
        result: BoolArray = np.logical_or.reduce(missing[which].reshape(windows.shape), axis=1)
        return result


def any_fault(faults: Faults, rows: int) -> BoolArray:
    """(rows,) whether there is a reason at all."""
    result: BoolArray = np.logical_or.reduce([np.zeros(rows, dtype=np.bool_), *faults.values()])
    return result


def describe_faults(faults: Faults) -> str:
    """``12 with too short a history, 3 with a missing value in their window``."""
    return ", ".join(f"{int(mask.sum())} {reason}" for reason, mask in faults.items() if mask.any())
