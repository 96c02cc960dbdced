"""What regimes are fitted to: the same out of a database and out of a recording, and further back than the rows."""

import math
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.unit.trainer.workbench import HOUR, START, Bench, market, run

from perennial.adapters.recording import record_table
from perennial_contract.profile import ReferenceProfile, RegimeProfile
from perennial_trainer.series import Series
from perennial_trainer.sources import open_source


def panel(bench: Bench) -> Bench:
    """Two hundred hours of three series, with everything in ``noise`` that is no measurement."""
    rows = []
    for place in range(3):
        for number, row in enumerate(market(200, seed=place)):
            values = [row["noise"], None, math.nan, math.inf, -1e101, row["noise"]]
            noise = values[(number + place) % 6] if number % 20 else None
            rows.append({**row, "id": f"{place}-{number}", "series": f"s{place}", "noise": noise})
    rows[5] |= {"target": None, "reward": None, "resolved_at": None}
    return bench.fill(rows)


def read(url: str, until: int, most: int) -> Series:
    with open_source(url) as source:
        types = source.columns("samples")
        assert types is not None
        return source.series("samples", types, "noise", START + until * HOUR, most)


@pytest.mark.parametrize(("until", "most"), [(500, 1000), (100, 1000), (100, 17), (0, 10), (-1, 10)])
def test_a_database_and_a_recording_give_the_same_series(bench: Bench, tmp_path: Path, until: int, most: int) -> None:
    panel(bench)
    record_table(bench.url, "samples", [], tmp_path / "recording" / "samples")
    expected: dict[int, list[float]] = {}
    for row in bench.rows:
        if row["at"] <= START + until * HOUR and row["noise"] is not None and abs(row["noise"]) <= 1e100:
            expected.setdefault(int(row["at"].timestamp()), []).append(row["noise"])
    newest = sorted(expected)[-most:]
    for url in (bench.url, f"file://{tmp_path / 'recording'}"):
        found = read(url, until, most)
        assert (found.at // 1_000_000).tolist() == newest
        assert found.mean == pytest.approx(np.array([np.mean(expected[at]) for at in newest]))


def regime_of(bench: Bench, uid: str = "v-uid-1") -> RegimeProfile | None:
    [row] = bench.sql(f"SELECT profile FROM model_reports WHERE version = '{uid}'")
    return ReferenceProfile.model_validate_json(row.profile).regime


def test_a_version_knows_regimes_that_are_older_than_its_data(bench: Bench) -> None:
    """Or a version that was trained on a new regime alone could never tell when that one ends."""
    bench.fill(market(1_500))
    bench.sql("UPDATE samples SET ret_1 = ret_1 * 8 WHERE at >= '2024-02-20'")
    assert run(bench, bench.task(data_window="20d", regime={"column": "ret_1"}))[0] == 0
    found = regime_of(bench)
    assert found is not None
    assert found.points == 1_500
    assert found.until == START + 1_499 * HOUR
    assert found.trained_on == "Turbulent"
    assert run(bench, bench.task(2, data_window="20d", regime={"column": "ret_1"}))[0] == 0
    assert regime_of(bench, "v-uid-2") == found, "the same seed, the same regimes"


def test_nothing_is_known_that_was_not_visible(bench: Bench) -> None:
    bench.fill(market(1_500))
    until = START + 1_200 * HOUR + timedelta(hours=5)
    assert run(bench, bench.task(until=until, regime={"column": "ret_1"}))[0] == 0
    found = regime_of(bench)
    assert found is not None
    assert (found.points, found.until) == (1_201, START + 1_200 * HOUR)


def test_regimes_are_told_from_enough_points_or_not_at_all(loaded: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(loaded, loaded.task(regime={"column": "ret_1", "lookback": 1_001}))[0] == 0
    assert regime_of(loaded) is None
    assert "no regimes of ret_1: 1000 timestamps, 1001 needed" in capsys.readouterr().out


def test_without_a_rule_there_are_no_regimes(loaded: Bench) -> None:
    assert run(loaded, loaded.task())[0] == 0
    assert regime_of(loaded) is None


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("gone", "regime.column: table samples has no column gone; add it, or name another one"),
        ("venue", "regime.column: column venue of samples is TEXT; name a numeric column"),
        ("open", "regime.column: column open of samples is BOOLEAN; name a numeric column"),
    ],
)
def test_a_column_that_tells_no_regime_is_named(loaded: Bench, column: str, message: str) -> None:
    for name, kind in (("venue", "TEXT"), ("open", "BOOLEAN")):
        loaded.sql(f"ALTER TABLE samples ADD COLUMN {name} {kind}")
    code, summary = run(loaded, loaded.task(regime={"column": column}))
    assert (code, summary.error) == (2, message)
    assert not loaded.artifacts.exists()
