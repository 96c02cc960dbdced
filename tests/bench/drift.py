"""A drift check of 1 000 000 rows × 20 features: our look and decision beside Evidently, on the same rows of one store.

    python -m tests.bench.drift               # the published run
    python -m tests.bench.drift --rows 50000  # a quick look: nothing is written

Both are held against 100 000 rows of training data by PSI, in PostgreSQL and in SQLite, and take turns. Ours is timed
from the call of the look to the decision: the rows are counted in the database. Evidently is timed from the query that
reads both spans into pandas to its report; the reading is told apart. Imports are left out of both.
Each side is a process of its own, whose largest resident memory is compared; what PostgreSQL needs is in neither.
Evidently's default method for as many rows (Wasserstein) takes longer than PSI.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import sqlalchemy as sa
from tests.bench.environments import NotInstalledError, prepare_environment
from tests.bench.record import record, record_missing
from tests.integration.postgres import fresh_database, running_postgres

from perennial.adapters.store.schema import samples_table
from perennial_contract.profile import ReferenceProfile
from perennial_contract.report import Feature
from perennial_trainer.profile import profile_features

REQUIREMENTS = ("evidently==0.7.23", "pandas<3", "SQLAlchemy>=2.1,<2.2", "psycopg[binary]>=3.2,<4")
"""evidently 0.7.23 does not start with pandas 3."""
ROWS, REFERENCE, FEATURES = 1_000_000, 100_000, 20
WINDOW = timedelta(days=30)
START = datetime(1970, 1, 1, tzinfo=UTC) + 680 * WINDOW
"""Of the window, which is one of those that the operator looks at; the reference lies before it."""
NAMES = [f"f{i}" for i in range(FEATURES)]
SHIFTED = 3
"""So many features have moved by one standard deviation: both sides have to say so."""

Figures = Iterator[tuple[str, float, str]]
"""Name, value, unit."""


def make_rows(rows: int, reference: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Instants in µs since 1970, (n,), and features, (n, k): the reference's rows first."""
    rng = np.random.default_rng(7)
    values = rng.normal(size=(reference + rows, FEATURES))
    values[reference:, :SHIFTED] += 1.0
    step = WINDOW / rows
    first = START - reference * step
    at = int(first.timestamp() * 1e6) + np.arange(reference + rows) * round(step.total_seconds() * 1e6)
    return at, values


def sample_rows(at: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> Iterator[tuple[object, ...]]:
    """In the order of the table's columns; times as text that both databases read as UTC."""
    for i, (when, row) in enumerate(zip(_texts(at), values.tolist(), strict=True)):
        yield (f"s-{i}", "s", when, *row, i % 2, 0.5, when)


def _texts(at: np.ndarray[Any, Any]) -> list[str]:
    found: list[str] = np.char.replace(np.datetime_as_string(at.astype("datetime64[us]")), "T", " ").tolist()
    return found


def fill(url: str, at: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> None:
    """The table, as fast as each database takes it, with up-to-date statistics."""
    table, engine = samples_table("samples", NAMES), sa.create_engine(url)
    table.create(engine)
    engine.dispose()
    if url.startswith("sqlite"):
        _fill_sqlite(url.removeprefix("sqlite:///"), table, sample_rows(at, values))
    else:
        _fill_postgres(url.replace("+psycopg", ""), table, sample_rows(at, values))


def _fill_sqlite(path: str, table: sa.Table, rows: Iterator[tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        marks = ", ".join("?" * len(table.columns))
        connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)
        connection.execute("ANALYZE")


def _fill_postgres(url: str, table: sa.Table, rows: Iterator[tuple[object, ...]]) -> None:
    with psycopg.connect(url, options="-c TimeZone=UTC") as connection, connection.cursor() as cursor:
        with cursor.copy(f"COPY {table.name} FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)
        connection.commit()
        connection.autocommit = True
        cursor.execute(f"VACUUM ANALYZE {table.name}".encode())


def write_profile(path: Path, at: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> Path:
    """What the trainer would keep of the reference's rows."""
    first, last = (datetime.fromtimestamp(at[i] / 1e6, UTC) for i in (0, -1))
    features = profile_features(at, values, [Feature(name=name) for name in NAMES])
    profile = ReferenceProfile.model_validate({"rows": len(at), "from": first, "until": last, "features": features})
    path.write_text(profile.model_dump_json(by_alias=True))
    return path


def ask_ours(url: str, profile: Path) -> dict[str, float]:
    """One check by the operator's code."""
    now = START + WINDOW + timedelta(hours=2)
    return _answer([sys.executable, "-m", "tests.bench.drift_check", url, profile, now.isoformat()])


def ask_evidently(programs: Path, source: str, rows: int) -> dict[str, float]:
    """One check by Evidently, by the same statistic."""
    script = Path(__file__).with_name("evidently_check.py")
    times = [(START - WINDOW * REFERENCE / rows).isoformat(), START.isoformat(), (START + WINDOW).isoformat()]
    # -P: in the script's folder there is an operator.py, which is not the standard library's.
    return _answer([programs / "python", "-P", script, source, "psi", *times, str(FEATURES)])


def _answer(command: list[str | Path]) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{command[2]} failed: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if found["drifted"] != SHIFTED:
        raise RuntimeError(f"{command[2]} found {found['drifted']} features drifted of {SHIFTED}: {found}")
    return found


@dataclass(frozen=True)
class Turns:
    """The rounds of both sides on one store."""

    ours: list[dict[str, float]]
    theirs: list[dict[str, float]]

    def median(self, what: Callable[[dict[str, float], dict[str, float]], float]) -> float:
        """Of something that is made of both, round by round."""
        return statistics.median(what(mine, other) for mine, other in zip(self.ours, self.theirs, strict=True))


def take_turns(url: str, profile: Path, programs: Path, rows: int, rounds: int) -> Turns:
    """One after the other, so that a neighbour on the machine weighs on both."""
    turns = [(ask_ours(url, profile), ask_evidently(programs, url, rows)) for _ in range(rounds)]
    for ours, theirs in turns:
        print(f"{url.split(':', 1)[0]}: ours {ours}, Evidently {theirs}", flush=True)
    return Turns([ours for ours, _ in turns], [theirs for _, theirs in turns])


def figures_of(turns: Turns, prefix: str) -> Figures:
    """Ours over theirs, with and without their reading, and both in seconds and MiB."""
    whole = turns.median(lambda ours, theirs: ours["check_s"] / (theirs["read_s"] + theirs["check_s"]))
    unread = turns.median(lambda ours, theirs: ours["check_s"] / theirs["check_s"])
    memory = turns.median(lambda ours, theirs: ours["peak_mib"] / theirs["peak_mib"])
    yield f"drift.{prefix}time_over_evidently", whole, "ratio"
    yield f"drift.{prefix}time_over_evidently_without_reading", unread, "ratio"
    yield f"drift.{prefix}memory_over_evidently", memory, "ratio"
    yield f"drift.{prefix}check_s", turns.median(lambda ours, _: ours["check_s"]), "s"
    yield f"drift.{prefix}peak_mib", turns.median(lambda ours, _: ours["peak_mib"]), "MiB"
    yield f"drift.{prefix}evidently_read_s", turns.median(lambda _, theirs: theirs["read_s"]), "s"
    yield f"drift.{prefix}evidently_check_s", turns.median(lambda _, theirs: theirs["check_s"]), "s"
    yield f"drift.{prefix}evidently_peak_mib", turns.median(lambda _, theirs: theirs["peak_mib"]), "MiB"


def measure(folder: Path, rows: int, rounds: int) -> Figures:
    """Both stores, and Evidently's memory without a database to read from.

    Raises:
        NotInstalledError: there is no Evidently to compare with.
    """
    programs = prepare_environment("evidently", REQUIREMENTS)
    at, values = make_rows(rows, REFERENCE)
    profile = write_profile(folder / "profile.json", at[:REFERENCE], values[:REFERENCE])
    np.save(folder / "rows.npy", values)
    with running_postgres() as server, fresh_database(server) as url:
        fill(url, at, values)
        postgres = take_turns(url, profile, programs, rows, rounds)
    yield from figures_of(postgres, "")
    sqlite_url = f"sqlite:///{folder}/samples.db"
    fill(sqlite_url, at, values)
    yield from figures_of(take_turns(sqlite_url, profile, programs, rows, rounds), "sqlite_")
    unread = ask_evidently(programs, str(folder / "rows.npy"), rows)
    ours = postgres.median(lambda mine, _: mine["peak_mib"])
    yield "drift.memory_over_evidently_without_reading", ours / unread["peak_mib"], "ratio"


def main() -> int:
    """Measures, prints and records, when it is the published size."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drift", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    published = arguments.rows == ROWS
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as name:
        try:
            for figure, value, unit in measure(Path(name), arguments.rows, arguments.rounds):
                print(f"{figure:50} {value:10.4f} {unit}", flush=True)
                if published:
                    record(figure, round(value, 4), unit)
        except NotInstalledError as error:
            sys.stderr.write(f"drift: {error}\n")
            for figure in ("drift.time_over_evidently", "drift.memory_over_evidently"):
                record_missing(figure, str(error))
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
