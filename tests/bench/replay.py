"""Replays of the S&P panel, 20 series by the day: simulated days a second, and memory as the years go by."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.record import record

from perennial.replay.preparation import Options
from perennial.replay.report import Report
from perennial.replay.runner import Book, Watcher, replay
from perennial.replay.scenario import read_scenario
from perennial.replay.simulation import Simulation

EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"
FILES = [EXAMPLES / "sp500" / "model.yaml", EXAMPLES / "replay" / "sp500-policy.yaml"]
SINCE = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass
class Memory:
    """What is resident at the end of each simulated year."""

    mib: dict[int, float] = field(default_factory=dict)

    def note(self, _: str, moment: datetime, __: Simulation) -> None:
        self.mib[moment.year] = _resident_mib()


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def run(url: str, years: int) -> tuple[Report, Memory]:
    """One replay of so many years."""
    memory = Memory()
    with tempfile.TemporaryDirectory() as folder:
        options = Options(samples=url, work=Path(folder), since=SINCE, until=SINCE.replace(year=SINCE.year + years))
        books = [Book("bench", read_scenario(FILES))]
        return asyncio.run(replay(books, options, Watcher(progress=memory.note))), memory


def load(url: str) -> None:
    """The panel, as `perennial example` makes it."""
    tables = ("--table", "sp500_samples", "--predictions-table", "sp500_predictions")
    command = [Path(sys.executable).with_name("perennial"), "example", "sp500", "--load", "--url", url, *tables]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Prints the figures and records them, when it is ten years that were replayed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.replay", description=__doc__)
    parser.add_argument("--years", type=int, default=10)
    years: int = parser.parse_args().years
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/sp500.db"
        load(url)
        report, memory = run(url, years)
    days = (report.settings.until - report.settings.from_).days
    spent = report.measured.wall_seconds - report.measured.waited_seconds
    [model] = report.runs[0].models
    growth = memory.mib[SINCE.year + years - 1] / memory.mib[SINCE.year + 1]
    trials = f"{model.counts.retrains} trainings, {report.measured.waited_seconds:.0f} s of waiting for them left out"
    print(f"{days} days × 20 series in {spent:.1f} s ({trials})")
    print("resident at the end of each year, MiB:", {year: round(mib) for year, mib in memory.mib.items()})
    for name, value, unit in (
        ("replay.simulated_days_per_s", round(days / spent, 1), "days/s"),
        ("replay.memory_growth", round(growth, 3), "ratio"),
        ("replay.peak_memory_mib", round(report.measured.peak_memory_mib, 1), "MiB"),
    ):
        print(f"{name}: {value:g} {unit}")
        if years == 10:
            record(name, value, unit)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
