"""Looks into sample stores that never were: made of arrays, a row a prediction, in the order of time."""

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from perennial.domain.blocks import health_block_seconds
from perennial.domain.evidence import BlockRow, CalibrationBin, HealthLook, PairBlock, PairLook, first_open_block
from perennial_contract.samples import SampleContract

HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
CONTRACT = SampleContract(label_delay=5 * HOUR)

Floats = NDArray[np.float64]


def health_look(
    wins: NDArray[np.bool_],
    *,
    step: timedelta = HOUR,
    contract: SampleContract = CONTRACT,
    scores: Floats | None = None,
    targets: NDArray[np.bool_] | None = None,
    rewards: Floats | None = None,
    overdue: int = 0,
) -> HealthLook:
    """A look at predictions that ended ``step`` apart; without scores the model says 0.5 of everything."""
    rows = len(wins)
    at = np.arange(rows) * step.total_seconds()
    seconds = health_block_seconds(contract.label_delay, timedelta(days=30))
    seconds = seconds if step.total_seconds() >= seconds else 2 * seconds
    block = at // seconds
    if rows:  # the newest block is the one that is still open at NOW
        block += first_open_block(NOW, contract.label_delay, seconds) - block[-1]
    p = np.full(rows, 0.5) if scores is None else scores
    y = (wins if targets is None else targets).astype(float)
    reward = np.zeros(rows) if rewards is None else rewards
    spread = p * (1 - p)
    columns = {
        "n": np.ones(rows),
        "wins": wins.astype(float),
        "reward_sum": reward,
        "reward_gain": np.maximum(reward, 0),
        "reward_loss": np.maximum(-reward, 0),
        "reward_sq": reward**2,
        "brier_sum": (y - p) ** 2,
        "score_sum": p,
        "score_var_sum": spread,
        "spiegelhalter_num": (y - p) * (1 - 2 * p),
        "spiegelhalter_den": (1 - 2 * p) ** 2 * spread,
        "confidence_sum": np.maximum(p, 1 - p),
    }
    ids, where = np.unique(block.astype(np.int64), return_inverse=True)
    sums = {name: np.bincount(where, column, len(ids)).tolist() for name, column in columns.items()}
    counts = [int(n) for n in sums.pop("n")]
    wins_by_block = [int(n) for n in sums.pop("wins")]
    blocks = tuple(
        BlockRow(
            block=number,
            n=n,
            acted=n,
            wins=won,
            rewarded=n if rewards is not None else 0,
            **dict(zip(sums, values, strict=True)),
        )
        for number, n, won, *values in zip(ids.tolist(), counts, wins_by_block, *sums.values(), strict=True)
    )
    bins = np.minimum((p * 10).astype(int), 9)
    return HealthLook(
        blocks=blocks,
        earlier=(),
        block_seconds=seconds,
        bins=tuple(
            CalibrationBin(
                int(b),
                int((bins == b).sum()),
                float(p[bins == b].sum()),
                int(y[bins == b].sum()),
                float(spread[bins == b].sum()),
            )
            for b in np.unique(bins)
        ),
        total=rows + overdue,
        resolved=rows,
        overdue=overdue,
        late=0,
        newest_resolved=NOW - contract.label_delay if rows else None,
    )


def pair_look(differences: NDArray[np.int64], block_seconds: int, *, step: timedelta = HOUR) -> PairLook:
    """Pairs of two Direction models: +2 where the canary alone is right, −2 where the stable version is, else 0."""
    rows = len(differences)
    block = (np.arange(rows) * step.total_seconds() // block_seconds).astype(int)
    ids, where = np.unique(block, return_inverse=True)
    n = np.bincount(where, minlength=len(ids))
    total = np.bincount(where, differences, len(ids)).astype(np.int64)
    squares = np.bincount(where, differences**2, len(ids)).astype(np.int64)
    return PairLook(
        blocks=tuple(
            PairBlock(number, rows, difference, square, rows, 0, rows, 0)
            for number, rows, difference, square in zip(
                ids.tolist(), n.tolist(), total.tolist(), squares.tolist(), strict=True
            )
        ),
        unpaired=(),
        paired=rows,
        stable_scored=rows,
        canary_scored=rows,
        resolved_since=rows,
        live_by_version={"stable": rows, "canary": 0},
    )
