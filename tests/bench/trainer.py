"""What the trainer costs over the bare libraries, and how fast it reads samples.

    python -m tests.bench.trainer                       # the published size: 316 767 rows × 50 features
    python -m tests.bench.trainer --rows 20000 --dry    # a quick look, nothing is written

Training: the same arrays, parameters and threads, through `Algorithm.train` and through the library's own functions,
the data structures' construction included on both sides; the two take turns, and medians are compared.
Loading: a real PostgreSQL, as a training Job reads it.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import lightgbm
import numpy as np
import psycopg
import sqlalchemy as sa
import xgboost
from tests.bench.record import record
from tests.integration.postgres import fresh_database, running_postgres

from perennial.adapters.store.schema import reports_table, samples_table
from perennial_contract.task import AlgorithmName, TrainingTask
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.algorithms.base import Labelled
from perennial_trainer.dataset import inspect_table, load_rows
from perennial_trainer.progress import Throttle, log_rounds, start_log
from perennial_trainer.sources import open_source

ROWS, FEATURES = 316_767, 50
START = datetime(2020, 1, 1, tzinfo=UTC)
SEED = 42


@dataclass(frozen=True)
class Case:
    """One library with the parameters that both sides are given."""

    name: AlgorithmName
    parameters: dict[str, Any]
    bare: Callable[[Labelled, Labelled, dict[str, Any], int, int], object]


def bare_xgboost(fit: Labelled, stop: Labelled, parameters: dict[str, Any], rounds: int, threads: int) -> object:
    """As XGBoost's own guide trains with early stopping."""
    training = xgboost.QuantileDMatrix(fit.features, fit.target, nthread=threads)
    watched = xgboost.QuantileDMatrix(stop.features, stop.target, nthread=threads, ref=training)
    chosen = {**parameters, "seed": SEED, "nthread": threads}
    return xgboost.train(
        chosen, training, rounds, evals=[(watched, "stop")], early_stopping_rounds=rounds, verbose_eval=False
    )


def bare_lightgbm(fit: Labelled, stop: Labelled, parameters: dict[str, Any], rounds: int, threads: int) -> object:
    """As LightGBM's own guide trains with early stopping."""
    chosen = {**parameters, "seed": SEED, "num_threads": threads, "verbosity": -1}
    training = lightgbm.Dataset(fit.features, fit.target, params=chosen)
    watched = training.create_valid(stop.features, stop.target)
    stopping = lightgbm.early_stopping(rounds, verbose=False)
    return lightgbm.train(chosen, training, rounds, valid_sets=[watched], callbacks=[stopping])


CASES = [
    Case(
        "xgboost",
        {
            "objective": "binary:logistic",
            "eval_metric": "logloss",
            "tree_method": "hist",
            "max_depth": 6,
            "learning_rate": 0.05,
        },
        bare_xgboost,
    ),
    Case(
        "lightgbm",
        {
            "objective": "binary",
            "metric": "binary_logloss",
            "num_leaves": 31,
            "learning_rate": 0.05,
            # The trainer's, for reproducible models: given to both, or the two would train in different ways.
            "deterministic": True,
            "force_col_wise": True,
        },
        bare_lightgbm,
    ),
]


def make_arrays(rows: int, features: int) -> Labelled:
    """Noise with a weak signal in it, as markets have."""
    rng = np.random.default_rng(SEED)
    values = rng.normal(size=(rows, features))
    signal = 0.3 * values[:, 0] + 0.2 * values[:, 1] * values[:, 2]
    return Labelled(values, (signal + rng.normal(size=rows) > 0).astype(np.float64))


def seconds(work: Callable[[], object]) -> float:
    """Wall time."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure_overhead(case: Case, fit: Labelled, stop: Labelled, rounds: int, threads: int, repeats: int) -> float:
    """Ours over theirs, medians of repeats that take turns; the first of each warms up and is dropped."""
    settings = {**case.parameters, "num_boost_round": rounds, "early_stopping_rounds": rounds}
    algorithm = find_algorithm(case.name)

    def ours() -> object:
        progress = log_rounds(Throttle())
        return algorithm.train(fit, stop, parameters=settings, seed=SEED, threads=threads, progress=progress)

    def theirs() -> object:
        return case.bare(fit, stop, case.parameters, rounds, threads)

    taken: dict[str, list[float]] = {"ours": [], "theirs": []}
    for repeat in range(repeats + 1):
        turns = [("ours", ours), ("theirs", theirs)]
        for who, work in turns if repeat % 2 else reversed(turns):
            spent = seconds(work)
            if repeat:
                taken[who].append(spent)
    mine, bare = (statistics.median(taken[who]) for who in ("ours", "theirs"))
    print(f"{case.name}: ours {mine:.2f} s, bare {bare:.2f} s, ratio {mine / bare:.3f}", flush=True)
    return mine / bare


def measure_loading(data: Labelled) -> float:
    """Rows a second from a real PostgreSQL into the trainer's arrays."""
    rows, features = data.features.shape
    names = [f"f{i}" for i in range(features)]
    with running_postgres() as server, fresh_database(server) as url:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            samples_table("samples", names).create(connection)
            reports_table().create(connection)
        engine.dispose()
        fill(url, names, data)
        task = make_task(rows)
        with open_source(url) as source:
            table = inspect_table(source, task)
            spent = [seconds(lambda: load_rows(source, task, table)) for _ in range(3)]
    rate: float = rows / statistics.median(spent)
    print(f"loading: {rows} rows × {features} features in {statistics.median(spent):.1f} s, {rate:.0f} rows/s")
    return rate


def fill(url: str, names: list[str], data: Labelled) -> None:
    """Loads the arrays by COPY."""
    columns = ", ".join(["id", "series", "at", "target", "reward", "resolved_at", *(f'"{name}"' for name in names)])
    plain = url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(plain) as connection, connection.cursor() as cursor:
        with cursor.copy(f"COPY samples ({columns}) FROM STDIN") as copy:
            for i, values in enumerate(data.features.tolist()):
                at = START + timedelta(hours=i)
                copy.write_row([f"s-{i}", "s", at, int(data.target[i]), 0.01, at + timedelta(hours=1), *values])
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE samples")


def make_task(rows: int) -> TrainingTask:
    """One whose window holds every row."""
    version = {"namespace": "b", "model": "m", "model_uid": "u", "name": "m-v1", "uid": "v", "revision": 1}
    document = {
        "version": version,
        "algorithm": {"name": "xgboost"},
        "samples": {"label_delay": "1h"},
        "decision": {},
        "until": START + timedelta(hours=rows + 2),
        "data_window": f"{rows + 3}h",
        "store": "file:///nowhere",
    }
    return TrainingTask.model_validate(document)


def main() -> None:
    """Measures, prints and records."""
    parser = argparse.ArgumentParser(description="What the trainer costs over the bare libraries.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--dry", action="store_true", help="print alone, record nothing")
    arguments = parser.parse_args()
    start_log()
    data = make_arrays(arguments.rows, arguments.features)
    cut = int(arguments.rows * 0.85)
    fit, stop = Labelled(data.features[:cut], data.target[:cut]), Labelled(data.features[cut:], data.target[cut:])
    figures: list[tuple[str, float, str]] = []
    for case in CASES:
        ratio = measure_overhead(case, fit, stop, arguments.rounds, arguments.threads, arguments.repeats)
        figures.append((f"trainer.{case.name}.overhead", round(ratio, 3), "ratio"))
    figures.append(("trainer.load_rows_per_s", round(measure_loading(data)), "rows/s"))
    for name, value, unit in figures:
        if not arguments.dry:
            record(name, value, unit)


if __name__ == "__main__":
    main()
