"""A server whose model looks back reads a row's past from a real PostgreSQL, and sees what the trainer sees."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa
from tests.integration.postgres import PostgresServer, fresh_database
from tests.integration.server_process import ServerProcess, create_tables, running, wait_for
from tests.unit.server.looking_back import DELAY, HOUR, LENGTH, expected, write_look_back
from tests.unit.server.served import FEATURES, request_for, tensor

from perennial.adapters.store.schema import samples_table
from perennial_contract.recording import key_hash
from perennial_contract.report import Feature, Manifest
from perennial_contract.samples import SampleContract
from perennial_contract.sequence import Sequence
from perennial_contract.task import TrainingTask
from perennial_server.database import Database
from perennial_server.history import StoredHistory
from perennial_server.statements import history_statement
from perennial_server.windows import build_windows
from perennial_trainer.dataset import inspect_table, load_rows
from perennial_trainer.sources import open_source

START = datetime(2024, 5, 1, tzinfo=UTC)
HOURS = 40


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        create_tables(url, FEATURES)
        yield url


def made_up_rows(seed: int = 3) -> list[dict[str, Any]]:
    """Two series; outcomes that come in time, late, of an unknown time, or never."""
    rng = np.random.default_rng(seed)
    rows = []
    for name in ("BTC", "ETH"):
        for hour in range(HOURS):
            at = START + hour * HOUR
            kind = rng.integers(4)
            resolved = {0: at + timedelta(minutes=30), 1: at + timedelta(hours=4, minutes=1)}.get(int(kind))
            outcome = {"target": int(rng.integers(2)), "reward": 0.1, "resolved_at": resolved}
            rows.append(
                {
                    "id": f"{name}-{hour}",
                    "series": name,
                    "at": at,
                    **dict(zip(FEATURES, map(float, rng.normal(size=3)), strict=True)),
                    **(outcome if kind < 3 else {"target": None, "reward": None, "resolved_at": None}),
                }
            )
    return rows


def fill(url: str, rows: list[dict[str, Any]]) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.insert(samples_table("samples", FEATURES)), rows)
    engine.dispose()


def task() -> TrainingTask:
    version = {"namespace": "b", "model": "m", "model_uid": "u", "name": "m-v1", "uid": "v", "revision": 1}
    document = {
        "version": version,
        "algorithm": {"name": "nhits"},
        "samples": {"label_delay": DELAY},
        "decision": {},
        "until": START + HOURS * HOUR + DELAY,
        "data_window": "10d",
        "store": "file:///nowhere",
    }
    return TrainingTask.model_validate(document)


async def test_trainer_and_server_see_the_same_past(url: str) -> None:
    fill(url, made_up_rows())
    with open_source(url) as source:
        rows = load_rows(source, task(), inspect_table(source, task()), looks_back=True)
    past = rows.past(FEATURES)
    assert past is not None
    table = past.sequences
    assert len(rows) < len(table) == 2 * HOURS  # what has no outcome is part of the past all the same
    whole = np.flatnonzero(table.head >= LENGTH)
    windows = table.windows(whole, LENGTH)
    assert {-1, 0, 1} == set(table.past_targets(windows).ravel())

    times = [START + timedelta(microseconds=int(at - table.at[0])) for at in table.at[whole]]
    names = {key_hash(name): name for name in ("BTC", "ETH")}
    series = [names[int(table.series[row])] for row in whole]
    own = past.columns[whole]
    sequence = Sequence(input_size=LENGTH, label_delay=DELAY, steps=table.steps(whole))
    manifest = Manifest(
        algorithm="nhits",
        model_file="model.onnx",
        features=tuple(Feature(name=name) for name in FEATURES),
        seed=1,
        fingerprint="",
        libraries={},
        files=(),
    )
    database = Database(lambda: url.replace("postgresql+psycopg", "postgresql"), 1)
    stored = StoredHistory(database, SampleContract(label_delay=DELAY), manifest, sequence)
    history = await stored.read(own, series, times)
    await database.close()
    served = build_windows(own, series, times, history, sequence, FEATURES)
    np.testing.assert_array_equal(served.features, past.columns[windows])
    np.testing.assert_array_equal(served.targets, table.past_targets(windows))


def test_the_history_is_found_by_its_index(url: str) -> None:
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        connection.execute(
            "INSERT INTO samples (id, series, at)"
            " SELECT s || '-' || h, 's' || s, timestamptz '2024-01-01' + h * interval '1 hour'"
            " FROM generate_series(1, 20) AS s, generate_series(1, 1000) AS h"
        )
        connection.execute("ANALYZE samples")
        statement = history_statement(SampleContract(label_delay=DELAY), [Feature(name=name) for name in FEATURES])
        asked = '[{"n": 0, "s": "s7", "t": "2024-02-01T00:00:00Z"}]'
        plan = "\n".join(
            row for (row,) in connection.execute(psycopg.sql.SQL("EXPLAIN ") + statement, (asked, 24)).fetchall()
        )
    assert "samples_series_at" in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan


@pytest.fixture
def server(tmp_path: Path, url: str) -> Iterator[ServerProcess]:
    digest = write_look_back(tmp_path / "artifact")
    with running(tmp_path / "server", tmp_path / "artifact", digest, url, algorithm="nhits") as process:
        yield process


def ask(series: list[str], times: list[datetime], rows: Any) -> dict[str, Any]:
    ids = [f"{name}-{time.isoformat()}" for name, time in zip(series, times, strict=True)]
    return request_for(
        ids,
        np.asarray(rows).tolist(),
        series=tensor("series", series, "BYTES"),
        at=tensor("at", [time.isoformat() for time in times], "BYTES"),
    )


def test_a_server_reads_the_past_of_a_row_and_of_rows_sent_together(server: ServerProcess, url: str) -> None:
    rows = [row for row in made_up_rows() if row["series"] == "BTC"]
    fill(url, [{**row, "target": 1, "resolved_at": None} for row in rows])
    values = np.array([[row[name] for name in FEATURES] for row in rows])
    at = START + HOURS * HOUR
    fresh = np.random.default_rng(9).normal(size=(3, 3))

    answer = server.infer(ask(["BTC"], [at], fresh[:1]))
    assert answer.status_code == 200, answer.text
    # Outcomes take 90 minutes: of the three hours before, the last one's is not known.
    window = np.concatenate([values[-3:], fresh[:1]])[np.newaxis]
    assert answer.json()["outputs"][0]["data"] == pytest.approx(expected(window, [[1, 1, 0]]).tolist(), abs=1e-6)

    # The row of a moment ago may not be in the store yet; of two rows in one request, the later one looks back on both.
    answer = server.infer(ask(["BTC", "BTC"], [at + 2 * HOUR, at + HOUR], fresh[[2, 1]]))
    assert answer.status_code == 200, answer.text
    together = np.concatenate([values, fresh])
    windows = np.stack([together[-4:], together[-5:-1]])
    assert answer.json()["outputs"][0]["data"] == pytest.approx(
        expected(windows, [[1, 0, 0], [1, 1, 0]]).tolist(), abs=1e-6
    )


def test_what_the_store_cannot_give_is_said(server: ServerProcess, url: str) -> None:
    fill(url, [row for row in made_up_rows() if row["series"] == "BTC"][:2])
    at = START + 2 * HOUR
    answer = server.infer(ask(["BTC"], [at], [[0.0, 0.0, 0.0]]))
    assert answer.status_code == 422
    assert answer.json()["error"] == (
        "row 0: series 'BTC' has 2 rows before it, this model looks back on 3: wait until there are as many, or send "
        "tensor 'history'"
    )
    answer = server.infer(ask(["DOGE"], [at], [[0.0, 0.0, 0.0]]))
    assert answer.status_code == 422
    assert "'DOGE' was not among the 2 series that this version was trained on" in answer.json()["error"]


def test_a_series_is_scored_again_once_there_are_rows_after_a_gap(server: ServerProcess, url: str) -> None:
    fill(url, [row for row in made_up_rows() if row["series"] == "BTC"])
    late = START + (HOURS + 24) * HOUR
    fresh = np.random.default_rng(5).normal(size=(LENGTH + 1, 3))
    for back in range(LENGTH):
        answer = server.infer(ask(["BTC"], [late + back * HOUR], fresh[back : back + 1]))
        assert answer.status_code == 422
        assert "has a gap of" in answer.json()["error"]
    answer = server.infer(ask(["BTC"], [late + LENGTH * HOUR], fresh[LENGTH:]))
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"][0]["data"] == pytest.approx(expected(fresh[np.newaxis]).tolist(), abs=1e-6)
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:

        def all_recorded() -> bool:
            [(samples,)] = connection.execute("SELECT count(*) FROM samples WHERE at >= %s", (late,)).fetchall()
            return bool(samples == LENGTH + 1)

        wait_for(all_recorded, "the rows that were refused to be recorded too")
        wait_for(lambda: connection.execute("SELECT count(*) FROM predictions").fetchone() == (1,), "one prediction")


def test_a_row_that_is_there_twice_does_not_end_its_series(server: ServerProcess, url: str) -> None:
    rows = [{**row, "target": None, "resolved_at": None} for row in made_up_rows() if row["series"] == "BTC"]
    fill(url, [*rows, {**rows[-1], "id": "again"}])
    values = np.array([[row[name] for name in FEATURES] for row in rows])
    fresh = np.random.default_rng(6).normal(size=(1, 3))
    answer = server.infer(ask(["BTC"], [START + HOURS * HOUR], fresh))
    assert answer.status_code == 200, answer.text
    window = np.concatenate([values[-LENGTH:], fresh])[np.newaxis]
    assert answer.json()["outputs"][0]["data"] == pytest.approx(expected(window).tolist(), abs=1e-6)


def test_more_history_than_memory_should_hold_is_refused(server: ServerProcess) -> None:
    rows = 120_000
    answer = server.infer(ask(["BTC"] * rows, [START + n * HOUR for n in range(rows)], np.zeros((rows, 3))))
    assert answer.status_code == 400
    assert "120000 rows that each look back on 3 are too many at once: send at most 116508" in answer.json()["error"]


def test_a_store_that_is_gone_is_no_fault_of_the_request(server: ServerProcess, url: str) -> None:
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        connection.execute("ALTER TABLE samples RENAME TO elsewhere")
    answer = server.infer(ask(["BTC"], [START], [[0.0, 0.0, 0.0]]))
    assert answer.status_code == 503
    assert "the history cannot be read, the sample store says: " in answer.json()["error"]
    wait_for(lambda: server.process.poll() is None, "the server to live on")
