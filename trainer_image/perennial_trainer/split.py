"""Cuts rows in time, forward only: what is scored is newer than everything that was known when training ended."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from perennial_contract.durations import format_duration
from perennial_contract.task import HoldoutRule
from perennial_trainer.dataset import Rows
from perennial_trainer.errors import NotEnoughData
from perennial_trainer.instants import to_instant
from perennial_trainer.reading import BoolArray, IntArray

MIN_TRAINING_ROWS = 100
"""Below this there is nothing to fit."""
_STOPPING_SHARE = 0.15
_MIN_STOPPING_ROWS = 50


@dataclass(frozen=True)
class Split:
    """Masks over the rows. Purged rows are in none of them."""

    training: BoolArray
    holdout: BoolArray
    start: int
    """The holdout's first instant, µs since 1970."""
    purged: int
    """Rows older than the holdout whose outcome was not known when it began."""


def check_count(rows: Rows, rule: HoldoutRule, min_training: int = MIN_TRAINING_ROWS) -> None:
    """Raises NotEnoughData when there are fewer rows than the two sides of a split need together."""
    needed = rule.min_rows + min_training
    if len(rows) < needed:
        raise NotEnoughData(
            f"{len(rows)} resolved rows, {needed} needed: {rule.min_rows} for the holdout (holdout.minRows) and "
            f"{min_training} for training"
        )


def check_span(rows: Rows, split: Split, label_delay: int) -> None:
    """Raises NotEnoughData when the holdout is shorter than one outcome takes: there is no independent row in it."""
    span = int(rows.at[-1]) - split.start
    if span < label_delay:
        raise NotEnoughData(
            f"holdout: its {int(split.holdout.sum())} rows span {format_duration(timedelta(microseconds=span))}, less "
            f"than samples.labelDelay ({format_duration(timedelta(microseconds=label_delay))}): "
            "raise holdout.share or holdout.minRows"
        )


def split_rows(
    rows: Rows, rule: HoldoutRule, trained_until: int | None, min_training: int = MIN_TRAINING_ROWS
) -> Split:
    """The newest rows are the holdout; training ends where every outcome in it was known before the holdout began.

    Args:
        rows: in time order, and enough of them (`check_count`).
        rule: the holdout's share and minimum.
        trained_until: where the holdout of an existing model began that is scored too, µs since 1970: what that model
            was trained on was known by then. None: there is no such model.
        min_training: rows that training needs; 0 where nothing is trained.

    Raises:
        NotEnoughData: either side has too few rows; the message says how many there are and how many are needed.
    """
    start = int(rows.at[len(rows) - max(rule.min_rows, ceil(rule.share * len(rows)))])
    if trained_until is not None and trained_until > start:
        start = trained_until
        left = int((rows.at >= start).sum())
        if left < rule.min_rows:
            raise NotEnoughData(
                f"{left} resolved rows since {to_instant(start).isoformat()}, where the training of a model under "
                f"comparison ended; {rule.min_rows} needed (holdout.minRows)"
            )
    split = cut(rows, start)
    if min_training:
        _check_training(rows, split, min_training)
    return split


def cut(rows: Rows, start: int) -> Split:
    """Rows from ``start`` on are the holdout, those known before it are for training."""
    holdout = rows.at >= start
    training = ~holdout & (rows.known_at < start)
    return Split(training, holdout, start, int((~holdout & ~training).sum()))


def split_stopping(at: IntArray, known_at: IntArray) -> tuple[BoolArray, BoolArray] | None:
    """(fit, stop) over the training rows: early stopping gets the newest of them, purged like the holdout.

    None when too few rows are left on either side for the slice to say anything.
    """
    start = at[len(at) - ceil(_STOPPING_SHARE * len(at))]
    stop = at >= start
    fit = ~stop & (known_at < start)
    if int(stop.sum()) < _MIN_STOPPING_ROWS or int(fit.sum()) < MIN_TRAINING_ROWS:
        return None
    return fit, stop


def _check_training(rows: Rows, split: Split, needed: int) -> None:
    count = int(split.training.sum())
    if count < needed:
        raise NotEnoughData(
            f"{count} rows for training whose outcome was known before the holdout begins "
            f"({to_instant(split.start).isoformat()}), {needed} needed"
        )
    labels = rows.target[split.training]
    if labels.min() == labels.max():
        raise NotEnoughData(
            f"column target: all {count} labels before the holdout are {int(labels[0])}; a model needs both 0 and 1"
        )
