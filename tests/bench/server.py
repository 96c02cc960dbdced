"""The server beside `mlserver`: the same XGBoost model, the same requests, the same load generator, taking turns.

    python -m tests.bench.server              # the published run
    python -m tests.bench.server --dry        # a look: nothing is written

Throughput is measured with 8 connections, latency with 1 (with more, it only says how long the queue is). The servers
take turns and ratios are medians over the rounds, so that a neighbour on the machine weighs on both. Each has one
worker, `OMP_NUM_THREADS=1`, and no access log. mlserver runs in its own virtual environment below the cache directory,
in its default configuration, one inference process beside the one that speaks HTTP, and once more with
`parallel_workers: 0`, all in one process, as ours is; the faster of the two is what we are compared with. Its uvloop is
held below 0.22: with a newer one the inference process of the default configuration does not start (no current event
loop). Ours does not record (no database): what recording costs is measured apart, with a real PostgreSQL.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xgboost
from tests.bench.environments import prepare_environment
from tests.bench.record import record
from tests.integration.ports import free_port
from tests.integration.postgres import fresh_database, running_postgres
from tests.integration.server_process import create_tables
from tests.unit.server.served import make_config, write_artifact

REQUIREMENTS = ("mlserver==1.7.1", "mlserver-xgboost==1.7.1", "uvloop<0.22")
FEATURES = tuple(f"f{i}" for i in range(20))
TREES = 100
THROUGHPUT, LATENCY = 8, 1
"""Connections."""

Figures = Iterator[tuple[str, float, str]]
"""Name, value, unit."""


@dataclass(frozen=True)
class Server:
    """A running server that takes requests for the model ``m``."""

    name: str
    port: int
    log: Path


@dataclass(frozen=True)
class Options:
    """How long to look."""

    rounds: int
    seconds: float


@dataclass(frozen=True)
class Rounds:
    """One server under one load."""

    server: str
    turns: list[dict[str, float]]

    def median(self, what: str) -> float:
        """Over the rounds."""
        return statistics.median(turn[what] for turn in self.turns)

    def median_over(self, other: "Rounds", what: str) -> float:
        """Ours over theirs, turn by turn."""
        return statistics.median(a[what] / b[what] for a, b in zip(self.turns, other.turns, strict=True))


def train(rows: np.ndarray[Any, Any]) -> Any:
    """100 trees of depth 6: the library's own defaults for a classifier."""
    target = rows[:, 0] + np.random.default_rng(1).normal(size=len(rows)) > 0
    settings = {"objective": "binary:logistic", "max_depth": 6, "nthread": 2}
    return xgboost.train(settings, xgboost.DMatrix(rows, target), TREES)


@contextmanager
def process(
    name: str, port: int, folder: Path, command: list[str | Path], ready: str, every: float = 0.2
) -> Iterator[Server]:
    """A server, when it says that the model is ready; it is asked so often (seconds)."""
    log = folder / "log"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("w") as output:
        running = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env=environment)
    try:
        deadline = time.monotonic() + 120
        while not _is_ready(f"http://127.0.0.1:{port}{ready}"):
            if running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start: {log.read_text()[-2000:]}")
            time.sleep(every)
        yield Server(name, port, log)
    finally:
        running.terminate()
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def start_mlserver(folder: Path, programs: Path, model: Path, workers: int) -> AbstractContextManager[Server]:
    """mlserver on the model's file; everything else as it comes."""
    folder.mkdir()
    port = free_port()
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": workers,
        "debug": False,
    }
    described = {"name": "m", "implementation": "mlserver_xgboost.XGBoostModel", "parameters": {"uri": str(model)}}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(described))
    name = f"mlserver, parallel_workers: {workers}"
    return process(name, port, folder, [programs / "mlserver", "start", "."], "/v2/models/m/ready")


def start_ours(
    folder: Path, artifact: Path, digest: str, url: str | None = None, **changes: Any
) -> AbstractContextManager[Server]:
    """`perennial-serve`, recording when there is a database."""
    folder.mkdir()
    port = free_port()
    config = make_config(artifact, digest, name="m", port=port, queueLimit=1_000_000, **changes)
    (folder / "server.json").write_text(config.to_json())
    command: list[str | Path] = [sys.executable, "-m", "perennial_server.main", "--host=127.0.0.1"]
    command += ["--config=server.json"]
    if url is None:
        command += ["--no-recording"]
    else:
        (folder / "url").write_text(url)
        command += ["--samples-url-file=url"]
    return process("perennial" if url is None else "perennial, recording", port, folder, command, "/v2/health/ready")


def write_request(path: Path, rows: np.ndarray[Any, Any], *, recorded: bool = False) -> Path:
    """The same bytes for every server; with ids of its own for each request where they are recorded."""
    n, k = rows.shape
    inputs: list[dict[str, Any]] = [{"name": "features", "datatype": "FP64", "shape": [n, k], "data": rows.tolist()}]
    if recorded:
        texts = {
            "sample_id": [f"@@@@@@@@@@-{i}" for i in range(n)],
            "series": ["BTC"] * n,
            "at": ["2024-05-01T12:00:00Z"] * n,
        }
        inputs += [{"name": name, "datatype": "BYTES", "shape": [n], "data": data} for name, data in texts.items()]
    path.write_text(json.dumps({"inputs": inputs}))
    return path


def load(server: Server, request: Path, connections: int, seconds: float) -> dict[str, float]:
    """One round, by a process of its own."""
    arguments = [str(server.port), "/v2/models/m/infer", str(request), str(connections), str(seconds)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.http_load", *arguments], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def take_turns(servers: list[Server], request: Path, connections: int, options: Options) -> list[Rounds]:
    """For each server its rounds."""
    for server in servers:
        load(server, request, connections, 0.5)
    turns = [[load(server, request, connections, options.seconds) for server in servers] for _ in range(options.rounds)]
    return [Rounds(server.name, list(rounds)) for server, rounds in zip(servers, zip(*turns, strict=True), strict=True)]


def check_same_answer(servers: list[Server], request: Path) -> None:
    """A server that is fast at something else is no measure."""
    answers = []
    for server in servers:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{server.port}/v2/models/m/infer",
            request.read_bytes(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=10) as answer:
            answers.append(np.ravel(json.load(answer)["outputs"][0]["data"]))
    for other in answers[1:]:
        np.testing.assert_allclose(other, answers[0], rtol=1e-6)


def against_mlserver(folder: Path, rows: np.ndarray[Any, Any], digest: str, options: Options) -> Figures:
    """Ours, theirs and the ratios, at 1 and 100 rows."""
    programs, artifact = prepare_environment("mlserver", REQUIREMENTS), folder / "artifact"
    with ExitStack() as stack:
        servers = [stack.enter_context(start_ours(folder / "ours", artifact, digest))]
        for workers in (1, 0):
            starting = start_mlserver(folder / f"mlserver-{workers}", programs, artifact / "model.ubj", workers)
            servers.append(stack.enter_context(starting))
        for count, suffix in ((1, ""), (100, "_100_rows")):
            request = write_request(folder / f"{count}.json", rows[:count])
            check_same_answer(servers, request)
            ours, *theirs = take_turns(servers, request, THROUGHPUT, options)
            best = max(theirs, key=lambda one: one.median("per_second"))
            yield f"server.throughput_over_mlserver{suffix}", ours.median_over(best, "per_second"), "ratio"
            yield f"server.requests_per_s{suffix}", ours.median("per_second"), "requests/s"
            yield f"server.mlserver_requests_per_s{suffix}", best.median("per_second"), "requests/s"
            ours, *theirs = take_turns(servers, request, LATENCY, options)
            best = min(theirs, key=lambda one: one.median("p50_ms"))
            yield f"server.p50_over_mlserver{suffix}", ours.median_over(best, "p50_ms"), "ratio"
            for quantile in ("p50_ms", "p99_ms"):
                yield f"server.{quantile}{suffix}", ours.median(quantile), "ms"
                yield f"server.mlserver_{quantile}{suffix}", best.median(quantile), "ms"


def with_recording(folder: Path, rows: np.ndarray[Any, Any], digest: str, options: Options) -> Figures:
    """What it costs to record every row of one-row requests in a real database on the same machine."""
    artifact = folder / "artifact"
    request = write_request(folder / "recorded.json", rows[:1], recorded=True)
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(stack.enter_context(running_postgres())))
        create_tables(url, FEATURES)
        servers = [
            stack.enter_context(start_ours(folder / "recording", artifact, digest, url)),
            stack.enter_context(start_ours(folder / "silent", artifact, digest)),
        ]
        recording, silent = take_turns(servers, request, THROUGHPUT, options)
        yield "server.throughput_recording_over_not", recording.median_over(silent, "per_second"), "ratio"
        yield "server.recording_requests_per_s", recording.median("per_second"), "requests/s"


def main() -> None:
    """Measures, prints and records."""
    parser = argparse.ArgumentParser(description="The server beside mlserver.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round")
    parser.add_argument("--dry", action="store_true", help="print alone, record nothing")
    arguments = parser.parse_args()
    options = Options(arguments.rounds, arguments.seconds)
    with TemporaryDirectory(prefix="perennial-bench-") as name:
        folder = Path(name)
        rows = np.random.default_rng(0).normal(size=(5_000, len(FEATURES)))
        digest = write_artifact(folder / "artifact", features=FEATURES, booster=train(rows))
        for measure in (against_mlserver, with_recording):
            for figure, value, unit in measure(folder, rows, digest, options):
                print(f"{figure:45} {value:10.3f} {unit}", flush=True)
                if not arguments.dry:
                    record(figure, round(value, 3), unit)


if __name__ == "__main__":
    main()
