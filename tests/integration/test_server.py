"""The server as it runs: a process, a real database, real connections."""

import asyncio
import http.client
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.ports import free_port
from tests.integration.postgres import PostgresServer, fresh_database, granted, running_postgres
from tests.integration.server_process import (
    TOKEN,
    ServerProcess,
    alter,
    create_tables,
    fetch,
    running,
    wait_for,
    wait_until,
)
from tests.unit.server.served import FEATURES, ROWS, make_config, request_for, tensor, write_artifact

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("artifact")
    return folder, write_artifact(folder)


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="module")
def shared_server(
    tmp_path_factory: pytest.TempPathFactory, artifact: tuple[Path, str], database: str
) -> Iterator[ServerProcess]:
    with running(tmp_path_factory.mktemp("server"), *artifact, database) as process:
        yield process


@pytest.fixture
def server(shared_server: ServerProcess, database: str) -> ServerProcess:
    """One server for many tests, each with fresh tables: a start costs seconds."""
    create_tables(database)
    return shared_server


@pytest.fixture
def tables(database: str) -> str:
    """The URL of fresh tables, for tests that start servers of their own."""
    create_tables(database)
    return database


class Growth:
    """By how much series have grown since."""

    def __init__(self, server: ServerProcess, *names: str) -> None:
        self._server, self._names = server, names
        self._before = [server.metric(name) for name in names]

    def __call__(self) -> list[float]:
        return [self._server.metric(name) - old for name, old in zip(self._names, self._before, strict=True)]


def count(url: str, table: str) -> int:
    return int(fetch(url, f"SELECT count(*) FROM {table}")[0][0])


def test_answers_become_samples_and_predictions(server: ServerProcess, database: str) -> None:
    written = Growth(server, 'records_written_total{table="samples"}', 'records_written_total{table="predictions"}')
    rows: list[list[float | None]] = [[0.5, None, -1.25], [1e-9, 2.0, 3.0]]
    answer = server.infer(request_for(["b", "a"], rows=rows))
    assert answer.status_code == 200, answer.text
    scores = answer.json()["outputs"][0]["data"]
    wait_for(lambda: count(database, "predictions") == 2, "two predictions")
    columns = ", ".join('"' + name.replace('"', '""') + '"' for name in FEATURES)
    samples = fetch(database, f"SELECT id, series, at, {columns}, target, resolved_at FROM samples ORDER BY id")
    assert samples == [("a", "BTC", NOON, *rows[1], None, None), ("b", "BTC", NOON, *rows[0], None, None)]
    predictions = fetch(database, "SELECT * FROM predictions ORDER BY sample_id")
    assert predictions == [
        ("books/ensemble", "uid-1", "a", "live", scores[1], NOON),
        ("books/ensemble", "uid-1", "b", "live", scores[0], NOON),
    ]
    assert written() == [2, 2]


def test_what_is_recorded_stays(server: ServerProcess, database: str) -> None:
    server.infer(request_for(["a"], rows=[[1.0, 1.0, 1.0]]))
    wait_for(lambda: count(database, "predictions") == 1, "the first prediction")
    before = fetch(database, "SELECT s.*, p.* FROM samples s, predictions p")
    later = tensor("at", ["2024-05-01T13:00:00Z"] * 2, "BYTES")
    server.infer(request_for(["a", "z"], rows=[[2.0, 2.0, 2.0]] * 2, at=later))
    wait_for(lambda: count(database, "predictions") == 2, "the second prediction")
    assert fetch(database, "SELECT s.*, p.* FROM samples s, predictions p WHERE id = 'a' AND sample_id = 'a'") == before


def test_an_outcome_may_come_before_its_sample(server: ServerProcess, database: str) -> None:
    answer = server.post_outcomes({"id": "a", "target": 1, "reward": 0.25, "resolvedAt": "2024-05-01T19:00:00+02:00"})
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "already": 0})
    resolved = datetime(2024, 5, 1, 17, tzinfo=UTC)
    outcome = "SELECT id, series, at, ret_1, target, reward, resolved_at FROM samples"
    assert fetch(database, outcome) == [("a", None, None, None, 1, 0.25, resolved)]
    server.infer(request_for(["a"], rows=[[0.5, 1.0, 2.0]]))
    wait_for(lambda: count(database, "predictions") == 1, "the prediction")
    assert fetch(database, outcome) == [("a", "BTC", NOON, 0.5, 1, 0.25, resolved)]


def test_an_outcome_is_recorded_once_and_a_batch_wholly_or_not_at_all(server: ServerProcess, database: str) -> None:
    received = Growth(server, *(f'outcomes_total{{result="{how}"}}' for how in ("conflict", "accepted", "already")))
    server.infer(request_for(["a", "b"]))
    wait_for(lambda: count(database, "samples") == 2, "the samples")
    first, second = {"id": "a", "target": 1, "reward": 0.1}, {"id": "b", "target": 0}
    assert server.post_outcomes(first).json() == {"accepted": 1, "already": 0}
    assert server.post_outcomes(first, second).json() == {"accepted": 1, "already": 1}
    recorded = fetch(database, "SELECT id, target, reward, resolved_at FROM samples ORDER BY id")
    assert [row[:3] for row in recorded] == [("a", 1, 0.1), ("b", 0, None)]
    assert all(row[3] is not None for row in recorded)

    answer = server.post_outcomes({"id": "c", "target": 1}, {**first, "target": 0}, {**second, "reward": 0.5})
    assert answer.status_code == 409
    assert answer.json()["conflicts"] == ["a", "b"]
    assert fetch(database, "SELECT id, target, reward, resolved_at FROM samples ORDER BY id") == recorded
    assert server.post_outcomes({"id": "c", "target": 1}).json() == {"accepted": 1, "already": 0}
    assert received() == [2, 3, 1]


def test_outcomes_need_the_token_and_a_time_zone(server: ServerProcess, database: str) -> None:
    assert server.post_outcomes({"id": "a", "target": 1}, token="guess").status_code == 401
    naive = server.post_outcomes({"id": "a", "target": 1, "resolvedAt": "2024-05-01T12:00:00"})
    assert naive.status_code == 400
    assert "outcomes[0].resolvedAt" in naive.json()["error"]
    assert httpx.post(f"{server.base}/outcomes", json={}).status_code == 404  # not on the serving port
    assert count(database, "samples") == 0


def test_concurrent_outcomes_of_one_sample_agree_on_the_first(server: ServerProcess, database: str) -> None:
    async def race() -> list[int]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(timeout=30) as client:
            bodies = [{"outcomes": [{"id": name, "target": n % 2} for name in "zyxa"]} for n in range(20)]
            answers = await asyncio.gather(*(client.post(server.outcomes_url, json=b, headers=headers) for b in bodies))
        return [answer.status_code for answer in answers]

    codes = asyncio.run(race())
    assert sorted(codes) == [200] * 10 + [409] * 10
    assert len(fetch(database, "SELECT DISTINCT target FROM samples")) == 1


def test_one_row_that_the_table_refuses_does_not_hold_up_others(server: ServerProcess, database: str) -> None:
    refused = Growth(server, 'records_dropped_total{reason="refused"}')
    alter(database, "ALTER TABLE samples ALTER COLUMN vol_24 TYPE smallint")
    server.infer(
        request_for(["a", "b", "c", "d"], rows=[[0.0, 1.0, 0.0], [0.0, 1e6, 0.0], [0.0, 2.0, 0.0], [0.0, None, 0.0]])
    )
    server.infer(request_for(["e"], rows=[[0.0, 5.0, 0.0]]))
    wait_for(lambda: count(database, "predictions") == 4, "all the others")
    assert fetch(database, "SELECT id, vol_24 FROM samples ORDER BY id") == [
        ("a", 1),
        ("c", 2),
        ("d", None),
        ("e", 5),
    ]
    assert refused() == [1]
    assert "sample 'b' is not recorded: smallint out of range" in server.log


def test_a_column_that_is_missing_and_then_there_loses_nothing(server: ServerProcess, database: str) -> None:
    failed = Growth(server, "store_errors_total")
    alter(database, "ALTER TABLE samples DROP COLUMN vol_24")
    server.infer(request_for(["a"]))
    wait_for(lambda: failed() != [0], "an attempt")
    assert count(database, "predictions") == 0
    alter(database, "ALTER TABLE samples ADD COLUMN vol_24 float8")
    wait_for(lambda: count(database, "predictions") == 1, "the record")
    assert 'column "vol_24" of relation "samples" does not exist' in server.log


def test_a_connection_ends_with_its_hundredth_answer(server: ServerProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.config.port)
    goodbyes = []
    for _ in range(100):
        connection.request("GET", "/v2/health/live")
        answer = connection.getresponse()
        answer.read()
        goodbyes.append(answer.getheader("connection"))
    assert goodbyes == [None] * 99 + ["close"]


def test_two_versions_score_each_others_requests_once(tmp_path: Path, artifact: tuple[Path, str], tables: str) -> None:
    ports = free_port(), free_port()
    peers = [f"http://127.0.0.1:{port}" for port in ports]
    other = tmp_path / "other"
    changed = {"version": "uid-2", "versionName": "ensemble-v2", "peers": peers, "port": ports[1]}
    with (
        running(tmp_path / "1", *artifact, tables, peers=peers, port=ports[0]) as stable,
        running(tmp_path / "2", other, write_artifact(other, rounds=2), tables, **changed) as canary,
    ):
        paired = 'forwards_total{result="paired"}'
        for server, name in ((stable, "s"), (canary, "c")):
            for n in range(200):
                server.infer(request_for([f"find-{name}-{n}"]))
                if server.metric(paired):
                    break
                time.sleep(0.1)
            else:
                pytest.fail(f"{server.config.version_name} has not found the other")
        ids = [f"s{i}" for i in range(40)]
        for i, name in enumerate(ids):
            (stable, canary)[i % 2].infer(request_for([name], rows=[ROWS[i].tolist()]))
        query = (
            "SELECT sample_id, string_agg(version || ' ' || track, ', ' ORDER BY version), count(DISTINCT score)"
            " FROM predictions WHERE sample_id ~ '^s[0-9]+$' GROUP BY sample_id HAVING count(*) = 2"
        )
        pairs = wait_for(lambda: len(rows := fetch(tables, query)) == len(ids) and rows, "all pairs")
        tracks = {name: how for name, how, _ in pairs}
        assert tracks == {
            name: "uid-1 shadow, uid-2 live" if i % 2 else "uid-1 live, uid-2 shadow" for i, name in enumerate(ids)
        }
        assert sum(different for *_, different in pairs) > len(ids)  # two models, two opinions
        assert fetch(tables, "SELECT count(*) FROM samples WHERE id ~ '^s[0-9]+$'") == [(len(ids),)]
        # Neither has sent on what it was sent: every sample has exactly one live record.
        assert fetch(tables, "SELECT max(n) FROM (SELECT count(*) AS n FROM predictions WHERE track = 'live'"
                                   " GROUP BY sample_id) AS l") == [(1,)]  # fmt: skip
        # A peer that goes away costs the other nothing but a word.
        assert canary.stop() == 0
        assert stable.infer(request_for(["alone"])).status_code == 200


async def test_sigterm_under_load_fails_no_request_and_loses_no_record(
    tmp_path: Path, artifact: tuple[Path, str], tables: str
) -> None:
    answered: list[str] = []
    failures: list[str] = []
    with running(tmp_path, *artifact, tables, drainSeconds=8) as server:
        leave = asyncio.Event()

        async def client(number: int) -> None:
            async with httpx.AsyncClient(timeout=10) as http_client:
                n = 0
                while not leave.is_set():
                    name = f"{number}-{n}"
                    n += 1
                    try:
                        answer = await http_client.post(server.infer_url, json=request_for([name]))
                        (answered if answer.status_code == 200 else failures).append(name)
                    except httpx.HTTPError as error:
                        failures.append(f"{name}: {error!r}")

        clients = [asyncio.create_task(client(number)) for number in range(6)]
        await wait_until(lambda: len(answered) > 100, "load")
        server.process.terminate()
        before = len(answered)
        await wait_until(lambda: httpx.get(f"{server.base}/v2/health/ready").status_code == 503, "not ready")
        await wait_until(lambda: len(answered) > before + 50, "answers after the signal")
        leave.set()  # what an endpoint's removal does to clients
        await asyncio.gather(*clients)
        assert await asyncio.to_thread(server.process.wait, 15) == 0, server.log
    assert failures == []
    recorded = {name for (name,) in fetch(tables, "SELECT sample_id FROM predictions")}
    assert recorded == set(answered)
    assert count(tables, "samples") == len(answered)


def test_the_grants_that_the_examples_name_are_enough(tmp_path: Path, artifact: tuple[Path, str], tables: str) -> None:
    with granted(tables, "SELECT, INSERT, UPDATE") as url, running(tmp_path, *artifact, url) as server:
        assert server.post_outcomes({"id": "a", "target": 1}).status_code == 200
        server.infer(request_for(["a", "b"]))
        wait_for(lambda: count(tables, "predictions") == 2, "the predictions")
        assert server.post_outcomes({"id": "b", "target": 0}).json() == {"accepted": 1, "already": 0}
        assert server.post_outcomes({"id": "b", "target": 1}).status_code == 409
        assert server.metric("store_errors_total") == 0


def test_a_database_that_is_down_for_a_while_loses_nothing(tmp_path: Path, artifact: tuple[Path, str]) -> None:
    with running_postgres() as database, fresh_database(database) as url:
        create_tables(url)
        with running(tmp_path, *artifact, url) as server:
            server.infer(request_for(["before"]))
            assert server.post_outcomes({"id": "before", "target": 1}).status_code == 200
            wait_for(lambda: count(url, "predictions") == 1, "the first record")
            database.stop()
            for i in range(20):
                assert server.infer(request_for([f"down-{i}"])).status_code == 200
            refused = server.post_outcomes({"id": "late", "target": 1})
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            wait_for(lambda: server.metric("store_errors_total") >= 2, "attempts")
            assert server.metric("records_queued") == 20
            database.start()
            wait_for(lambda: count(url, "predictions") == 21, "the records to arrive")
            assert server.post_outcomes({"id": "late", "target": 1}).status_code == 200
            assert server.metric("records_queued") == 0
            assert server.stop() == 0
            assert database.password not in server.log
            assert TOKEN not in server.log


def test_a_database_that_stays_down_does_not_keep_the_server_from_ending(
    tmp_path: Path, artifact: tuple[Path, str]
) -> None:
    nowhere = f"postgresql+psycopg://u:hidden@127.0.0.1:{free_port()}/db"
    with running(tmp_path, *artifact, nowhere, drainSeconds=2, queueLimit=3) as server:
        assert server.infer(request_for(["a", "b", "c"])).status_code == 200
        assert server.infer(request_for(["d", "e"])).status_code == 200
        assert server.metric('records_dropped_total{reason="queue_full"}') == 2
        assert server.stop() == 0
        assert "did not take 3 scored rows before the end" in server.log
        assert "hidden" not in server.log


Change = dict[str, Any]


def start_wrongly(
    folder: Path, artifact: Path, digest: str, url: str = "postgresql+psycopg://u@h/d", **changes: Any
) -> str:
    """The one line that a server says that does not start, with exit code 2."""
    options = {"port": free_port(), "outcomesPort": free_port(), **changes}
    server = ServerProcess(folder / "server", make_config(artifact, digest, **options), url)
    try:
        assert server.process.wait(30) == 2, server.log
    except subprocess.TimeoutExpired:
        server.process.kill()
        raise
    (line,) = server.log.splitlines()
    return line


def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    digest = write_artifact(tmp_path / "a")
    model = tmp_path / "a" / "model.ubj"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    assert start_wrongly(tmp_path, tmp_path / "a", digest).startswith("perennial-serve: model.ubj: digest is sha256:")


def test_a_changed_manifest_is_refused(tmp_path: Path) -> None:
    digest = write_artifact(tmp_path / "a")
    manifest = tmp_path / "a" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"seed": 7', '"seed": 8'))
    assert start_wrongly(tmp_path, tmp_path / "a", digest).startswith("perennial-serve: manifest.json: digest is")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    digest = write_artifact(tmp_path / "a")
    (tmp_path / "a" / "model.ubj").unlink()
    line = start_wrongly(tmp_path, tmp_path / "a", digest)
    assert line == "perennial-serve: model.ubj: listed in manifest.json but missing"


@pytest.mark.parametrize(
    ("changes", "url", "message"),
    [
        ({"algorithm": "lightgbm"}, "", "algorithm: 'lightgbm', but the artifact's is 'xgboost'"),
        ({}, "sqlite:///x.db", "'sqlite' is not a store that servers write to: use postgresql+psycopg://"),
        ({}, "postgresql+psycopg://u:50%offs3cret@h/d", "not a URL: percent-encode user and password"),
        ({"peers": ["canary:8080"]}, "", "peers: 'canary:8080' is not a base URL"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, changes: Change, url: str, message: str) -> None:
    digest = write_artifact(tmp_path / "a")
    line = start_wrongly(tmp_path, tmp_path / "a", digest, url or "postgresql+psycopg://u@h/d", **changes)
    assert message in line
    assert "s3cret" not in line
