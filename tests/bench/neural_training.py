"""What training costs over neuralforecast itself; runs where torch is, for `tests.bench.neural`.

    python -m tests.bench.neural_training FOLDER [--steps 500] [--repeats 2]

The same rows, networks, windows a step, steps (as many as the trainer takes by default) and looks at the stopping rows,
on one thread. Theirs is `NeuralForecast.fit` on a data frame, with Lightning's trainer; ours is `Algorithm.train`, with
the export to ONNX that comes after. PatchTST itself takes no features, so theirs learns from the target alone. The two
take turns; the first of each is dropped. Artifacts for the server's benchmark are left in FOLDER.
"""

import argparse
import json
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import DistributionLoss
from neuralforecast.models import NHITS, PatchTST

from perennial_contract.artifacts import describe_file
from perennial_contract.recording import key_hash
from perennial_contract.report import MANIFEST_FILE, Feature, Manifest
from perennial_contract.task import AlgorithmName
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.algorithms.base import Labelled
from perennial_trainer.instants import to_micros
from perennial_trainer.sequences import Past, Sequences

ROWS, FEATURES, LENGTH, BATCH, LOOKS = 20_000, 20, 24, 512, 50
STOP = 3_000
HOUR = to_micros(timedelta(hours=1))
CASES: dict[AlgorithmName, Any] = {"nhits": NHITS, "patchtst": PatchTST}


def make_rows() -> tuple[Sequences, Any]:
    """Hours of one series, with a weak signal in what went before."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(ROWS, FEATURES))
    signal = 0.5 * np.roll(values[:, 0], 2) + 0.3 * values[:, 1]
    target = (signal + rng.normal(size=ROWS) > 0).astype(float)
    at = np.arange(ROWS) * HOUR
    return Sequences(np.full(ROWS, key_hash("BTC")), at, at + 5 * HOUR, target, 5 * HOUR), values


def ours(name: AlgorithmName, table: Sequences, values: Any, steps: int) -> Any:
    """The trainer's own."""
    parts = [
        Labelled(values[rows], table.target[rows], Past(table, rows, values))
        for rows in (np.arange(ROWS - STOP), np.arange(ROWS - STOP, ROWS))
    ]
    parameters = {
        "input_size": LENGTH,
        "max_steps": steps,
        "windows_batch_size": BATCH,
        "val_check_steps": LOOKS,
        "early_stop_patience_steps": -1,
    }
    return find_algorithm(name).train(*parts, parameters=parameters, seed=1, threads=1)


def theirs(name: AlgorithmName, frame: Any, steps: int) -> None:
    """neuralforecast, as its own guide calls it, with all that it says and writes turned off."""
    features = [f"f{i}" for i in range(FEATURES)]
    more = {"futr_exog_list": features} if name == "nhits" else {}
    model = CASES[name](
        h=1,
        input_size=LENGTH,
        loss=DistributionLoss("Bernoulli", level=[]),
        max_steps=steps,
        windows_batch_size=BATCH,
        val_check_steps=LOOKS,
        random_seed=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **more,
    )
    columns = ["unique_id", "ds", "y", *(features if more else [])]
    NeuralForecast([model], freq=1).fit(frame[columns], val_size=STOP)


def seconds(work: Callable[[], object]) -> float:
    """Of the processor: on one thread that is the wall time of a machine with nobody else on it."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(name: AlgorithmName, steps: int, repeats: int) -> float:
    """Ours over theirs."""
    table, values = make_rows()
    frame = pd.DataFrame(values, columns=[f"f{i}" for i in range(FEATURES)])
    frame = frame.assign(unique_id="BTC", ds=np.arange(ROWS), y=table.target)
    taken: dict[str, list[float]] = {"ours": [], "theirs": []}
    for repeat in range(repeats + 1):
        turns: list[tuple[str, Callable[[], object]]] = [
            ("ours", lambda: ours(name, table, values, steps)),
            ("theirs", lambda: theirs(name, frame, steps)),
        ]
        for who, work in turns if repeat % 2 else reversed(turns):
            spent = seconds(work)
            if repeat:
                taken[who].append(spent)
    mine, bare = (statistics.median(taken[who]) for who in ("ours", "theirs"))
    print(f"{name}: ours {mine:.2f} s, neuralforecast {bare:.2f} s, ratio {mine / bare:.3f}", flush=True)
    return mine / bare


def write_artifact(name: AlgorithmName, folder: Path) -> None:
    """A network of usual size; what it has learned does not matter to a server's speed."""
    table, values = make_rows()
    folder.mkdir(parents=True)
    files = ours(name, table, values, 2).save(folder)
    manifest = Manifest(
        algorithm=name,
        model_file=files[0],
        features=tuple(Feature(name=f"f{i}") for i in range(FEATURES)),
        seed=1,
        fingerprint="",
        libraries={},
        files=tuple(describe_file(folder / file) for file in files),
    )
    (folder / MANIFEST_FILE).write_text(manifest.to_json())


def main() -> None:
    """Measures; the last line is JSON."""
    parser = argparse.ArgumentParser(description="Training's cost over neuralforecast.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for name in CASES:
        write_artifact(name, arguments.folder / name)
    print(json.dumps({name: measure(name, arguments.steps, arguments.repeats) for name in CASES}))


if __name__ == "__main__":
    main()
