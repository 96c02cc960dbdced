"""`perennial-serve` as a process of its own, and the tables that it writes to."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import sqlalchemy as sa
from tests.integration.ports import free_port
from tests.unit.server.served import FEATURES, make_config

from perennial.adapters.store.schema import predictions_table, samples_table
from perennial_contract.serving import ServerConfig

TOKEN = "outcomes-s3cret"
_PATIENCE_SECONDS = 30.0


def create_tables(url: str, features: Sequence[str] = FEATURES) -> None:
    """Fresh ones, as `perennial store init` makes them."""
    engine = sa.create_engine(url)
    for table in (samples_table("samples", features), predictions_table("predictions")):
        table.drop(engine, checkfirst=True)
        table.create(engine)
    engine.dispose()


def fetch(url: str, query: str) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        return connection.execute(query.encode()).fetchall()


def alter(url: str, statement: str) -> None:
    """Changes a table under the server."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement.encode())


def wait_for(condition: Callable[[], Any], what: str, seconds: float = _PATIENCE_SECONDS) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for: {what}"
        time.sleep(0.05)
    return value


async def wait_until(condition: Callable[[], Any], what: str) -> None:
    """The same, while the loop runs on."""
    await asyncio.to_thread(wait_for, condition, what)


class ServerProcess:
    """One running server; its log is kept."""

    def __init__(self, folder: Path, config: ServerConfig, url: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.log_file = folder / "log"
        self.base = f"http://127.0.0.1:{config.port}"
        self.infer_url = f"{self.base}/v2/models/{config.name}/infer"
        self.outcomes_url = f"http://127.0.0.1:{config.outcomes_port}/outcomes"
        (folder / "server.json").write_text(config.to_json())
        (folder / "url").write_text(url + "\n")
        (folder / "token").write_text(TOKEN)
        arguments = {"config": "server.json", "samples-url-file": "url", "outcomes-token-file": "token"}
        options = [f"--{option}={folder / name}" for option, name in arguments.items()]
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "perennial_server.main", "--host=127.0.0.1", *options],
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_ready(self) -> None:
        """Returns when requests are welcome."""

        def is_ready() -> bool:
            assert self.process.poll() is None, self.log
            try:
                return httpx.get(f"{self.base}/v2/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        wait_for(is_ready, "the server to be ready")

    def infer(self, request: dict[str, Any]) -> httpx.Response:
        return httpx.post(self.infer_url, json=request)

    def post_outcomes(self, *outcomes: dict[str, Any], token: str = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.post(self.outcomes_url, json={"outcomes": outcomes}, headers=headers, timeout=30)

    def metric(self, name: str) -> float:
        """A series' value, its name written with its labels."""
        page = httpx.get(f"{self.base}/metrics").text
        found = re.search(rf"^perennial_server_{re.escape(name)} (\S+)$", page, re.MULTILINE)
        assert found, f"{name} is not in {page}"
        return float(found[1])

    def stop(self) -> int:
        """Asks it to stop; its exit code."""
        self.process.terminate()
        return self.process.wait(60)


@contextmanager
def running(folder: Path, artifact: Path, digest: str, url: str, **changes: Any) -> Iterator[ServerProcess]:
    """A ready server on ports of its own; ended afterwards if the test has not done so."""
    options = {"port": free_port(), "outcomesPort": free_port(), "drainSeconds": 4, **changes}
    server = ServerProcess(folder, make_config(artifact, digest, **options), url)
    try:
        server.wait_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
