"""`perennial example` as people call it, on made-up markets."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.commands import market
from typer.testing import CliRunner, Result

from perennial.adapters.store.engine import open_engine
from perennial.adapters.store.status import observe_status
from perennial.cli import build_app
from perennial.commands import example
from perennial.commands.example import btc
from perennial.commands.example.fetch import Package


@pytest.fixture(autouse=True)
def _made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(package: Package) -> bytes:
        return market.candles(400) if package == btc.PACKAGE else market.closes(300)

    monkeypatch.setattr(example, "fetch", fetched)


def call(*arguments: object) -> Result:
    variables = {"PERENNIAL_SAMPLES_URL": None, "COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(build_app("example"), ["example", *map(str, arguments)], env=variables)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(("name", "rows", "features"), [("btc", 220, 26), ("sp500", 141, 21)])
def test_a_market_goes_to_a_file_and_into_a_store(tmp_path: Path, name: str, rows: int, features: int) -> None:
    out, url = tmp_path / "samples.csv", f"sqlite:///{tmp_path}/store.db"
    result = call(name, "--out", out, "--load", "--url", url)
    assert result.exit_code == 0, result.output
    assert f"{rows} samples, {features} features" in result.stdout
    assert "independent ones" in result.stdout
    assert len(rows_of(out)) == rows
    engine = open_engine(url, ("sqlite",))
    status = observe_status(engine, "samples", "predictions")
    engine.dispose()
    assert (status.rows, status.resolved, len(status.features)) == (rows, rows, features)
    assert "0 new" in call(name, "--load", "--url", url).stdout


def test_history_knows_nothing_of_what_follows(tmp_path: Path) -> None:
    past, live = tmp_path / "past.csv", tmp_path / "live.csv"
    moment = market.BEGIN + timedelta(hours=300)
    assert call("btc", "--out", past, "--split", moment.isoformat(), "--live-out", live).exit_code == 0
    assert max(time_of(row["resolved_at"]) for row in rows_of(past)) <= moment
    assert min(time_of(row["at"]) for row in rows_of(live)) == moment
    under_way = 220 - len(rows_of(past)) - len(rows_of(live))
    assert 0 < under_way <= 12


def test_time_can_run_faster_and_end_now(tmp_path: Path) -> None:
    plain, quick, live = (tmp_path / f"{name}.csv" for name in ("plain", "quick", "live"))
    call("btc", "--out", plain)
    end = datetime(2026, 1, 1, tzinfo=UTC)
    call("btc", "--out", quick, "--compress", 3600, "--end", "2026-01-01")
    original, moved = rows_of(plain), rows_of(quick)
    assert max(time_of(row["resolved_at"]) for row in moved) == end
    assert time_of(moved[1]["at"]) - time_of(moved[0]["at"]) == timedelta(seconds=1)
    for before, after in zip(original, moved, strict=True):
        taken = time_of(before["resolved_at"]) - time_of(before["at"])
        assert time_of(after["resolved_at"]) - time_of(after["at"]) == taken / 3600
        assert before["id"] == after["id"]
    split = ("--split", (market.BEGIN + timedelta(hours=300)).isoformat(), "--live-out", live)
    call("btc", "--out", quick, "--compress", 3600, *split)
    now = datetime.now(UTC)
    assert max(time_of(row["resolved_at"]) for row in rows_of(quick)) <= now
    assert timedelta(0) <= now - min(time_of(row["at"]) for row in rows_of(live)) < timedelta(minutes=1)


def test_a_stretch_of_time_can_be_chosen(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    call("btc", "--out", out, "--from", "2020-03-10", "--until", "2020-03-11T12:00:00Z")
    times = [time_of(row["at"]) for row in rows_of(out)]
    assert (min(times), max(times)) == (datetime(2020, 3, 10, tzinfo=UTC), datetime(2020, 3, 11, 11, tzinfo=UTC))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["btc"], "nothing to do: give --out FILE, --load, or both"),
        (["btc", "--out", "a.csv", "--split", "2020-03-10"], "--split and --live-out belong together"),
        (["btc", "--out", "a.csv", "--end", "2020-03-10"], "--end: only time that is compressed can be moved"),
        (["btc", "--out", "a.csv", "--from", "2020-03-10T12:00"], "--from: '2020-03-10T12:00' is no instant"),
        (["btc", "--out", "a.csv", "--until", "soon"], "--until: 'soon' is no instant"),
        (["btc", "--out", "a.csv", "--from", "2031-01-01"], "no samples from 2031-01-01 until the end"),
        (["btc", "--out", "/nowhere/a.csv"], "/nowhere/a.csv: No such file or directory"),
        (["btc", "--load"], "no store is named"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
