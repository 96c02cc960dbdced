"""A regime's series over a recording is what the database would have shown."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.unit.store.looks import DRIVERS
from tests.unit.store.reference import START, expected_series, record

from perennial.adapters.recording import History, record_table
from perennial.adapters.store.engine import open_engine
from perennial.domain.evidence import StoreMisconfigured
from perennial.replay.predictions import Predictions
from perennial.replay.reports import ReportFolder
from perennial.replay.store import RecordedStore
from perennial_contract.samples import SampleContract

CONTRACT = SampleContract(label_delay=timedelta(minutes=30))


def recorded_history(folder: Path, seed: int) -> History:
    url = f"sqlite:///{folder}/store.db"
    engine = open_engine(url, DRIVERS)
    record(seed, 300, CONTRACT.label_delay).write(engine, CONTRACT)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE samples ADD COLUMN open BOOLEAN"))
    engine.dispose()
    return record_table(url, "samples", [], folder / "samples")


@pytest.mark.parametrize("seed", range(3))
async def test_the_series_equals_the_row_by_row_reference(tmp_path: Path, seed: int) -> None:
    predictions = Predictions(recorded_history(tmp_path, seed), CONTRACT.label_delay)
    store = RecordedStore({"spot/a": predictions}, ReportFolder(tmp_path))
    everything = record(seed, 300, CONTRACT.label_delay)
    for minutes in (0, 29, 200, 999, 5000):
        until = START + timedelta(minutes=minutes)
        for limit in (1, 40, 1000):
            found = await store.observe_series(CONTRACT, "x", until=until, limit=limit)
            whole = expected_series(everything, CONTRACT, until=until, limit=limit)
            assert (found.at, found.visible_until) == (whole.at, whole.visible_until)
            assert found.mean == pytest.approx(whole.mean)


@pytest.mark.parametrize("column", ["gone", "open"])
async def test_a_column_that_was_not_recorded_as_a_number_is_named(tmp_path: Path, column: str) -> None:
    predictions = Predictions(recorded_history(tmp_path, 0), CONTRACT.label_delay)
    store = RecordedStore({"spot/a": predictions}, ReportFolder(tmp_path))
    with pytest.raises(StoreMisconfigured) as caught:
        await store.observe_series(CONTRACT, column, until=START, limit=1000)
    assert str(caught.value) == (
        f"spec.regime.column: 'samples' has no numeric column '{column}': name one of block, bin, User, x"
    )
