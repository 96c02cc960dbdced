"""The looks of `domain.evidence` over arrays: the same sums as `adapters.store.queries`, at a simulated instant."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perennial.adapters.recording import Floats, Ints, to_instant, to_micros
from perennial.domain.evidence import (
    CALIBRATION_BINS,
    BlockRow,
    CalibrationBin,
    HealthLook,
    PairBlock,
    PairLook,
    SampleCounts,
    VersionBlock,
    late_slack,
)
from perennial.replay.predictions import LIVE, Predictions
from perennial_contract.recording import UNRESOLVED
from perennial_contract.samples import Decision, SampleContract

Bools = NDArray[np.bool_]


def count_samples(predictions: Predictions, since: datetime, now: datetime) -> SampleCounts:
    """`SampleStore.observe_counts`."""
    history, visible_until = predictions.history, now - predictions.label_delay
    end = int(np.searchsorted(history.at, to_micros(now), "right"))
    rows = rows_between(predictions, since, visible_until)
    known = predictions.known_at[rows] <= to_micros(now)
    fresh = np.flatnonzero(known & ~np.isnan(history.target[rows]))
    dated = int(np.searchsorted(predictions.resolutions, to_micros(now), "right"))
    return SampleCounts(
        rows=end,
        resolved=int(np.searchsorted(predictions.arrivals, to_micros(now), "right")),
        newest_at=to_instant(history.at[end - 1]) if end else None,
        newest_resolved_at=to_instant(predictions.resolutions[dated - 1]) if dated else None,
        resolved_since=len(fresh),
        oldest_since=to_instant(history.at[rows.start + fresh[0]]) if len(fresh) else None,
        visible_until=visible_until,
    )


def rows_between(predictions: Predictions, since: datetime, until: datetime) -> slice:
    """The rows with since < at ≤ until."""
    ends = np.searchsorted(predictions.history.at, [to_micros(since), to_micros(until)], "right")
    return slice(int(ends[0]), int(ends[1]))


def look_at_health(
    predictions: Predictions,
    contract: SampleContract,
    decision: Decision,
    version: str,
    since: datetime,
    until: datetime,
    block_seconds: int,
    blocks_since: datetime | None = None,
) -> HealthLook:
    """`SampleStore.observe_health`."""
    begin = since + timedelta(microseconds=1)
    rows = rows_between(predictions, min(blocks_since or begin, begin) - timedelta(microseconds=1), until)
    scored = predictions.versions.get(version)
    live = scored.tracks(rows) == LIVE if scored else np.zeros(rows.stop - rows.start, dtype=np.bool_)
    score = scored.of(rows)[live] if scored else np.empty(0)
    history, visible = predictions.history, to_micros(until - contract.label_delay)
    at, resolved_at = history.at[rows][live], history.resolved_at[rows][live]
    target, reward = history.target[rows][live], history.reward[rows][live]
    resolved = ~np.isnan(target) & (predictions.known_at[rows][live] <= to_micros(until))
    young, inside = at > visible, at > to_micros(since)
    seconds = at // 1_000_000
    allowed = (contract.label_delay + late_slack(contract.label_delay)).total_seconds()
    late = resolved & (resolved_at != UNRESOLVED) & (resolved_at // 1_000_000 - seconds > allowed)
    evidence = ~young & resolved & counts(decision, reward)
    length = unit_seconds(at[evidence], block_seconds)

    def summed(chosen: Bools) -> tuple[tuple[BlockRow, ...], tuple[CalibrationBin, ...]]:
        return sum_rows(decision, at[chosen], score[chosen], target[chosen], reward[chosen], length)

    blocks, bins = summed(evidence & inside)
    return HealthLook(
        blocks=blocks,
        earlier=summed(evidence & ~inside)[0],
        block_seconds=length,
        bins=_with_pending(bins, decision, score[inside & ~resolved]),
        total=int(inside.sum()),
        resolved=int((inside & resolved).sum()),
        overdue=int((inside & ~young & ~resolved).sum()),
        late=int((inside & late).sum()),
        newest_resolved=to_instant(at[evidence & inside][-1]) if (evidence & inside).any() else None,
    )


def unit_seconds(at: Ints, block_seconds: int) -> int:
    """The length of time blocks of evidence, whose times are ascending: twice as long where one would hold several."""
    several = (np.diff(at) > 0) & (np.diff(at // 1_000_000 // block_seconds) == 0)
    return 2 * block_seconds if several.any() else block_seconds


def _with_pending(bins: tuple[CalibrationBin, ...], decision: Decision, score: Floats) -> tuple[CalibrationBin, ...]:
    """The bins with what has no outcome yet: its scores, by side."""
    up = score >= decision.threshold
    sides = {"up": up, "down": ~up}
    columns = {f"pending_{side}": chosen.astype(float) for side, chosen in sides.items()}
    columns |= {f"pending_{side}_sum": np.where(chosen, score, 0.0) for side, chosen in sides.items()}
    ids, sums = _grouped(_bin_of(score), columns)
    found = {bin_.bin: bin_ for bin_ in bins}
    for position, key in enumerate(ids):
        values: dict[str, Any] = {name: float(column[position]) for name, column in sums.items()}
        values |= {name: int(values[name]) for name in ("pending_up", "pending_down")}
        found[key] = replace(found.get(key, CalibrationBin(key, 0, 0.0, 0, 0.0)), **values)
    return tuple(found[key] for key in sorted(found))


def _bin_of(score: Floats) -> Ints:
    return np.minimum((score * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def counts(decision: Decision, reward: Floats) -> Bools:
    """Direction leaves out draws: at a reward of exactly 0 neither side was right."""
    return np.ones(len(reward), dtype=np.bool_) if decision.rule == "Selection" else np.not_equal(reward, 0)


def acts_and_wins(decision: Decision, score: Floats, target: Floats) -> tuple[Bools, Bools]:
    """Which rows were acted on, and which of them were right."""
    up = score >= decision.threshold
    if decision.rule == "Selection":
        return up, up & (target == 1)
    return np.ones(len(score), dtype=np.bool_), up == (target == 1)


def sum_rows(
    decision: Decision, at: Ints, score: Floats, target: Floats, reward: Floats, block_seconds: int
) -> tuple[tuple[BlockRow, ...], tuple[CalibrationBin, ...]]:
    """Evidence as sums by block and by calibration bin, n rows each."""
    if not len(at):
        return (), ()
    acted, won = acts_and_wins(decision, score, target)
    gain = np.where(score >= decision.threshold, reward, -reward)
    rewarded = acted & ~np.isnan(reward)
    gain = np.where(rewarded, gain, 0.0)
    variance = score * (1 - score)
    columns: dict[str, NDArray[Any]] = {
        "n": np.ones(len(at)),
        "acted": acted,
        "wins": won,
        "reward_sum": gain,
        "reward_gain": np.maximum(gain, 0),
        "reward_loss": np.maximum(-gain, 0),
        "reward_sq": gain**2,
        "rewarded": rewarded,
        "brier_sum": (target - score) ** 2,
        "score_sum": score,
        "score_var_sum": variance,
        "spiegelhalter_num": (target - score) * (1 - 2 * score),
        "spiegelhalter_den": (1 - 2 * score) ** 2 * variance,
        "confidence_sum": np.maximum(score, 1 - score),
    }
    block = at // 1_000_000 // block_seconds
    ids, sums = _grouped(block, columns)
    bins, binned = _grouped(
        _bin_of(score),
        {"n": columns["n"], "score_sum": score, "target_sum": target, "score_var_sum": variance},
    )
    for name in ("n", "acted", "wins", "rewarded"):
        sums[name] = sums[name].astype(np.int64)
    rows = zip(*(column.tolist() for column in sums.values()), strict=True)
    return (
        tuple(BlockRow(block, **dict(zip(sums, row, strict=True))) for block, row in zip(ids, rows, strict=True)),
        tuple(
            CalibrationBin(bin=key, n=int(n), score_sum=scores, target_sum=int(targets), score_var_sum=spread)
            for key, n, scores, targets, spread in zip(bins, *(binned[c].tolist() for c in binned), strict=True)
        ),
    )


def _grouped(keys: Ints, columns: Mapping[str, NDArray[Any]]) -> tuple[list[int], dict[str, NDArray[Any]]]:
    ids, position = np.unique(keys, return_inverse=True)
    sums: dict[str, NDArray[Any]] = {
        name: np.bincount(position, np.asarray(values, float), len(ids)) for name, values in columns.items()
    }
    return [int(key) for key in ids], sums


def look_at_pairs(
    predictions: Predictions,
    contract: SampleContract,
    decision: Decision,
    sides: Mapping[str, str],
    since: datetime,
    step_since: datetime,
    until: datetime,
    block_seconds: int,
) -> PairLook:
    """`SampleStore.observe_pairs`."""
    rows = rows_between(predictions, min(since, step_since), until)
    history = predictions.history
    at, target, reward = history.at[rows], history.target[rows], history.reward[rows]
    resolved = ~np.isnan(target) & (predictions.known_at[rows] <= to_micros(until))
    due = (at > to_micros(since)) & (at <= to_micros(until - contract.label_delay))
    step = at > to_micros(step_since)
    evidence = due & resolved & counts(decision, reward)
    block = at // 1_000_000 // block_seconds
    empty = np.zeros(len(at), dtype=np.int8)
    tracks, acted, won = {}, {}, {}
    for side, uid in sides.items():
        scored = predictions.versions.get(uid)
        tracks[side] = scored.tracks(rows) if scored else empty
        score = scored.of(rows) if scored else np.full(len(at), np.nan)
        acted[side], won[side] = acts_and_wins(decision, score, target)
    both = (tracks["stable"] > 0) & (tracks["canary"] > 0)
    compared = evidence & both
    scored_by = {side: due & (track > 0) for side, track in tracks.items()}
    first = block[scored_by["canary"]].min(initial=np.iinfo(np.int64).max)
    return PairLook(
        blocks=_pair_blocks(block, compared, acted, won),
        unpaired=tuple(
            row
            for side, uid in sides.items()
            for row in _version_blocks(uid, block, evidence & (tracks[side] == LIVE), acted[side], won[side])
        ),
        paired=int((due & both).sum()),
        stable_scored=int((scored_by["stable"] & (block >= first)).sum()),
        canary_scored=int(scored_by["canary"].sum()),
        resolved_since=int((compared & step).sum()),
        live_by_version={uid: int(((tracks[side] == LIVE) & step).sum()) for side, uid in sides.items()},
    )


def _pair_blocks(
    block: Ints, compared: Bools, acted: Mapping[str, Bools], won: Mapping[str, Bools]
) -> tuple[PairBlock, ...]:
    utility = {side: 2 * won[side].astype(np.int64) - acted[side] for side in acted}
    difference = utility["canary"] - utility["stable"]
    columns = {
        "n": np.ones(len(block)),
        "utility_sum": difference,
        "utility_sq": difference**2,
        "stable_acted": acted["stable"],
        "stable_wins": won["stable"],
        "canary_acted": acted["canary"],
        "canary_wins": won["canary"],
    }
    ids, sums = _grouped(block[compared], {name: column[compared] for name, column in columns.items()})
    whole = zip(*(_whole(column) for column in sums.values()), strict=True)
    return tuple(PairBlock(key, *row) for key, row in zip(ids, whole, strict=True))


def _version_blocks(uid: str, block: Ints, live: Bools, acted: Bools, won: Bools) -> list[VersionBlock]:
    ids, sums = _grouped(block[live], {"n": np.ones(int(live.sum())), "acted": acted[live], "wins": won[live]})
    whole = zip(*(_whole(column) for column in sums.values()), strict=True)
    return [VersionBlock(uid, key, *row) for key, row in zip(ids, whole, strict=True)]


def _whole(sums: NDArray[Any]) -> list[int]:
    """Counts, which were summed as floats."""
    found: list[int] = np.rint(sums).astype(np.int64).tolist()
    return found
