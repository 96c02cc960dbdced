"""Windows of a series, and which outcomes they may know: against a row-by-row reference."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial_contract.sequence import Sequence, series_key
from perennial_trainer.sequences import GAP, MISSING, SHORT, UNSEEN, Past, Sequences, any_fault, describe_faults

HOUR = 3_600_000_000


@st.composite
def tables(draw: Any) -> tuple[Sequences, int]:
    """A few series with steps of their own, outcomes that come early, late or never; and a window's length."""
    rows = []
    delay = draw(st.integers(1, 5)) * HOUR
    for series in draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=3, unique=True)):
        at = draw(st.integers(0, 3)) * HOUR
        for _ in range(draw(st.integers(1, 12))):
            at += draw(st.integers(1, 4)) * HOUR
            late = draw(st.sampled_from([0, 0, HOUR, 7 * HOUR]))
            rows.append((at, series, at + delay + late, draw(st.sampled_from([0.0, 1.0, np.nan]))))
    rows.sort(key=lambda row: row[:2])
    at, series, known_at, target = (np.array(column) for column in zip(*rows, strict=True))
    return Sequences(series.astype(np.int64), at, known_at, target.astype(float), delay), draw(st.integers(1, 5))


def reference(table: Sequences, row: int, length: int) -> tuple[list[int], list[float]] | None:
    """Row numbers of the window and past targets; None: too short."""
    before = [n for n in range(len(table)) if table.series[n] == table.series[row] and table.at[n] < table.at[row]]
    if len(before) < length:
        return None
    past = before[-length:]
    told = [
        0.0 if np.isnan(table.target[n]) or not table.known_at[n] < table.at[row] else 2 * table.target[n] - 1
        for n in past
    ]
    return [*past, row], told


@given(tables())
@settings(max_examples=200, deadline=None)
def test_windows_are_what_a_row_by_row_look_finds(case: tuple[Sequences, int]) -> None:
    table, length = case
    rows = np.arange(len(table))
    windows = table.windows(rows, length)
    for row in rows:
        wanted = reference(table, int(row), length)
        assert (windows[row][0] < 0) == (wanted is None)
        if wanted:
            assert windows[row].tolist() == wanted[0]
            assert table.past_targets(windows[[row]])[0].tolist() == wanted[1]


@given(tables(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_what_is_not_known_yet_changes_nothing(case: tuple[Sequences, int], dice: Any) -> None:
    """Whatever becomes of outcomes that are younger than the label delay at a row, its window stays the same."""
    table, length = case
    row = dice.randrange(len(table))
    other = table.target.copy()
    for n in np.flatnonzero(table.known_at >= table.at[row]):
        other[n] = dice.choice([0.0, 1.0, np.nan])
    changed = Sequences(table.series, table.at, table.known_at, other, table.label_delay)
    window = table.windows(np.array([row]), length)
    if window[0][0] >= 0:
        assert (table.past_targets(window) == changed.past_targets(window)).all()


def test_the_first_reason_that_holds_is_the_one_that_is_given() -> None:
    at = np.array([0, 1, 2, 3, 9, 10, 11, 12]) * HOUR
    series = np.ones(8, dtype=np.int64)
    table = Sequences(series, at, at + HOUR, np.ones(8), HOUR)
    columns = np.ones((8, 2))
    columns[2, 1] = np.nan
    shape = Sequence(input_size=2, label_delay="1h", steps={series_key(1): HOUR})  # type: ignore[arg-type]
    faults = Past(table, np.arange(8), columns).faults(shape)
    assert {reason: np.flatnonzero(mask).tolist() for reason, mask in faults.items() if mask.any()} == {
        SHORT: [0, 1],
        GAP: [4, 5],  # six steps lie between the fourth and the fifth row
        MISSING: [2, 3],
    }
    assert any_fault(faults, 8).tolist() == [True] * 6 + [False] * 2
    assert describe_faults(faults) == f"2 {SHORT}, 2 {GAP}, 2 {MISSING}"
    unknown = shape.model_copy(update={"steps": {series_key(2): HOUR}})
    assert Past(table, np.arange(8), columns).faults(unknown)[UNSEEN].all()


def test_a_gap_of_exactly_five_steps_is_none() -> None:
    at = np.array([0, 1, 6, 11 * HOUR + 1]) * np.array([HOUR, HOUR, HOUR, 1])
    table = Sequences(np.zeros(4, dtype=np.int64), at, at, np.ones(4), HOUR)
    shape = Sequence(input_size=1, label_delay="1h", steps={series_key(0): HOUR})  # type: ignore[arg-type]
    assert Past(table, np.arange(4), np.ones((4, 1))).faults(shape)[GAP].tolist() == [False, False, False, True]


def test_a_series_step_is_its_median_distance() -> None:
    at = np.array([0, 1, 2, 3, 60, 61]) * HOUR
    series = np.array([1, 2, 1, 1, 1, 3])
    table = Sequences(series, at, at, np.ones(6), HOUR)
    assert table.steps(np.arange(6)) == {series_key(1): 2 * HOUR}
    assert table.steps(np.array([2, 3])) == {series_key(1): HOUR}


@pytest.mark.parametrize(("rows", "length"), [(0, 3), (1, 3), (40_000, 3), (40_000, 100), (5, 2**20)])
def test_pieces_make_a_whole(rows: int, length: int) -> None:
    at = np.arange(max(rows, 1)) * HOUR
    table = Sequences(np.zeros(len(at), dtype=np.int64), at, at, np.ones(len(at)), HOUR)
    past = Past(table, np.arange(rows), np.ones((len(at), 1)))
    pieces = [part.rows for part in past.chunks(length)]
    assert np.concatenate([np.empty(0, int), *pieces]).tolist() == list(range(rows))
    assert all(len(piece) * (length + 1) <= 400_000 or len(piece) == 1 for piece in pieces)
    shape = Sequence(input_size=3, label_delay="1h", steps={series_key(0): HOUR})  # type: ignore[arg-type]
    assert int(any_fault(past.faults(shape), rows).sum()) == min(rows, 3)
