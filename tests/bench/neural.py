"""Neural models: what training costs over neuralforecast, and how fast a server answers and starts.

    python -m tests.bench.neural              # the published run
    python -m tests.bench.neural --dry        # a look: nothing is written

Latency is of one row over one connection, median of rounds, for each algorithm; `tree` and `neural` are the slower of
either two. Networks have the history in the request, and N-HiTS once more reads it from a real PostgreSQL. A cold start
is from the process to the first readiness, median of starts, with N-HiTS.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightgbm
import numpy as np
import psycopg
from tests.bench.record import record
from tests.bench.server import FEATURES, LATENCY, Options, load, process, start_ours, take_turns, train
from tests.integration.ports import free_port
from tests.integration.postgres import fresh_database, running_postgres
from tests.integration.server_process import create_tables
from tests.neural.environment import ROOT, environment, prepare
from tests.unit.server.served import make_config, write_artifact

from perennial_contract.artifacts import digest_file
from perennial_contract.report import MANIFEST_FILE

TREES = ("xgboost", "lightgbm")
NETWORKS = ("nhits", "patchtst")
LENGTH = 24
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)

Figures = Iterator[tuple[str, float, str]]


def training(folder: Path, steps: int, repeats: int) -> Figures:
    """By a process that has torch, which leaves artifacts in the folder too."""
    command = [prepare(), "-m", "tests.bench.neural_training", folder, f"--steps={steps}", f"--repeats={repeats}"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), check=True, stdout=subprocess.PIPE, text=True)
    *said, last = done.stdout.splitlines()
    print("\n".join(said), flush=True)
    for name, ratio in json.loads(last).items():
        yield f"trainer.{name}.overhead", ratio, "ratio"


def write_request(path: Path, *, history: bool) -> Path:
    """One row at noon, with its past or without."""
    rng = np.random.default_rng(0)
    width = len(FEATURES)

    def tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
        return {"name": name, "datatype": datatype, "shape": shape, "data": data}

    inputs = [
        tensor("features", "FP64", [1, width], rng.normal(size=(1, width)).tolist()),
        tensor("sample_id", "BYTES", [1], ["@@@@@@@@@@"]),
        tensor("series", "BYTES", [1], ["BTC"]),
        tensor("at", "BYTES", [1], [NOON.isoformat()]),
    ]
    if history:
        inputs.append(
            tensor("history", "FP64", [1, LENGTH, width], rng.normal(size=(1, LENGTH, width)).tolist()),
        )
    path.write_text(json.dumps({"inputs": inputs}))
    return path


def grow(algorithm: str) -> Any:
    """100 trees by either library."""
    rows = np.random.default_rng(0).normal(size=(5_000, len(FEATURES)))
    if algorithm == "xgboost":
        return train(rows)
    target = rows[:, 0] + np.random.default_rng(1).normal(size=len(rows)) > 0
    return lightgbm.train({"objective": "binary", "num_threads": 2, "verbosity": -1}, lightgbm.Dataset(rows, target))


def latency(folder: Path, options: Options) -> Figures:
    """Two kinds of trees and two networks, taking turns."""
    for name in TREES:
        write_artifact(folder / name, name, features=FEATURES, booster=grow(name))
    request = write_request(folder / "with-history.json", history=True)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                start_ours(
                    folder / f"serve-{name}", folder / name, digest_file(folder / name / MANIFEST_FILE), algorithm=name
                )
            )
            for name in (*TREES, *NETWORKS)
        ]
        rounds = take_turns(servers, request, LATENCY, options)
    found = dict(zip((*TREES, *NETWORKS), (one.median("p50_ms") for one in rounds), strict=True))
    for name, p50 in found.items():
        yield f"server.p50_ms.{name}", p50, "ms"
    yield "server.p50_ms.tree", max(found[name] for name in TREES), "ms"
    yield "server.p50_ms.neural", max(found[name] for name in NETWORKS), "ms"


def latency_from_the_store(folder: Path, options: Options) -> Figures:
    """The past of a row among 20 series of 5 000 rows each."""
    request = write_request(folder / "without-history.json", history=False)
    digest = digest_file(folder / "nhits" / MANIFEST_FILE)
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(stack.enter_context(running_postgres())))
        create_tables(url, FEATURES)
        with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
            values = ", ".join(["random()"] * len(FEATURES))
            connection.execute(
                f"INSERT INTO samples (id, series, at, target, {', '.join(FEATURES)}) "
                "SELECT s || '-' || h, CASE s WHEN 1 THEN 'BTC' ELSE 's' || s END, %s - h * interval '1 hour', h %% 2, "
                f"{values} FROM generate_series(1, 20) AS s, generate_series(1, 5000) AS h",
                (NOON,),
            )
            connection.execute("VACUUM ANALYZE samples")
        server = stack.enter_context(start_ours(folder / "stored", folder / "nhits", digest, url, algorithm="nhits"))
        load(server, request, LATENCY, 0.5)
        turns = [load(server, request, LATENCY, options.seconds) for _ in range(options.rounds)]
        yield "server.p50_ms.neural_from_store", statistics.median(turn["p50_ms"] for turn in turns), "ms"


def cold_start(folder: Path, starts: int) -> Figures:
    """Seconds from the process to its first readiness."""
    digest, spent = digest_file(folder / "nhits" / MANIFEST_FILE), []
    for number in range(starts + 1):
        home = folder / f"start-{number}"
        home.mkdir()
        port = free_port()
        config = make_config(folder / "nhits", digest, name="m", port=port, algorithm="nhits")
        (home / "server.json").write_text(config.to_json())
        command: list[str | Path] = [sys.executable, "-m", "perennial_server.main", "--host=127.0.0.1"]
        began = time.perf_counter()
        with process(
            "perennial", port, home, [*command, "--config=server.json", "--no-recording"], "/v2/health/ready", 0.01
        ):
            spent.append(time.perf_counter() - began)
    yield "server.cold_start_s", statistics.median(spent[1:]), "s"


def main() -> None:
    """Measures, prints and records."""
    parser = argparse.ArgumentParser(description="Neural models: training, latency, cold start.")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round")
    parser.add_argument("--dry", action="store_true", help="print alone, record nothing")
    arguments = parser.parse_args()
    options = Options(arguments.rounds, arguments.seconds)
    with TemporaryDirectory(prefix="perennial-bench-") as name:
        folder = Path(name)
        measures = (
            training(folder, arguments.steps, arguments.repeats),
            latency(folder, options),
            latency_from_the_store(folder, options),
            cold_start(folder, arguments.rounds),
        )
        for measure in measures:
            for figure, value, unit in measure:
                print(f"{figure:45} {value:10.3f} {unit}", flush=True)
                if not arguments.dry:
                    record(figure, round(value, 3), unit)


if __name__ == "__main__":
    main()
