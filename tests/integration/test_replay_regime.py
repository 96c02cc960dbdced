"""Replays of a market that changes its regime: what that starts, and that nothing of it is lost in between."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.replays import HOUR, START, Row, record, run, stated, turning_market, write_files

from perennial.domain.evidence import StoreMisconfigured
from perennial.replay.report import Report
from perennial.replay.runner import Watcher
from perennial.replay.simulation import Simulation

MODEL: dict[str, Any] = {"regime": {"column": "noise"}}
POLICY: dict[str, Any] = {
    "triggers": {"schedule": {"every": "3000d"}, "regime": {"sustainedFor": "2d"}},
    "training": {"dataWindows": {"Regime": "13d"}, "holdout": {"share": 0.4, "minRows": 100}},
}
SINCE = START + 1100 * HOUR
LOUD = (slice(700, 900), slice(1200, 1600))
"""Hours in which the feature that tells nothing of outcomes is five times as loud."""


def market() -> list[Row]:
    rows = turning_market(1600, 5000)
    for row in (row for part in LOUD for row in rows[part]):
        row["noise"] *= 5
    return rows


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, str, Path]:
    folder = tmp_path_factory.mktemp("replay")
    url, files = record(folder, market()), write_files(folder, MODEL, POLICY)
    return run([files], url, folder / "work", since=SINCE)[0], url, files


def test_a_change_that_lasts_is_trained_for_once_and_on_its_own_window(told: tuple[Report, str, Path]) -> None:
    [found] = told[0].runs
    [model] = found.models
    [candidate] = [d for d in found.decisions if d.reason == "RegimeCandidate"]
    assert (candidate.kind, candidate.model) == ("Other", "default/m")
    assert START + 1202 * HOUR < candidate.at < START + 1230 * HOUR
    [changed] = [version for version in model.versions if version.trigger.type == "Regime"]
    assert (changed.trigger.reason, changed.trigger.priority) == ("RegimeChanged", "Medium")
    assert changed.trigger.message.startswith("Turbulent began at 2024-02-20")
    assert START + 1250 * HOUR < changed.created_at < START + 1280 * HOUR
    first = model.versions[0]
    assert changed.training_rows is not None
    assert first.training_rows is not None
    assert changed.training_rows <= 13 * 24 < first.training_rows


def test_a_replay_that_was_interrupted_in_a_candidate_goes_on_with_it(
    told: tuple[Report, str, Path], tmp_path: Path
) -> None:
    now: list[datetime] = [START]

    def note(_: str, moment: datetime, __: Simulation) -> None:
        now[0] = moment

    stop = Watcher(progress=note, stopped=lambda: now[0] >= START + 1240 * HOUR)
    partial, _ = run([told[2]], told[1], tmp_path / "work", stop, since=SINCE)
    assert not partial.complete
    whole, _ = run([told[2]], told[1], tmp_path / "work", since=SINCE, resume=True)
    assert stated(whole) == stated(told[0])


def test_a_column_that_was_not_recorded_ends_a_replay_before_it_begins(
    told: tuple[Report, str, Path], tmp_path: Path
) -> None:
    files = write_files(tmp_path, {"regime": {"column": "gone"}})
    with pytest.raises(StoreMisconfigured) as caught:
        run([files], told[1], tmp_path / "work")
    assert str(caught.value) == (
        "spec.regime.column: 'samples' has no numeric column 'gone': name one of ret_1, vol_24, noise"
    )
