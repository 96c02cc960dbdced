"""The looks as SQL: each is one statement that brings back sums by block, bin and version."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Label,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.sql.selectable import CompoundSelect

from perennial.adapters.store.expressions import (
    acts,
    bin_of,
    block_of,
    double_of,
    earned,
    floor_divide,
    is_evidence,
    is_late,
    reward_of,
    score_of,
    target_of,
    wins,
)
from perennial.adapters.store.schema import predictions_table, samples_table
from perennial_contract.regime import LARGEST
from perennial_contract.samples import Decision, SampleContract

HEALTH_SUMS = (
    "n",
    "acted",
    "wins",
    "reward_sum",
    "reward_gain",
    "reward_loss",
    "reward_sq",
    "rewarded",
    "brier_sum",
    "score_sum",
    "score_var_sum",
    "spiegelhalter_num",
    "spiegelhalter_den",
    "confidence_sum",
    "target_sum",
    "total",
    "resolved",
    "overdue",
    "late",
    "pending_up",
    "pending_up_sum",
    "pending_down",
    "pending_down_sum",
)
PAIR_SUMS = ("n", "utility_sum", "utility_sq", "stable_acted", "stable_wins", "canary_acted", "canary_wins")
SIDES = ("stable", "canary")
WINDOW_BLOCK, BIN, EARLIER_BLOCK = range(3)
"""Kinds of rows in a look at health."""

# By position: a label would lose to a feature column of the same name.
_FIRST: ColumnElement[int] = literal_column("1")
_SECOND: ColumnElement[int] = literal_column("2")
_THIRD: ColumnElement[int] = literal_column("3")


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(condition)


def _sum(value: ColumnElement[Any], condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(value).filter(condition), 0)


def _labelled(sums: dict[str, ColumnElement[Any]], names: Iterable[str]) -> list[Label[Any]]:
    return [sums[name].label(name) for name in names]


def build_health_query(
    contract: SampleContract,
    decision: Decision,
    *,
    model: str,
    version: str,
    since: datetime,
    until: datetime,
    block_seconds: int,
    blocks_since: datetime | None = None,
) -> CompoundSelect[Any]:
    """Rows (kind, key, merged, *HEALTH_SUMS, newest), a row a block or bin: `WINDOW_BLOCK`, `BIN` or `EARLIER_BLOCK`.

    ``merged``: how many times ``block_seconds`` a block is long.
    """
    predictions, samples = predictions_table(contract.predictions_table), samples_table(contract.table)
    at, score = predictions.c.at, score_of(predictions)
    target, reward = target_of(samples), reward_of(samples)
    young = at > until - contract.label_delay
    resolved = samples.c.target.is_not(None)
    evidence = and_(~young, is_evidence(decision, samples))
    acted = and_(evidence, acts(decision, score))
    gain = earned(decision, score, reward)
    variance = score * (1 - score)
    up, down = and_(~resolved, score >= decision.threshold), and_(~resolved, score < decision.threshold)
    sums: dict[str, ColumnElement[Any]] = {
        "n": _count(evidence),
        "acted": _count(acted),
        "wins": _count(and_(evidence, wins(decision, score, target))),
        "reward_sum": _sum(gain, acted),
        "reward_gain": _sum(gain, and_(acted, gain > 0)),
        "reward_loss": _sum(-gain, and_(acted, gain < 0)),
        "reward_sq": _sum(gain * gain, acted),
        "rewarded": _count(and_(acted, reward.is_not(None))),
        "brier_sum": _sum((target - score) * (target - score), evidence),
        "score_sum": _sum(score, evidence),
        "score_var_sum": _sum(variance, evidence),
        "spiegelhalter_num": _sum((target - score) * (1 - 2 * score), evidence),
        "spiegelhalter_den": _sum((1 - 2 * score) * (1 - 2 * score) * variance, evidence),
        "confidence_sum": _sum(case((score >= 0.5, score), else_=1 - score), evidence),
        "target_sum": _sum(target, evidence),
        "total": func.count(),
        "resolved": _count(resolved),
        "overdue": _count(and_(~young, ~resolved)),
        "late": _count(and_(resolved, is_late(at, samples, contract.label_delay))),
        "pending_up": _count(up),
        "pending_up_sum": _sum(score, up),
        "pending_down": _count(down),
        "pending_down_sum": _sum(score, down),
    }
    begin = since + timedelta(microseconds=1)
    cells = (
        select(
            block_of(at, block_seconds).label("block"),
            bin_of(score).label("bin"),
            case((at > since, 1), else_=0).label("inside"),
            *_labelled(sums, HEALTH_SUMS),
            func.min(at).filter(evidence).label("oldest"),
            func.max(at).filter(evidence).label("newest"),
        )
        .select_from(predictions.outerjoin(samples, samples.c.id == predictions.c.sample_id))
        .where(
            predictions.c.model == model,
            predictions.c.version == version,
            predictions.c.track == "live",
            at >= min(blocks_since or begin, begin),
            at <= until,
        )
        .group_by(_FIRST, _SECOND, _THIRD)
        .cte("perennial_cells")
    )
    merged = _blocks_merged(cells)
    block = floor_divide(cells.c.block, merged)
    return union_all(
        _fold(cells, WINDOW_BLOCK, block, merged, inside=1),
        _fold(cells, BIN, cells.c.bin, merged, inside=1),
        _fold(cells, EARLIER_BLOCK, block, merged, inside=0),
    )


def _blocks_merged(cells: FromClause) -> ColumnElement[int]:
    """1 where no block holds two timestamps of evidence, else 2."""
    several = func.max(cells.c.newest) > func.min(cells.c.oldest)
    spread = select(case((several, 2), else_=1).label("merged")).group_by(cells.c.block).cte("perennial_spread")
    widest = select(func.coalesce(func.max(spread.c.merged), 1).label("merged")).cte("perennial_widest")
    return select(widest.c.merged).scalar_subquery()


def _fold(
    cells: FromClause, kind: int, key: ColumnElement[int], merged: ColumnElement[int], *, inside: int
) -> Select[Any]:
    """The cells of the window, or of the time before it, summed over all but one of their axes."""
    sums: dict[str, ColumnElement[Any]] = {name: func.sum(cells.c[name]) for name in HEALTH_SUMS}
    return (
        select(
            literal(kind, Integer).label("kind"),
            key.label("key"),
            merged.label("merged"),
            *_labelled(sums, HEALTH_SUMS),
            func.max(cells.c.newest).label("newest"),
        )
        .where(cells.c.inside == inside)
        .group_by(_SECOND)
    )


def build_pairs_query(
    contract: SampleContract,
    decision: Decision,
    *,
    model: str,
    stable: str,
    canary: str,
    since: datetime,
    step_since: datetime,
    until: datetime,
    block_seconds: int,
) -> Select[Any]:
    """Rows (block, *PAIR_SUMS, paired, resolved_since, and for each side what it scored and served), by block."""
    predictions, samples = predictions_table(contract.predictions_table), samples_table(contract.table)
    both = _scores_by_sample(predictions, model, {"stable": stable, "canary": canary}, min(since, step_since), until)
    at, target = both.c.at, target_of(samples)
    in_evidence = and_(at > since, at <= until - contract.label_delay)
    evidence = and_(in_evidence, is_evidence(decision, samples))
    this_step = at > step_since
    score = {side: both.c[f"{side}_score"] for side in SIDES}
    scored = {side: score[side].is_not(None) for side in SIDES}
    paired = and_(scored["stable"], scored["canary"])
    compared = and_(evidence, paired)
    acted = {side: acts(decision, score[side]) for side in SIDES}
    won = {side: wins(decision, score[side], target) for side in SIDES}
    utility = {side: 2 * cast(won[side], Integer) - cast(acted[side], Integer) for side in SIDES}
    difference = utility["canary"] - utility["stable"]
    sums: dict[str, ColumnElement[Any]] = {
        "n": _count(compared),
        "utility_sum": _sum(difference, compared),
        "utility_sq": _sum(difference * difference, compared),
        "paired": _count(and_(in_evidence, paired)),
        "resolved_since": _count(and_(compared, this_step)),
    }
    for side in SIDES:
        live = both.c[f"{side}_live"] > 0
        sums |= {
            f"{side}_acted": _count(and_(compared, acted[side])),
            f"{side}_wins": _count(and_(compared, won[side])),
            f"{side}_scored": _count(and_(in_evidence, scored[side])),
            f"{side}_live_n": _count(and_(evidence, live)),
            f"{side}_live_acted": _count(and_(evidence, live, acted[side])),
            f"{side}_live_wins": _count(and_(evidence, live, won[side])),
            f"{side}_served_since": _count(and_(live, this_step)),
        }
    return (
        select(block_of(at, block_seconds).label("block"), *_labelled(sums, sums))
        .select_from(both.outerjoin(samples, samples.c.id == both.c.sample_id))
        .group_by(_FIRST)
        .order_by(_FIRST)
    )


def _scores_by_sample(
    predictions: FromClause, model: str, versions: dict[str, str], since: datetime, until: datetime
) -> FromClause:
    """One row a sample: what each side said of it, and whether it was the one that answered the client."""
    score = score_of(predictions)
    is_side = {side: predictions.c.version == version for side, version in versions.items()}
    return (
        select(
            predictions.c.sample_id,
            func.min(predictions.c.at).label("at"),
            *(func.max(score).filter(is_side[side]).label(f"{side}_score") for side in SIDES),
            *(_count(and_(is_side[side], predictions.c.track == "live")).label(f"{side}_live") for side in SIDES),
        )
        .where(
            predictions.c.model == model,
            predictions.c.version.in_(list(versions.values())),
            predictions.c.at > since,
            predictions.c.at <= until,
        )
        .group_by(predictions.c.sample_id)
        .cte("perennial_scores")
    )


def build_counts_query(table: str, label_delay: timedelta, *, since: datetime, now: datetime) -> Select[Any]:
    """One row: the fields of SampleCounts."""
    samples = samples_table(table)
    resolved = samples.c.target.is_not(None)
    fresh = and_(resolved, samples.c.at > since, samples.c.at <= now - label_delay)
    counts: tuple[Label[Any], ...] = (
        func.count().label("rows"),
        _count(resolved).label("resolved"),
        func.max(samples.c.at).label("newest_at"),
        func.max(samples.c.resolved_at).label("newest_resolved_at"),
        _count(fresh).label("resolved_since"),
        func.min(samples.c.at).filter(fresh).label("oldest_since"),
    )
    return select(*counts).where(samples.c.at <= now)


def build_series_query(contract: SampleContract, column: str, *, until: datetime, limit: int) -> Select[Any]:
    """Rows (at, mean), newest first. NaN is out of range: PostgreSQL holds it for greater than any number."""
    samples = samples_table(contract.table, (column,))
    value = double_of(samples.c[column])
    return (
        select(samples.c.at, func.avg(value).label("mean"))
        .where(samples.c.at <= until - contract.label_delay, value.between(-LARGEST, LARGEST))
        .group_by(samples.c.at)
        .order_by(samples.c.at.desc())
        .limit(limit)
    )
