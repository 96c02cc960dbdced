"""The looks once more, row by row in plain Python, and the random stores that both are asked about."""

import math
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, insert

from perennial.adapters.store.schema import predictions_table, reports_table, samples_table
from perennial.domain.evidence import (
    BlockRow,
    CalibrationBin,
    HealthLook,
    PairBlock,
    PairLook,
    SampleCounts,
    SeriesLook,
    VersionBlock,
)
from perennial_contract.samples import Decision, SampleContract

START = datetime(2024, 1, 1, tzinfo=UTC)
MODEL, STABLE, CANARY = "spot/ensemble", "uid-stable", "uid-canary"


@dataclass
class Sample:
    id: str
    at: datetime | None = None
    target: int | None = None
    reward: float | None = None
    resolved_at: datetime | None = None
    x: float | None = None


@dataclass
class Prediction:
    version: str
    sample_id: str
    track: str
    score: float
    at: datetime
    model: str = MODEL


@dataclass
class Recorded:
    samples: dict[str, Sample] = field(default_factory=dict)
    predictions: list[Prediction] = field(default_factory=list)

    def write(self, engine: Engine, contract: SampleContract) -> None:
        """Creates the tables and fills them."""
        samples = samples_table(contract.table, ("block", "bin", "User", "x"))
        predictions = predictions_table(contract.predictions_table)
        for table in (samples, predictions, reports_table()):
            table.metadata.create_all(engine)
        rows = [
            vars(sample) | {"series": "S", "block": 1.5, "bin": -2.5, "User": 0} for sample in self.samples.values()
        ]
        with engine.begin() as connection:
            if rows:
                connection.execute(insert(samples), rows)
            if self.predictions:
                connection.execute(insert(predictions), [vars(prediction) for prediction in self.predictions])


def record(seed: int, count: int, label_delay: timedelta) -> Recorded:
    """A store in which everything happens that may: draws, gaps, late, missing and early outcomes, two other models."""
    dice = random.Random(seed)
    found = Recorded()
    for index in range(count):
        sample = Sample(f"s{index}", at=START + dice.choice([0.25, 1, 7]) * timedelta(minutes=dice.randrange(600)))
        assert sample.at is not None
        if dice.random() < 0.75:
            sample.target = dice.randrange(2)
            sample.reward = dice.choice([None, 0.0, dice.gauss(0, 0.02)])
            sample.resolved_at = dice.choice([None, sample.at + label_delay * dice.choice([0.5, 1.0, 1.05, 1.5])])
        predicted_at = sample.at
        sample.x = dice.choice([None, math.nan, math.inf, -1e101, *(dice.gauss(0, 1) for _ in range(4))])
        if dice.random() < 0.05:
            sample.at = None
        if dice.random() < 0.95:
            found.samples[sample.id] = sample
        for version in (STABLE, CANARY, "uid-old"):
            if dice.random() < 0.8:
                score = dice.choice([0.0, 0.5, 1.0, dice.random(), dice.random()])
                track = dice.choice(["live", "shadow"])
                found.predictions.append(Prediction(version, sample.id, track, score, predicted_at))
        found.predictions.append(Prediction(STABLE, sample.id, "live", 0.9, predicted_at, model="spot/another"))
    return found


def expected_health(
    recorded: Recorded,
    contract: SampleContract,
    decision: Decision,
    *,
    since: datetime,
    until: datetime,
    block_seconds: int,
    blocks_since: datetime | None = None,
) -> HealthLook:
    visible = until - contract.label_delay
    late_after = contract.label_delay + max(contract.label_delay / 10, timedelta(minutes=1))
    inside: list[tuple[Prediction, Sample]] = []
    before: list[tuple[Prediction, Sample]] = []
    bins: dict[int, dict[str, Any]] = defaultdict(lambda: defaultdict(float))
    total = resolved = overdue = late = 0
    for row in recorded.predictions:
        live = row.model == MODEL and row.version == STABLE and row.track == "live" and row.at <= until
        sample = recorded.samples.get(row.sample_id, Sample(""))
        evidence = live and row.at <= visible and sample.target is not None and _counts(decision, sample)
        if evidence and row.at <= since and blocks_since is not None and row.at >= blocks_since:
            before.append((row, sample))
        if not live or row.at <= since:
            continue
        total += 1
        if sample.target is None:
            overdue += row.at <= visible
            side = "up" if row.score >= decision.threshold else "down"
            bins[_bin(row.score)][f"pending_{side}"] += 1
            bins[_bin(row.score)][f"pending_{side}_sum"] += row.score
            continue
        resolved += 1
        late += sample.resolved_at is not None and sample.resolved_at - row.at > late_after
        if evidence:
            inside.append((row, sample))
    times = {row.at for row, _ in inside + before}
    block_seconds *= 2 if len({_block(at, block_seconds) for at in times}) < len(times) else 1
    for row, sample in inside:
        cell, p = bins[_bin(row.score)], row.score
        for name, value in {"n": 1, "score_sum": p, "target_sum": sample.target, "score_var_sum": p * (1 - p)}.items():
            cell[name] += value
    fields = [name for name in CalibrationBin.__slots__ if name != "bin"]
    return HealthLook(
        blocks=_blocks(inside, decision, block_seconds),
        earlier=_blocks(before, decision, block_seconds),
        block_seconds=block_seconds,
        bins=tuple(CalibrationBin(key, **{name: bins[key][name] for name in fields}) for key in sorted(bins)),
        total=total,
        resolved=resolved,
        overdue=overdue,
        late=late,
        newest_resolved=max((row.at for row, _ in inside), default=None),
    )


def _bin(score: float) -> int:
    return min(9, int(score * 10))


def _block(at: datetime, block_seconds: int) -> int:
    return int(at.timestamp() // block_seconds)


def _blocks(rows: list[tuple[Prediction, Sample]], decision: Decision, block_seconds: int) -> tuple[BlockRow, ...]:
    sums: dict[int, dict[str, Any]] = defaultdict(lambda: defaultdict(float))
    for row, sample in rows:
        p, y = row.score, sample.target or 0
        acted, won = _action(decision, p, y)
        block = sums[_block(row.at, block_seconds)]
        block["n"] += 1
        block["acted"] += acted
        block["wins"] += won
        if acted and sample.reward is not None:
            gain = sample.reward if p >= decision.threshold else -sample.reward
            block["rewarded"] += 1
            block["reward_sum"] += gain
            block["reward_gain"] += max(gain, 0)
            block["reward_loss"] += max(-gain, 0)
            block["reward_sq"] += gain**2
        block["brier_sum"] += (y - p) ** 2
        block["score_sum"] += p
        block["score_var_sum"] += p * (1 - p)
        block["spiegelhalter_num"] += (y - p) * (1 - 2 * p)
        block["spiegelhalter_den"] += (1 - 2 * p) ** 2 * p * (1 - p)
        block["confidence_sum"] += max(p, 1 - p)
    names = [name for name in BlockRow.__slots__ if name != "block"]
    return tuple(BlockRow(key, **{name: sums[key][name] for name in names}) for key in sorted(sums))


def expected_pairs(
    recorded: Recorded,
    contract: SampleContract,
    decision: Decision,
    *,
    since: datetime,
    step_since: datetime,
    until: datetime,
    block_seconds: int,
) -> PairLook:
    visible = until - contract.label_delay
    by_sample = _scored_by_either(recorded, until)
    pairs: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    alone: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    live = {STABLE: 0, CANARY: 0}
    paired = fresh = 0
    scored: dict[str, list[int]] = {STABLE: [], CANARY: []}
    for sample_id, rows in by_sample.items():
        at = min(row.at for row in rows.values())
        for version, row in rows.items():
            live[version] += row.track == "live" and at > step_since
        if not since < at <= visible:
            continue
        paired += len(rows) == 2
        block = _block(at, block_seconds)
        for version in rows:
            scored[version].append(block)
        sample = recorded.samples.get(sample_id, Sample(""))
        if sample.target is None or not _counts(decision, sample):
            continue
        actions = {version: _action(decision, row.score, sample.target) for version, row in rows.items()}
        for version, row in rows.items():
            if row.track == "live":
                alone[version, block].append(actions[version])
        if len(rows) == 2:
            fresh += at > step_since
            (stable_acted, stable_won), (canary_acted, canary_won) = actions[STABLE], actions[CANARY]
            difference = (2 * canary_won - canary_acted) - (2 * stable_won - stable_acted)
            pairs[block].append((1, difference, difference**2, stable_acted, stable_won, canary_acted, canary_won))
    return PairLook(
        blocks=tuple(PairBlock(key, *map(sum, zip(*pairs[key], strict=True))) for key in sorted(pairs)),
        unpaired=tuple(
            VersionBlock(version, block, len(rows), sum(acted for acted, _ in rows), sum(won for _, won in rows))
            for (version, block), rows in sorted(alone.items(), key=lambda item: (item[0][0] != STABLE, item[0][1]))
        ),
        paired=paired,
        stable_scored=sum(block >= min(scored[CANARY]) for block in scored[STABLE]) if scored[CANARY] else 0,
        canary_scored=len(scored[CANARY]),
        resolved_since=fresh,
        live_by_version=live,
    )


def _scored_by_either(recorded: Recorded, until: datetime) -> dict[str, dict[str, Prediction]]:
    by_sample: dict[str, dict[str, Prediction]] = defaultdict(dict)
    for row in recorded.predictions:
        if row.model == MODEL and row.version in {STABLE, CANARY} and row.at <= until:
            by_sample[row.sample_id][row.version] = row
    return by_sample


def expected_counts(recorded: Recorded, contract: SampleContract, *, since: datetime, now: datetime) -> SampleCounts:
    placed = [sample for sample in recorded.samples.values() if sample.at is not None and sample.at <= now]
    ended = [sample for sample in placed if sample.target is not None]
    visible = now - contract.label_delay
    times = [sample.at for sample in ended if sample.at is not None and since < sample.at <= visible]
    return SampleCounts(
        rows=len(placed),
        resolved=len(ended),
        newest_at=max((sample.at for sample in placed if sample.at is not None), default=None),
        newest_resolved_at=max((row.resolved_at for row in placed if row.resolved_at is not None), default=None),
        resolved_since=len(times),
        oldest_since=min(times, default=None),
        visible_until=visible,
    )


def expected_series(recorded: Recorded, contract: SampleContract, *, until: datetime, limit: int) -> SeriesLook:
    """Of the feature x."""
    visible = until - contract.label_delay
    values: dict[datetime, list[float]] = defaultdict(list)
    for sample in recorded.samples.values():
        if sample.at is not None and sample.at <= visible and sample.x is not None and abs(sample.x) <= 1e100:
            values[sample.at].append(sample.x)
    newest = sorted(values)[-limit:]
    return SeriesLook(tuple(newest), tuple(sum(values[at]) / len(values[at]) for at in newest), visible)


def _counts(decision: Decision, sample: Sample) -> bool:
    return decision.rule == "Selection" or sample.reward != 0


def _action(decision: Decision, score: float, target: int) -> tuple[int, int]:
    long = score >= decision.threshold
    if decision.rule == "Selection":
        return int(long), int(long and target == 1)
    return 1, int(long == (target == 1))
