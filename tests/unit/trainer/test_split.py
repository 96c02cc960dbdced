"""No row is trained on whose outcome was not known before the first scored row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial_contract.task import HoldoutRule
from perennial_trainer.dataset import Rows
from perennial_trainer.errors import NotEnoughData
from perennial_trainer.split import MIN_TRAINING_ROWS, check_count, split_rows, split_stopping

HOUR = 3_600_000_000


def rows_of(at: list[int], delays: list[int], label_delay: int) -> Rows:
    """Rows with hours and resolution delays in hours."""
    times = np.sort(np.array(at, dtype=np.int64)) * HOUR
    resolved = times + np.array(delays, dtype=np.int64) * HOUR
    return Rows(
        at=times,
        known_at=np.maximum(resolved, times + label_delay * HOUR),
        target=(np.arange(len(at)) % 2).astype(np.float64),
        reward=np.full(len(at), np.nan),
        features=np.zeros((len(at), 1)),
        columns=("x",),
        fingerprint="",
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[Rows, int]:
    count = draw(st.integers(160, 400))
    span = draw(st.integers(5, 600))
    at = draw(st.lists(st.integers(0, span), min_size=count, max_size=count))
    delays = draw(st.lists(st.integers(0, 40), min_size=count, max_size=count))
    label_delay = draw(st.integers(0, 24))
    return rows_of(at, delays, label_delay), label_delay


@settings(max_examples=80, deadline=None)
@given(histories(), st.floats(0.01, 0.8), st.integers(1, 60), st.none() | st.integers(-50, 700))
def test_every_outcome_trained_on_was_known_before_the_holdout_began(
    history: tuple[Rows, int], share: float, min_rows: int, trained_until: int | None
) -> None:
    rows, label_delay = history
    until = None if trained_until is None else trained_until * HOUR
    try:
        check_count(rows, HoldoutRule(share=share, min_rows=min_rows))
        split = split_rows(rows, HoldoutRule(share=share, min_rows=min_rows), until)
    except NotEnoughData:
        return
    first = rows.at[split.holdout].min()
    assert first >= split.start
    assert (rows.known_at[split.training] < split.start).all()
    assert (rows.at[split.training] + label_delay * HOUR < first).all()
    # The holdout is the newest rows, and one timestamp is never on both sides.
    assert rows.at[~split.holdout].max() < first
    assert int(split.holdout.sum()) >= min_rows
    assert int(split.training.sum()) >= MIN_TRAINING_ROWS
    assert int(split.training.sum()) + int(split.holdout.sum()) + split.purged == len(rows)
    if until is not None:
        assert split.start >= until


@settings(max_examples=50, deadline=None)
@given(histories())
def test_the_early_stopping_slice_is_purged_like_the_holdout(history: tuple[Rows, int]) -> None:
    rows, _ = history
    parts = split_stopping(rows.at, rows.known_at)
    if parts is None:
        return
    fit, stop = parts
    assert not (fit & stop).any()
    assert (rows.known_at[fit] < rows.at[stop].min()).all()
    assert rows.at[~stop].max() < rows.at[stop].min()


def test_the_share_decides_above_the_minimum_and_the_minimum_below_it() -> None:
    rows = rows_of(list(range(1_000)), [0] * 1_000, 0)
    assert split_rows(rows, HoldoutRule(share=0.3, min_rows=100), None).holdout.sum() == 300
    assert split_rows(rows, HoldoutRule(share=0.3, min_rows=400), None).holdout.sum() == 400


def test_a_late_outcome_is_purged_even_when_its_label_delay_is_over() -> None:
    delays = [0] * 1_000
    delays[10] = 900  # resolved within the holdout
    split = split_rows(rows_of(list(range(1_000)), delays, 0), HoldoutRule(share=0.2, min_rows=100), None)
    assert not split.training[10]
    assert split.purged == 1


def test_a_champion_trained_on_newer_rows_moves_the_start_behind_its_own() -> None:
    rows = rows_of(list(range(1_000)), [0] * 1_000, 5)
    split = split_rows(rows, HoldoutRule(share=0.2, min_rows=100), 850 * HOUR)
    assert split.start == 850 * HOUR
    assert split.holdout.sum() == 150


def test_too_little_left_behind_a_champion_says_how_much() -> None:
    rows = rows_of(list(range(1_000)), [0] * 1_000, 5)
    with pytest.raises(NotEnoughData, match=r"50 resolved rows since .*; 100 needed \(holdout.minRows\)"):
        split_rows(rows, HoldoutRule(share=0.2, min_rows=100), 950 * HOUR)


def test_too_few_rows_says_how_many_there_are_and_how_many_are_needed() -> None:
    rows = rows_of(list(range(150)), [0] * 150, 0)
    with pytest.raises(NotEnoughData, match="150 resolved rows, 200 needed"):
        check_count(rows, HoldoutRule(share=0.2, min_rows=100))
    check_count(rows, HoldoutRule(share=0.2, min_rows=100), min_training=50)


def test_training_labels_that_are_all_equal_are_refused_though_the_holdout_has_both() -> None:
    rows = rows_of(list(range(1_000)), [0] * 1_000, 0)
    rows.target[:800] = 1
    with pytest.raises(NotEnoughData, match="all 800 labels before the holdout are 1"):
        split_rows(rows, HoldoutRule(share=0.2, min_rows=100), None)


def test_a_brought_model_needs_no_training_rows() -> None:
    rows = rows_of(list(range(120)), [0] * 120, 0)
    split = split_rows(rows, HoldoutRule(share=0.5, min_rows=120), None, min_training=0)
    assert split.holdout.all()


def test_few_rows_are_not_spent_on_early_stopping() -> None:
    rows = rows_of(list(range(150)), [0] * 150, 0)
    assert split_stopping(rows.at, rows.known_at) is None
