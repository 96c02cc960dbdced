"""The looks on SQLite."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.unit.store.drift_looks import assert_drift_agrees
from tests.unit.store.looks import CASES, DRIVERS, assert_looks_agree
from tests.unit.store.reference import CANARY, MODEL, STABLE, START, Prediction, Recorded, Sample

from perennial.adapters.store.engine import open_engine
from perennial.adapters.store.queries import (
    build_counts_query,
    build_health_query,
    build_pairs_query,
    build_series_query,
)
from perennial.adapters.store.schema import predictions_table, samples_table
from perennial.adapters.store.store import SqlSampleStore
from perennial.domain.evidence import StoreMisconfigured
from perennial_contract.samples import Decision, SampleContract

CONTRACT = SampleContract(label_delay=timedelta(seconds=1))


@pytest.mark.parametrize(("seed", "decision"), CASES)
async def test_looks_equal_the_row_by_row_reference(tmp_path: Path, seed: int, decision: Decision) -> None:
    await assert_looks_agree(f"sqlite:///{tmp_path}/store.db", seed, decision)


@pytest.mark.parametrize("seed", [1, 2])
async def test_features_are_counted_as_row_by_row(tmp_path: Path, seed: int) -> None:
    await assert_drift_agrees(f"sqlite:///{tmp_path}/store.db", seed)


async def test_nothing_is_missing_while_the_canary_is_not_there_yet(tmp_path: Path) -> None:
    contract = SampleContract(label_delay=timedelta(seconds=1))
    scored = [
        Prediction(version, f"s{i}", track, 0.6, START + timedelta(seconds=i))
        for version, track, first in ((STABLE, "live", 0), (CANARY, "shadow", 30))
        for i in range(first, 60)
        if (version, i) != (CANARY, 45)
    ]
    url = f"sqlite:///{tmp_path}/store.db"
    engine = open_engine(url, DRIVERS)
    Recorded(predictions=scored).write(engine, contract)
    engine.dispose()
    store = SqlSampleStore(url, drivers=DRIVERS)
    look = await store.observe_pairs(
        contract,
        Decision(),
        model=MODEL,
        stable=STABLE,
        canary=CANARY,
        since=START - timedelta(seconds=1),
        step_since=START,
        until=START + timedelta(seconds=100),
        block_seconds=1,
    )
    store.close()
    assert (look.paired, look.stable_scored, look.canary_scored) == (29, 30, 29)
    assert look.coverage == pytest.approx(29 / 30)


def test_models_share_their_compiled_statements() -> None:
    """An engine keeps hundreds of them: one a look would be a leak, and every look would wait for its compilation."""
    compiled: dict[object, object] = {}
    engine = open_engine("sqlite://", DRIVERS)
    with engine.connect() as connection:
        for table in (samples_table("samples", ["x"]), predictions_table("predictions")):
            table.metadata.create_all(connection)
        caching = connection.execution_options(compiled_cache=compiled)
        for number in range(3):
            contract = SampleContract(label_delay=timedelta(hours=1 + number))
            decision = Decision(threshold=0.5 + number / 10)
            times = {"since": START, "until": START + timedelta(days=number), "block_seconds": 7200}
            health = build_health_query(contract, decision, model=f"m{number}", version=f"v{number}", **times)
            sides = {"stable": f"v{number}", "canary": f"c{number}", "step_since": START}
            pairs = build_pairs_query(contract, decision, model=f"m{number}", **sides, **times)
            counts = build_counts_query(contract.table, contract.label_delay, since=START, now=START)
            series = build_series_query(contract, "x", until=START, limit=1000 + number)
            for query in (health, pairs, counts, series):
                caching.execute(query).all()
    engine.dispose()
    assert len(compiled) == 4


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("gone", "'samples' has no column 'gone': run `perennial store init --features gone`, or name another one"),
        ("venue", "'venue' is of type TEXT: name a numeric column"),
        ("open", "'open' is of type BOOLEAN: name a numeric column"),
    ],
)
async def test_a_column_that_tells_no_regime_is_named(tmp_path: Path, column: str, message: str) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    engine = open_engine(url, DRIVERS)
    Recorded().write(engine, CONTRACT)
    with engine.begin() as connection:
        for name, kind in (("venue", "TEXT"), ("open", "BOOLEAN")):
            connection.execute(text(f"ALTER TABLE samples ADD COLUMN {name} {kind}"))
    engine.dispose()
    store = SqlSampleStore(url, drivers=DRIVERS)
    with pytest.raises(StoreMisconfigured) as caught:
        await store.observe_series(CONTRACT, column, until=START, limit=1000)
    store.close()
    assert str(caught.value) == f"spec.regime.column: {message}"


@pytest.mark.parametrize(
    ("minutes", "seconds", "blocks"),
    [
        pytest.param([0, 0, 10, 10, 20, 20], 600, [0, 1, 2], id="a panel whose label fits into one step"),
        pytest.param([0, 10, 15, 30], 1200, [0, 1], id="two timestamps would share a block"),
        pytest.param([0, 10, 15], 1200, [0], id="or did so before the window"),
    ],
)
async def test_a_timestamp_has_a_block_of_its_own_where_the_label_fits_into_one_step(
    tmp_path: Path, minutes: list[int], seconds: int, blocks: list[int]
) -> None:
    contract = SampleContract(label_delay=timedelta(minutes=10))
    times = [START + timedelta(minutes=minute) for minute in minutes]
    recorded = Recorded(
        {f"s{i}": Sample(f"s{i}", at=at, target=1) for i, at in enumerate(times)},
        [Prediction(STABLE, f"s{i}", "live", 0.6, at) for i, at in enumerate(times)],
    )
    url = f"sqlite:///{tmp_path}/store.db"
    engine = open_engine(url, DRIVERS)
    recorded.write(engine, contract)
    engine.dispose()
    store = SqlSampleStore(url, drivers=DRIVERS)
    look = await store.observe_health(
        contract,
        Decision(),
        model=MODEL,
        version=STABLE,
        since=START + timedelta(minutes=12),
        until=START + timedelta(minutes=99),
        block_seconds=600,
        blocks_since=START,
    )
    store.close()
    first = int(START.timestamp()) // seconds
    assert look.block_seconds == seconds
    assert sorted({row.block - first for row in (*look.earlier, *look.blocks)}) == blocks
    assert sum(row.n for row in look.earlier) + sum(row.n for row in look.blocks) == len(minutes)
    assert look.total == sum(minute > 12 for minute in minutes)
