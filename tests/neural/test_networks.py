"""What a network sees, keeps and leaves behind."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.neural import look_back
from tests.neural.conftest import SMALL, algorithm, panel
from tests.unit.server.looking_back import FILE
from tests.unit.trainer.workbench import FEATURES, HOUR, Bench, run

from perennial_contract.recording import key_hash
from perennial_contract.report import Manifest
from perennial_contract.sequence import Sequence
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.algorithms.base import Labelled
from perennial_trainer.checkpoints import Checkpoints
from perennial_trainer.instants import to_micros
from perennial_trainer.neural.scoring import load
from perennial_trainer.sequences import Past, Sequences

MakeBench = Callable[[list[dict[str, Any]]], Bench]
BOTH = pytest.mark.parametrize("name", ["nhits", "patchtst"])
DELAY = timedelta(hours=5)


def table_of(rows: list[dict[str, Any]]) -> tuple[Sequences, Any]:
    rows = sorted(rows, key=lambda row: (row["at"], key_hash(row["series"])))
    at = np.array([to_micros(row["at"]) for row in rows])
    known = np.array([to_micros(max(row["resolved_at"], row["at"] + DELAY)) for row in rows])
    target = np.array([float(row["target"]) for row in rows])
    series = np.array([key_hash(row["series"]) for row in rows])
    return Sequences(series, at, known, target, to_micros(DELAY)), np.array(
        [[row[name] for name in FEATURES] for row in rows]
    )


def part(table: Sequences, columns: Any, rows: Any) -> Labelled:
    return Labelled(columns[rows], table.target[rows], Past(table, rows, columns))


def train(name: str, table: Sequences, columns: Any, **more: Any) -> Any:
    cut = int(len(table) * 0.8)
    fit, stop = part(table, columns, np.arange(cut)), part(table, columns, np.arange(cut, len(table)))
    arguments = {"parameters": SMALL[name], "seed": 3, "threads": 1, **more}
    return find_algorithm(name).train(fit, stop, **arguments)  # type: ignore[arg-type]


@cache
def trained(name: str) -> Any:
    """One for all tests that only look: table, columns, model."""
    table, columns = table_of(panel(400))
    return table, columns, train(name, table, columns)


@BOTH
def test_no_score_knows_an_outcome_that_is_younger_than_the_label_delay(name: str) -> None:
    table, columns, model = trained(name)
    rows = np.flatnonzero(table.head >= model.sequence.input_size)[-60:]
    whole = model.score(columns[rows], Past(table, rows, columns))
    younger = model.score(columns[rows], Past(flipped(table, rows, younger=True), rows, columns))
    assert (younger == whole).all()
    older = model.score(columns[rows], Past(flipped(table, rows, younger=False), rows, columns))
    assert (older != whole).mean() > 0.9  # and it does look at the others


def flipped(table: Sequences, rows: Any, *, younger: bool) -> Sequences:
    """The other outcome wherever it is, or is not, younger than the delay at the last of the rows."""
    now = table.at[rows[-1]]
    chosen = (table.known_at >= now) if younger else (table.known_at < now)
    if younger:  # of the rows before, what they may know must stay
        chosen &= table.at >= now - to_micros(DELAY)
    target = np.where(chosen, 1 - table.target, table.target)
    return Sequences(table.series, table.at, table.known_at, target, table.label_delay)


@BOTH
def test_a_rows_own_features_count_and_later_rows_do_not(name: str) -> None:
    table, columns, model = trained(name)
    row = np.array([len(table) - 21])
    before = model.score(columns[row], Past(table, row, columns))
    own, later = columns.copy(), columns.copy()
    own[row] += 1
    later[row[0] + 1 :] += 1
    assert model.score(own[row], Past(table, row, own)) != before
    assert model.score(later[row], Past(table, row, later)) == before


@BOTH
def test_the_scale_of_a_feature_does_not_matter(name: str) -> None:
    table, columns, model = trained(name)
    moved = columns * [1e6, 1e-6, 1] + [1e9, 0, 5]
    rows = np.arange(600, 800)
    other = train(name, table, moved).score(moved[rows], Past(table, rows, moved))
    np.testing.assert_allclose(model.score(columns[rows], Past(table, rows, columns)), other, atol=0.02)


@pytest.mark.parametrize("scaler", ["standard", "minmax1"])
def test_scalers_over_a_window_survive_the_export(scaler: str) -> None:
    table, columns = table_of(panel(300))
    model = train("nhits", table, columns, parameters={**SMALL["nhits"], "scaler_type": scaler, "max_steps": 10})
    rows = np.arange(400, 600)
    assert model.parity(Past(table, rows, columns)) < 1e-5


@BOTH
def test_an_interrupted_training_ends_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    table, columns = table_of(panel(300))
    parameters = {**SMALL[name], "dropout_prob_theta" if name == "nhits" else "fc_dropout": 0.2}
    checkpoints = Checkpoints(f"file://{tmp_path}", "m/v1.checkpoint", "k" * 64, 0)
    steps: list[int] = []

    def stop_at_40(step: int, *_: object) -> None:
        steps.append(step)
        if step == 40:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(name, table, columns, parameters=parameters, checkpoints=checkpoints.of(1), progress=stop_at_40)
    assert steps == [10, 20, 30, 40]
    assert [path.name for path in (tmp_path / "m/v1.checkpoint").iterdir()] == [
        "k" * 16 + "-member-1-running.safetensors"
    ]
    steps.clear()
    resumed = train(
        name,
        table,
        columns,
        parameters=parameters,
        checkpoints=checkpoints.of(1),
        progress=lambda step, *_: steps.append(step),
    )
    assert steps[0] == 40
    assert resumed.weights == train(name, table, columns, parameters=parameters).weights
    other = Checkpoints(f"file://{tmp_path}", "m/v1.checkpoint", "j" * 64)
    assert other.of(1).read("running.safetensors") is None
    checkpoints.remove()
    assert not (tmp_path / "m/v1.checkpoint").exists()
    checkpoints.remove()  # again is fine


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: data[:-9], lambda data: b"\x02" + data[1:]])
def test_a_broken_checkpoint_costs_the_time_that_it_would_have_saved(
    spoil: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    table, columns, whole = trained("nhits")
    checkpoints = Checkpoints(f"file://{tmp_path}", "m/v1.checkpoint", "k" * 64, 0).of(1)

    def stop_at_40(number: int, *_: Any) -> None:
        if number == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("nhits", table, columns, checkpoints=checkpoints, progress=stop_at_40)
    [file] = (tmp_path / "m/v1.checkpoint").iterdir()
    file.write_bytes(spoil(file.read_bytes()))
    assert train("nhits", table, columns, checkpoints=checkpoints).weights == whole.weights


def test_the_checkpoint_goes_when_the_artifact_is_there(bench: MakeBench) -> None:
    made = bench(panel(400))
    left = made.artifacts / "trading/btc-m-uid/v1.checkpoint"
    left.mkdir(parents=True)
    (left / "of-another-try.safetensors").write_bytes(b"")
    assert run(made, made.task(algorithm=algorithm("nhits")))[0] == 0
    assert sorted(path.name for path in left.parent.iterdir()) == ["v1"]


def test_trainings_side_by_side_leave_each_other_and_the_folder_alone(bench: MakeBench, tmp_path: Path) -> None:
    made = bench(panel(400))
    running = []
    work = tmp_path / "work"
    work.mkdir()
    for revision in (1, 2):
        task, url = tmp_path / f"task-{revision}.json", tmp_path / "url"
        task.write_text(made.task(revision, algorithm=algorithm("nhits")).to_json())
        url.write_text(made.url)
        command = [sys.executable, "-m", "perennial_trainer.main", "--task", str(task), "--samples-url-file", str(url)]
        environment = {**os.environ, "HOME": "/nonexistent", "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
        running.append(subprocess.Popen(command, cwd=work, env=environment, stdout=subprocess.PIPE, text=True))
    for process in running:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        assert "log loss" in output
    assert list(work.iterdir()) == []
    models = [(made.artifacts / f"trading/btc-m-uid/v{n}/weights.safetensors").read_bytes() for n in (1, 2)]
    assert models[0] == models[1]


def test_a_loaded_model_scores_and_counts_its_steps(bench: MakeBench) -> None:
    made = bench(panel(400))
    assert run(made, made.task(algorithm=algorithm("nhits")))[0] == 0
    folder = made.artifacts / "trading/btc-m-uid/v1"
    model = load(folder, Manifest.model_validate_json((folder / "manifest.json").read_text()), 1)
    assert model.rounds % 10 == 0
    assert model.rounds > 0
    assert model.parity(Past(*_empty())) is None
    with pytest.raises(ValueError, match="cannot score rows alone"):
        model.score(np.zeros((1, 3)))


def _empty() -> tuple[Sequences, Any, Any]:
    table, columns = table_of(panel(3))
    return table, np.arange(0), columns


def test_the_model_that_other_tests_look_back_with_is_what_it_says() -> None:
    assert onnx.load(FILE).graph == look_back.make().graph


def test_a_model_says_what_its_windows_are() -> None:
    _, _, model = trained("nhits")
    assert model.sequence == Sequence(
        input_size=6, label_delay=DELAY, steps={key: to_micros(HOUR) for key in model.sequence.steps}
    )
    assert len(model.sequence.steps) == 2
