"""The real data: fetched, checked by hash, and loaded into PostgreSQL."""

import numpy as np
import pytest
from typer.testing import CliRunner

from perennial.adapters.store.engine import open_engine
from perennial.adapters.store.status import observe_status
from perennial.cli import build_app
from perennial.commands.example import btc
from perennial.commands.example.fetch import fetch


@pytest.mark.parametrize(
    ("name", "rows", "years", "per_day"),
    [("btc", 19_931, (2017, 2019), 24.0), ("sp500", 161_200, (1990, 2022), 13.8)],
)
def test_real_markets_load_into_a_store(
    postgres_url: str, name: str, rows: int, years: tuple[int, int], per_day: float
) -> None:
    arguments = ["example", name, "--load"]
    result = CliRunner().invoke(build_app("example"), arguments, env={"PERENNIAL_SAMPLES_URL": postgres_url})
    assert result.exit_code == 0, result.output
    engine = open_engine(postgres_url)
    status = observe_status(engine, "samples", "predictions")
    engine.dispose()
    assert (status.rows, status.resolved) == (rows, rows)
    assert status.oldest is not None
    assert status.newest is not None
    assert (status.oldest.year, status.newest.year) == years
    assert status.per_day == pytest.approx(per_day, abs=0.1)


def test_btc_outcomes_are_balanced_and_bounded_by_their_horizon() -> None:
    samples = btc.build_samples(fetch(btc.PACKAGE), horizon=12)
    taken = (samples.resolved_at - samples.at) / np.timedelta64(1, "h")
    assert 0.48 < samples.target.mean() < 0.55
    assert (taken.min(), taken.max()) == (1, 12)
    assert 0.5 < (taken < 12).mean() < 0.95  # mostly decided by a barrier, not by the clock
    assert ((samples.reward > 0) == (samples.target == 1)).all()
