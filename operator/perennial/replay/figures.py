"""How a replayed model did: with retraining, and with its first version left alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from perennial.adapters.recording import Floats, Ints, to_instant, to_micros
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import Interval
from perennial.domain.blocks import health_block_seconds
from perennial.domain.comparison import Acts, compare_win_rates
from perennial.domain.performance import win_rate_of
from perennial.replay.looks import acts_and_wins, counts, sum_rows, unit_seconds
from perennial.replay.predictions import Predictions
from perennial.replay.report import CurvePoint, Performance, WinRateDifference
from perennial_contract.samples import Decision

POINTS = 120
"""Of a curve."""
LEAST_EFFECTIVE = 10.0
"""A point that rests on fewer effective outcomes says nothing."""


@dataclass(frozen=True)
class Record:
    """What came of a model's answers by the end of the replay; n rows, in the order of time."""

    decision: Decision
    table: str
    block_seconds: int
    row: Ints
    """Its number in the history."""
    at: Ints
    target: Floats
    reward: Floats
    score: Floats

    def rows(self, chosen: slice) -> "Record":
        """Some of the rows."""
        parts = (self.row[chosen], self.at[chosen], self.target[chosen], self.reward[chosen], self.score[chosen])
        return Record(self.decision, self.table, self.block_seconds, *parts)

    @property
    def acts(self) -> Acts:
        """What was done, and what of it was right."""
        return Acts(*acts_and_wins(self.decision, self.score, self.target))


def build_records(
    spec: ModelDeploymentSpec, predictions: Predictions, alone: Floats, until: datetime
) -> tuple[Record, Record]:
    """The answers that clients got, and those of the first version, on the very same samples.

    Args:
        alone: (n,) the first version's scores.
        until: the end: what was not evidence by then is not counted.
    """
    history = predictions.history
    resolved = ~np.isnan(history.target) & (predictions.visible_at <= to_micros(until))
    chosen = resolved & ~np.isnan(predictions.live_score) & counts(spec.decision, history.reward)
    row = np.flatnonzero(chosen)
    at, target, reward = history.at[chosen], history.target[chosen], history.reward[chosen]
    seconds = unit_seconds(history.at, health_block_seconds(spec.samples.label_delay, spec.health.window))
    common = (spec.decision, spec.samples.table, seconds, row, at, target, reward)
    return Record(*common, predictions.live_score[chosen]), Record(*common, alone[chosen])


def describe(record: Record, cost: float) -> Performance:
    """Win rate, rewards net of costs, and Brier score."""
    if not len(record.at):
        return Performance()
    blocks, _ = sum_rows(record.decision, record.at, record.score, record.target, record.reward, record.block_seconds)
    rated, rewarded = win_rate_of(blocks), sum(block.rewarded for block in blocks)
    net = sum(block.reward_sum for block in blocks) - cost * rewarded
    return Performance(
        win_rate=rated[2] if rated else None,
        average_reward=net / rewarded if rewarded else None,
        total_reward=net if rewarded else None,
        brier=sum(block.brier_sum for block in blocks) / len(record.at),
    )


def difference_of(first: Record, second: Record) -> WinRateDifference | None:
    """First − second, on the samples that both answered; None where these are too few, or of different tables."""
    if (first.table, first.block_seconds) != (second.table, second.block_seconds):
        return None
    _, ours, theirs = np.intersect1d(first.row, second.row, assume_unique=True, return_indices=True)
    if not len(ours):
        return None
    one, other = _taken(first.acts, ours), _taken(second.acts, theirs)
    found = compare_win_rates(first.at[ours] // 1_000_000 // first.block_seconds, one, other)
    if found is None:
        return None
    return WinRateDifference(
        value=found.value,
        lower=found.lower,
        upper=found.upper,
        outcomes=found.outcomes,
        effective_outcomes=found.effective_outcomes,
        blocks=found.blocks,
    )


def _taken(acts: Acts, chosen: Ints) -> Acts:
    return Acts(acts.acted[chosen], acts.won[chosen])


def draw_curve(
    with_: Record, without: Record, window: timedelta, since: datetime, until: datetime
) -> Iterator[CurvePoint]:
    """Win rates over the window that ends at each of some evenly spread instants."""
    if not len(with_.at):
        return
    begins = max(to_micros(since), int(with_.at[0]))
    for end in np.linspace(begins, to_micros(until), POINTS + 1)[1:].astype(np.int64):
        edges = np.searchsorted(with_.at, [int(end) - to_micros(window), int(end)], "right")
        rows = slice(int(edges[0]), int(edges[1]))
        found = [_interval(record.rows(rows)) for record in (with_, without)]
        if any(found):
            at = to_instant(int(end)).replace(microsecond=0)
            yield CurvePoint(at=at, with_retraining=found[0], without_retraining=found[1])


def _interval(record: Record) -> Interval | None:
    if not len(record.at):
        return None
    blocks, _ = sum_rows(record.decision, record.at, record.score, record.target, record.reward, record.block_seconds)
    rated = win_rate_of(blocks)
    return rated[2] if rated and rated[1] >= LEAST_EFFECTIVE else None
