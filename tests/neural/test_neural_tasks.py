"""Neural models through the trainer's command, as a Job runs it."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.neural.conftest import algorithm, panel
from tests.unit.trainer.workbench import Bench, champion, report_of, run

from perennial_contract.report import Manifest
from perennial_contract.sequence import SEQUENCE_FILE, Sequence

MakeBench = Callable[[list[dict[str, Any]]], Bench]
BOTH = pytest.mark.parametrize("name", ["nhits", "patchtst"])


def files_of(bench: Bench, revision: int = 1) -> dict[str, bytes]:
    [folder] = bench.artifacts.glob(f"trading/*/v{revision}")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def manifest_of(bench: Bench, revision: int = 1) -> Manifest:
    return Manifest.model_validate_json(files_of(bench, revision)["manifest.json"])


@BOTH
def test_what_lies_two_rows_back_is_learned_and_archived(name: str, bench: MakeBench) -> None:
    made = bench(panel(900))
    code, summary = run(made, made.task(algorithm=algorithm(name, max_steps=300)))
    assert code == 0, summary.error
    report = report_of(made)
    assert report.evaluation.challenger.win_rate is not None
    assert report.evaluation.challenger.win_rate > 0.75
    assert report.parity is not None
    assert 0 <= report.parity < 1e-5
    assert report.rounds is not None
    assert report.rounds % 10 == 0
    files = files_of(made)  # ONNX, safetensors and JSON: no pickle
    assert set(files) == {
        "model.onnx",
        "weights.safetensors",
        "sequence.json",
        "profile.json",
        "report.json",
        "manifest.json",
    }
    manifest = manifest_of(made)
    assert manifest.model_file == "model.onnx"
    assert {"torch", "neuralforecast", "onnxruntime"} <= set(manifest.libraries)
    sequence = Sequence.model_validate_json(files[SEQUENCE_FILE])
    assert sequence.input_size == 6
    assert sequence.label_delay.total_seconds() == 5 * 3600
    assert set(sequence.steps.values()) == {3_600_000_000}
    assert len(sequence.steps) == 2


@BOTH
def test_the_same_task_gives_the_same_files(name: str, bench: MakeBench) -> None:
    made = bench(panel(500))
    for revision in (1, 2):
        assert run(made, made.task(revision, algorithm=algorithm(name)))[0] == 0
    first, second = files_of(made, 1), files_of(made, 2)
    for file in ("model.onnx", "weights.safetensors", "sequence.json", "profile.json"):
        assert first[file] == second[file], file


@pytest.mark.parametrize(("old", "new"), [("xgboost", "nhits"), ("patchtst", "nhits")])
def test_a_challenger_of_another_kind_meets_the_champion_on_the_same_rows(old: str, new: str, bench: MakeBench) -> None:
    made = bench(panel(700))
    trees = {"name": "xgboost", "parameters": {"num_boost_round": 10, "max_depth": 2}}
    code, summary = run(made, made.task(algorithm=trees if old == "xgboost" else algorithm(old)))
    assert code == 0, summary.error
    assert summary.artifact is not None
    code, summary = run(
        made,
        made.task(2, algorithm=trees if new == "xgboost" else algorithm(new), champion=champion(summary.artifact)),
    )
    assert code == 0, summary.error
    report = report_of(made, "v-uid-2")
    before, after = report.evaluation.champion, report.evaluation.challenger
    assert before is not None
    assert before.acted == after.acted == report.dataset.holdout_rows == report.evaluation.outcomes
    assert report.evaluation.lift is not None
    # Trees see one row, in which there is nothing to see.
    for score, kind in ((before, old), (after, new)):
        assert score.win_rate is not None
        assert (score.win_rate > 0.6) == (kind != "xgboost"), kind


def test_an_ensemble_is_the_mean_of_members_with_seeds_of_their_own(bench: MakeBench) -> None:
    made = bench(panel(500))
    for revision, task in enumerate(
        [
            made.task(1, algorithm=algorithm("nhits")),
            made.task(2, seed=43, algorithm=algorithm("nhits")),
            made.task(3, algorithm=algorithm("nhits", members=2)),
        ],
        1,
    ):
        code, summary = run(made, task)
        assert code == 0, (revision, summary.error)
    files = files_of(made, 3)
    assert files["weights.safetensors"] == files_of(made, 1)["weights.safetensors"]
    assert files["weights-2.safetensors"] == files_of(made, 2)["weights.safetensors"]
    assert manifest_of(made, 3).member_files == ("model-2.onnx",)
    scores = [report_of(made, f"v-uid-{n}").evaluation.challenger.mean_score for n in (1, 2, 3)]
    assert np.isclose((scores[0] + scores[1]) / 2, scores[2])


def test_members_side_by_side_are_those_that_come_one_after_the_other(bench: MakeBench) -> None:
    made = bench(panel(500))
    for revision, threads in ((1, 1), (2, 2)):
        code, summary = run(made, made.task(revision, algorithm=algorithm("nhits", members=2), threads=threads))
        assert code == 0, summary.error
    one, other = files_of(made, 1), files_of(made, 2)
    for file in ("model.onnx", "model-2.onnx", "weights.safetensors", "weights-2.safetensors"):
        assert one[file] == other[file], file
    parity = report_of(made, "v-uid-2").parity
    assert parity is not None
    assert parity < 1e-5


def test_what_is_wrong_with_members_side_by_side_is_said_as_ever(bench: MakeBench) -> None:
    made = bench(panel(400))
    code, summary = run(made, made.task(algorithm=algorithm("nhits", members=2, max_step=3), threads=2))
    assert code == 2
    assert summary.error == "algorithm.parameters.max_step: N-HiTS does not know it: did you mean max_steps?"


@BOTH
def test_a_warm_start_begins_from_the_champions_weights(name: str, bench: MakeBench) -> None:
    made = bench(panel(700))
    code, summary = run(made, made.task(algorithm=algorithm(name, max_steps=200)))
    assert code == 0, summary.error
    assert summary.artifact is not None
    old = champion(summary.artifact)
    few = algorithm(name, max_steps=1)
    for revision, warm in ((2, True), (3, False)):
        code, summary = run(made, made.task(revision, algorithm=few, champion=old, warm_start=warm))
        assert code == 0, summary.error
    warm_report, cold = report_of(made, "v-uid-2"), report_of(made, "v-uid-3")
    assert warm_report.lineage is not None
    assert warm_report.lineage.warm
    assert warm_report.lineage.version == "btc-v1"
    assert warm_report.lineage.digest == old["artifact"]["digest"]
    assert cold.lineage is None
    assert warm_report.evaluation.challenger.brier < cold.evaluation.challenger.brier - 0.03


def test_a_warm_start_from_another_network_is_a_cold_one_that_says_why(bench: MakeBench) -> None:
    made = bench(panel(500))
    code, summary = run(made, made.task(algorithm=algorithm("nhits")))
    assert code == 0
    assert summary.artifact is not None
    old = champion(summary.artifact)
    for revision, change, reason in (
        (2, algorithm("nhits", mlp_units=[[16, 16]] * 3), "its weights are of a network of another kind"),
        (3, algorithm("nhits", input_size=8), "its input_size is 6, the task's 8"),
    ):
        code, summary = run(made, made.task(revision, algorithm=change, champion=old, warm_start=True))
        assert code == 0, summary.error
        lineage = report_of(made, f"v-uid-{revision}").lineage
        assert lineage is not None
        assert not lineage.warm
        assert lineage.reason is not None
        assert lineage.reason.startswith(reason)


def test_rows_that_cannot_be_scored_are_in_no_figure(bench: MakeBench) -> None:
    rows = panel(800)
    holes = [row for row in rows if row["id"] == "eth-760"]
    holes[0]["noise"] = None
    made = bench(rows)
    code, summary = run(made, made.task(algorithm=algorithm("nhits")))
    assert code == 0, summary.error
    report = report_of(made)
    assert report.left_out_rows == 7  # the row itself and the six that look back on it
    assert report.evaluation.outcomes == report.dataset.holdout_rows


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (lambda rows: [r for r in rows if int(r["id"][4:]) % 9], 0, None),
        (
            lambda rows: [r for r in rows if int(r["id"][4:]) % 40 < 30],
            3,
            r"holdout: \d+ of \d+ rows cannot be scored by btc-v1 \(\d+ with a gap of more than 5 of the series' steps",
        ),
        (
            lambda rows: [{**r, "noise": None if int(r["id"][4:]) % 7 == 0 else r["noise"]} for r in rows],
            3,
            r"input_size: 6: \d+ rows for training have such a window, 100 needed \(.*\d+ with a missing value",
        ),
        (
            lambda rows: [{**r, "series": f"{r['series']}-{int(r['id'][4:]) // 5}"} for r in rows],
            3,
            r"input_size: 6: 0 rows for training have such a window, 100 needed \(\d+ with too short a history\)",
        ),
        (lambda rows: rows + [{**r, "id": f"{r['id']}x"} for r in rows[:3]], 0, None),
        (
            lambda rows: rows + [{**r, "id": f"{r['id']}x"} for r in rows[:100]],
            3,
            r"column at: 100 of 1500 rows share series and at with another",
        ),
    ],
    ids=["every ninth row missing", "gaps", "missing values", "short series", "repetitions", "two rows at a time"],
)
def test_what_cannot_be_looked_back_on_is_said(
    spoil: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], code: int, message: str | None, bench: MakeBench
) -> None:
    made = bench(spoil(panel(700)))
    found, summary = run(made, made.task(algorithm=algorithm("nhits")))
    assert found == code, summary.error
    if message:
        assert re.search(message, summary.error or ""), summary.error


def test_a_series_that_began_after_the_training_is_left_out(bench: MakeBench) -> None:
    rows = panel(900)
    rows += [{**row, "id": f"new-{row['id']}", "series": "new"} for row in rows if row["series"] == "btc"][-22:]
    made = bench(rows)
    code, summary = run(made, made.task(algorithm=algorithm("nhits")))
    assert code == 0, summary.error
    assert report_of(made).left_out_rows == 22


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_step": 3}, "algorithm.parameters.max_step: N-HiTS does not know it: did you mean max_steps?"),
        ({"h": 3}, "algorithm.parameters.h: decided by the trainer; remove it"),
        ({"random_seed": 3}, "algorithm.parameters.random_seed: set by training.seed; remove it"),
        ({"input_size": 0}, "algorithm.parameters.input_size: 0 is not a whole number of 1 to 4096"),
        ({"scaler_type": "robust"}, "algorithm.parameters.scaler_type: 'robust' is not one of identity, standard"),
        ({"learning_rate": "fast"}, "algorithm.parameters.learning_rate: 'fast' is not a number above 0"),
        ({"mlp_units": [[8, 8], [16, 8]]}, "algorithm.parameters: mat1 and mat2 shapes cannot be multiplied"),
        ({"pooling_mode": "Median"}, "algorithm.parameters: Median is not in ['MaxPool1d', 'AvgPool1d']"),
    ],
)
def test_a_wrong_parameter_is_named(parameters: dict[str, Any], message: str, bench: MakeBench) -> None:
    made = bench(panel(400))
    code, summary = run(made, made.task(algorithm=algorithm("nhits", **parameters)))
    assert summary.error is not None
    assert code == 2
    assert summary.error.startswith(message)
