"""Rows that the looks brought back, as the values of `perennial.domain.evidence`."""

import math
from collections.abc import Sequence
from itertools import dropwhile
from typing import Any

from sqlalchemy import Row, RowMapping

from perennial.adapters.store.queries import BIN, EARLIER_BLOCK, PAIR_SUMS, SIDES, WINDOW_BLOCK
from perennial.domain.evidence import (
    BlockRow,
    CalibrationBin,
    HealthLook,
    PairBlock,
    PairLook,
    StoreMisconfigured,
    VersionBlock,
)

_COUNTS = ("n", "acted", "wins", "rewarded")
_OF_REWARDS = ("reward_sum", "reward_gain", "reward_loss", "reward_sq")
_OF_SCORES = (
    "brier_sum",
    "score_sum",
    "score_var_sum",
    "spiegelhalter_num",
    "spiegelhalter_den",
    "confidence_sum",
)


def _finite(row: RowMapping, names: tuple[str, ...], column: str) -> dict[str, Any]:
    found = {name: float(row[name]) for name in names}
    for number in found.values():
        if not math.isfinite(number):
            raise StoreMisconfigured(column, f"a sum of it is {number}", "remove rows with NaN or infinity")
    return found


def read_health(rows: Sequence[Row[Any]], block_seconds: int) -> HealthLook:
    """The rows of `build_health_query` as a look; ``block_seconds`` is what was asked for."""
    by_key = sorted((row._mapping for row in rows), key=lambda row: int(row["key"]))
    blocks, bins, earlier = ([r for r in by_key if r["kind"] == k] for k in (WINDOW_BLOCK, BIN, EARLIER_BLOCK))
    totals = {name: sum(int(row[name]) for row in blocks) for name in ("total", "resolved", "overdue", "late")}
    return HealthLook(
        blocks=tuple(_read_block(row) for row in blocks if row["n"]),
        earlier=tuple(_read_block(row) for row in earlier if row["n"]),
        block_seconds=block_seconds * max((int(row["merged"]) for row in by_key), default=1),
        bins=tuple(_read_bin(row) for row in bins if row["n"] or row["pending_up"] or row["pending_down"]),
        newest_resolved=max((row["newest"] for row in blocks if row["newest"] is not None), default=None),
        **totals,
    )


def _read_bin(row: RowMapping) -> CalibrationBin:
    counts = {name: int(row[name]) for name in ("n", "target_sum", "pending_up", "pending_down")}
    scores = ("score_sum", "score_var_sum", "pending_up_sum", "pending_down_sum")
    return CalibrationBin(bin=int(row["key"]), **counts, **_finite(row, scores, "predictions.score"))


def _read_block(row: RowMapping) -> BlockRow:
    sums: dict[str, Any] = {name: int(row[name]) for name in _COUNTS}
    sums |= _finite(row, _OF_REWARDS, "samples.reward") | _finite(row, _OF_SCORES, "predictions.score")
    return BlockRow(block=int(row["key"]), **sums)


def read_pairs(rows: Sequence[Row[Any]], versions: dict[str, str]) -> PairLook:
    """The rows of `build_pairs_query` as a look."""
    found = [{name: int(value) for name, value in row._mapping.items()} for row in rows]

    def total(name: str) -> int:
        return sum(row[name] for row in found)

    both_there = dropwhile(lambda row: not row["canary_scored"], found)
    return PairLook(
        blocks=tuple(
            PairBlock(block=row["block"], **{name: row[name] for name in PAIR_SUMS}) for row in found if row["n"]
        ),
        unpaired=tuple(
            VersionBlock(
                version=versions[side],
                block=row["block"],
                n=row[f"{side}_live_n"],
                acted=row[f"{side}_live_acted"],
                wins=row[f"{side}_live_wins"],
            )
            for side in SIDES
            for row in found
            if row[f"{side}_live_n"]
        ),
        paired=total("paired"),
        stable_scored=sum(row["stable_scored"] for row in both_there),
        canary_scored=total("canary_scored"),
        resolved_since=total("resolved_since"),
        live_by_version={versions[side]: total(f"{side}_served_since") for side in SIDES},
    )
