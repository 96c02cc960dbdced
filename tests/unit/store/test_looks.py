"""The looks on SQLite."""

from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.store.looks import CASES, DRIVERS, assert_looks_agree
from tests.unit.store.reference import CANARY, MODEL, STABLE, START, Prediction, Recorded

from perennial.adapters.store.engine import open_engine
from perennial.adapters.store.store import SqlSampleStore
from perennial_contract.samples import Decision, SampleContract


@pytest.mark.parametrize(("seed", "decision"), CASES)
async def test_looks_equal_the_row_by_row_reference(tmp_path: Path, seed: int, decision: Decision) -> None:
    await assert_looks_agree(f"sqlite:///{tmp_path}/store.db", seed, decision)


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
