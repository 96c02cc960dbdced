"""Ensembles and warm starts of trees, and a champion that looks back, all without torch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.server.looking_back import DELAY, HOUR, LENGTH, OF_FEATURES, OF_TARGETS, write_look_back
from tests.unit.server.served import FEATURES as SERVED
from tests.unit.trainer.workbench import Bench, champion, market, report_of, run

from perennial_contract.artifacts import digest_file
from perennial_contract.report import Manifest
from perennial_contract.task import AlgorithmName, ArtifactRef
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.algorithms.base import Labelled

TREES: list[AlgorithmName] = ["xgboost", "lightgbm"]
trees = pytest.mark.parametrize("name", TREES)


def algorithm(name: str, members: int = 1, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "parameters": {"num_iterations": 15, "max_depth": 2, **parameters}, "members": members}


def files_of(bench: Bench, revision: int) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (bench.artifacts / "trading" / "btc-m-uid" / f"v{revision}").iterdir()}


@trees
def test_members_differ_by_their_seeds_and_answer_with_their_mean(name: str, loaded: Bench) -> None:
    for revision, (members, seed) in enumerate([(3, 42), (3, 42), (3, 43)], 1):
        assert run(loaded, loaded.task(revision, algorithm=algorithm(name, members), seed=seed))[0] == 0
    first, again, other = (files_of(loaded, revision) for revision in (1, 2, 3))
    manifest = Manifest.model_validate_json(first["manifest.json"])
    stem, suffix = {"xgboost": ("model", "ubj"), "lightgbm": ("model", "txt")}[name]
    assert (manifest.model_file, manifest.member_files) == (
        f"{stem}.{suffix}",
        (f"{stem}-2.{suffix}", f"{stem}-3.{suffix}"),
    )
    models = [first[file] for file in (manifest.model_file, *manifest.member_files)]
    assert len(set(models)) == 3
    assert models == [again[file] for file in (manifest.model_file, *manifest.member_files)]
    assert models[1] == other[manifest.model_file]  # whose first seed is the second of these
    assert report_of(loaded).parity is None
    assert report_of(loaded).lineage is None


@trees
def test_a_changed_member_is_noticed(name: str, loaded: Bench) -> None:
    code, summary = run(loaded, loaded.task(algorithm=algorithm(name, 2)))
    assert code == 0
    assert summary.artifact is not None
    [file] = (loaded.artifacts / "trading" / "btc-m-uid" / "v1").glob("model-2.*")
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    code, summary = run(loaded, loaded.task(2, champion=champion(summary.artifact)))
    assert code == 2
    assert summary.error is not None
    assert f"{file.name}: digest is" in summary.error


@trees
def test_a_warm_start_goes_on_from_the_champions_trees(name: str, loaded: Bench) -> None:
    code, summary = run(loaded, loaded.task(algorithm=algorithm(name, early_stopping_rounds=0)))
    assert code == 0
    assert summary.artifact is not None
    old = champion(summary.artifact)
    more = algorithm(name, num_iterations=5, early_stopping_rounds=0)
    code, summary = run(loaded, loaded.task(2, algorithm=more, champion=old, warm_start=True))
    assert code == 0, summary.error
    report = report_of(loaded, "v-uid-2")
    assert report.rounds == 15 + 5
    assert report.lineage is not None
    assert (report.lineage.version, report.lineage.warm) == ("btc-v1", True)
    assert report.lineage.digest == old["artifact"]["digest"]
    # With early stopping, at least one round is new.
    early = algorithm(name, num_iterations=50, early_stopping_rounds=3)
    assert run(loaded, loaded.task(3, algorithm=early, champion=old, warm_start=True))[0] == 0
    assert 16 <= (report_of(loaded, "v-uid-3").rounds or 0) <= 65


def test_a_warm_start_needs_the_same_algorithm_and_features(loaded: Bench) -> None:
    code, summary = run(loaded, loaded.task(algorithm=algorithm("xgboost")))
    assert code == 0
    assert summary.artifact is not None
    old = champion(summary.artifact)
    for revision, changes, reason in (
        (2, {"algorithm": algorithm("lightgbm")}, "it is a model of xgboost"),
        (
            3,
            {"algorithm": algorithm("xgboost"), "samples": {"label_delay": "5h", "features": ["ret_1", "noise"]}},
            "it has other features, or in another order",
        ),
    ):
        code, summary = run(loaded, loaded.task(revision, champion=old, warm_start=True, **changes))
        assert code == 0, summary.error
        lineage = report_of(loaded, f"v-uid-{revision}").lineage
        assert lineage is not None
        assert (lineage.warm, lineage.reason) == (False, reason)
    assert run(loaded, loaded.task(4, algorithm=algorithm("xgboost"), warm_start=True))[0] == 0
    assert report_of(loaded, "v-uid-4").lineage is None  # nobody to begin from


def test_a_warm_start_needs_a_champion_that_does_not_know_the_holdout(loaded: Bench) -> None:
    assert run(loaded, loaded.task(algorithm=algorithm("xgboost")))[0] == 0
    folder = loaded.artifacts / "trading" / "btc-m-uid" / "v1"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = [file for file in manifest["files"] if file["name"] != "report.json"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    old = champion(ArtifactRef(uri=f"file://{folder}", digest=digest_file(folder / "manifest.json")))
    assert run(loaded, loaded.task(2, algorithm=algorithm("xgboost"), champion=old, warm_start=True))[0] == 0
    lineage = report_of(loaded, "v-uid-2").lineage
    assert lineage is not None
    assert (lineage.warm, lineage.reason) == (False, "it does not say what it was trained on: it may know the holdout")


def test_xgboost_goes_on_from_what_the_champion_says_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4_000, 4)).round(1)  # many values on the edges of bins
    target = (rows[:, 0] + rows[:, 1] + rng.normal(size=4_000) > 0).astype(float)
    old, new = Labelled(rows[:2_000, :], target[:2_000]), Labelled(rows[2_000:] + 0.05, target[2_000:])
    said: list[float] = []
    train = find_algorithm("xgboost").train
    start = train(old, None, parameters={"num_boost_round": 50, "max_depth": 6, "max_bin": 16}, seed=1, threads=1)
    train(
        new,
        new,
        parameters={"num_boost_round": 1, "eta": 1e-6, "max_bin": 16},
        seed=1,
        threads=1,
        start=start,
        progress=lambda number, rounds, metric, value: said.append(value),
    )
    scores = start.score(new.features)
    loss = -np.mean(new.target * np.log(scores) + (1 - new.target) * np.log(1 - scores))
    assert said == [pytest.approx(loss, abs=1e-4)]


@pytest.mark.parametrize("parameters", [{"data_sample_strategy": "goss"}, {"boosting": "goss"}])
def test_an_ensemble_of_lightgbm_leaves_goss_to_draw_its_rows(parameters: dict[str, Any], loaded: Bench) -> None:
    given = {"name": "lightgbm", "members": 2, "parameters": {"num_boost_round": 5, **parameters}}
    code, summary = run(loaded, loaded.task(algorithm=given))
    assert code == 0, summary.error


def expected_scores(rows: list[dict[str, Any]], names: tuple[str, ...]) -> Any:
    """What tests/data/look_back.onnx says of one series' rows from the fourth on."""
    values = np.array([[row[name] for name in names] for row in rows])
    scores = []
    for n in range(LENGTH, len(rows)):
        logit = float((values[n - LENGTH : n + 1] * OF_FEATURES).sum())
        for place, past in enumerate(rows[n - LENGTH : n]):
            known = max(past["resolved_at"], past["at"] + DELAY) < rows[n]["at"]
            logit += OF_TARGETS[place] * (2 * past["target"] - 1) * known
        scores.append(1 / (1 + np.exp(-logit)))
    return np.array(scores)


def looking_back(folder: Path, series: str) -> dict[str, Any]:
    """A champion for the market's rows that was trained on a series."""
    renamed = dict(zip(SERVED, ("ret_1", "vol_24", "noise"), strict=True))
    write_look_back(folder, series=(series,))
    manifest = json.loads((folder / "manifest.json").read_text())
    for feature in manifest["features"]:
        feature["name"] = renamed[feature["name"]]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return champion(ArtifactRef(uri=f"file://{folder}", digest=digest_file(folder / "manifest.json")))


def test_a_champion_that_can_score_nothing_any_more_stands_in_nobodys_way(bench: Bench, tmp_path: Path) -> None:
    loaded = bench.fill(market(1_000))
    old = looking_back(tmp_path / "artifacts" / "old", series="of another name")
    code, summary = run(loaded, loaded.task(2, champion=old, samples={"label_delay": "90m"}))
    assert code == 0, summary.error
    report = report_of(loaded, "v-uid-2")
    assert report.evaluation.champion is None
    assert report.evaluation.challenger.acted == report.dataset.holdout_rows
    assert report.left_out_rows is None


def test_of_rows_that_are_there_twice_one_counts_where_a_model_looks_back(bench: Bench, tmp_path: Path) -> None:
    rows = market(1_000)
    loaded = bench.fill([*rows, *({**row, "id": f"{row['id']}-again"} for row in rows[900:910])])
    old = looking_back(tmp_path / "artifacts" / "old", series="btc")
    code, summary = run(loaded, loaded.task(2, champion=old, samples={"label_delay": "90m"}))
    assert code == 0, summary.error
    assert report_of(loaded, "v-uid-2").dataset.rows == 1_000


def test_a_tree_meets_a_champion_that_looks_back(bench: Bench, tmp_path: Path) -> None:
    rows = [{**row, "resolved_at": row["at"] + HOUR} for row in market(1_000)]
    loaded = bench.fill(rows)
    old = looking_back(tmp_path / "artifacts" / "old", series="btc")
    code, summary = run(loaded, loaded.task(2, champion=old, samples={"label_delay": "90m"}))
    assert code == 0, summary.error
    report = report_of(loaded, "v-uid-2")
    assert report.evaluation.champion is not None
    scores = expected_scores(rows, ("ret_1", "vol_24", "noise"))[-report.dataset.holdout_rows :]
    target = np.array([row["target"] for row in rows[-report.dataset.holdout_rows :]])
    assert report.evaluation.champion.mean_score == pytest.approx(scores.mean(), abs=1e-6)
    assert report.evaluation.champion.brier == pytest.approx(np.mean((scores - target) ** 2), abs=1e-6)
    assert report.evaluation.champion.acted == report.evaluation.challenger.acted == report.dataset.holdout_rows
