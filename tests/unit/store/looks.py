"""What both databases must satisfy: looks that equal the reference on random stores."""

from dataclasses import astuple
from datetime import timedelta

import pytest
from tests.unit.store.reference import (
    CANARY,
    MODEL,
    STABLE,
    START,
    expected_counts,
    expected_health,
    expected_pairs,
    expected_series,
    record,
)

from perennial.adapters.store.engine import open_engine
from perennial.adapters.store.store import SqlSampleStore
from perennial_contract.samples import Decision, SampleContract

DRIVERS = ("postgresql+psycopg", "sqlite")
DECISIONS = (Decision(), Decision(threshold=0.6), Decision(rule="Selection", threshold=0.6))
CASES = [(seed, decision) for seed, decision in enumerate([*DECISIONS, *DECISIONS])]


async def assert_looks_agree(url: str, seed: int, decision: Decision) -> None:
    """Every look at a random store, compared with the reference."""
    label_delay = timedelta(minutes=[1, 5, 100][seed % 3])
    # Names that SQL would fold or read as keywords.
    contract = SampleContract(table="Samples", predictions_table="select", label_delay=label_delay)
    recorded = record(seed, count=300, label_delay=label_delay)
    engine = open_engine(url, DRIVERS)
    recorded.write(engine, contract)
    engine.dispose()
    seen: list[str] = []
    store = SqlSampleStore(url, drivers=DRIVERS, observer=lambda kind, seconds: seen.append(kind))
    block_seconds = 777
    times = [START + timedelta(minutes=minutes) for minutes in (-10, 0, 120, 999, 5000)]
    for since, until in [(times[0], times[4]), (times[1], times[2]), (times[2], times[3]), (times[4], times[4])]:
        for blocks_since in (
            None,
            since + timedelta(minutes=1),
            since - timedelta(minutes=70),
            since - 99 * label_delay,
        ):
            for length in (block_seconds, 7):
                asked = {"since": since, "until": until, "block_seconds": length, "blocks_since": blocks_since}
                health = await store.observe_health(contract, decision, model=MODEL, version=STABLE, **asked)
                wanted = expected_health(recorded, contract, decision, **asked)
                assert _flat(health) == pytest.approx(_flat(wanted), rel=1e-9, abs=1e-12)
                assert health.newest_resolved == wanted.newest_resolved
        for step_since in (since, since + timedelta(minutes=60)):
            pairs = await store.observe_pairs(
                contract,
                decision,
                model=MODEL,
                stable=STABLE,
                canary=CANARY,
                since=since,
                step_since=step_since,
                until=until,
                block_seconds=block_seconds,
            )
            assert pairs == expected_pairs(
                recorded,
                contract,
                decision,
                since=since,
                step_since=step_since,
                until=until,
                block_seconds=block_seconds,
            )
        counts = await store.observe_counts(contract, since=since, now=until)
        assert counts == expected_counts(recorded, contract, since=since, now=until)
        for limit in (1, 50, 1000):
            series = await store.observe_series(contract, "x", until=until, limit=limit)
            whole = expected_series(recorded, contract, until=until, limit=limit)
            assert (series.at, series.visible_until) == (whole.at, whole.visible_until)
            assert series.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-12)
    store.close()
    assert set(seen) == {"health", "pairs", "counts", "series"}


def _flat(look: object) -> list[float]:
    values: list[float] = []
    for part in astuple(look):  # type: ignore[call-overload] # looks are dataclasses
        if isinstance(part, tuple):
            values.append(len(part))
            values.extend(number for row in part for number in row)
        elif isinstance(part, int):
            values.append(part)
    return values
