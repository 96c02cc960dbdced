"""XGBoost and LightGBM keep the same promises."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perennial_contract.report import Feature, Manifest
from perennial_contract.task import AlgorithmName
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.algorithms.base import Algorithm, Labelled
from perennial_trainer.errors import TaskWrong

BOTH: list[AlgorithmName] = ["xgboost", "lightgbm"]
pytestmark = pytest.mark.parametrize("name", BOTH)


def labelled(rows: int, seed: int = 0) -> Labelled:
    """Three features, the first of which tells; a tenth is missing."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 3))
    target = (features[:, 0] + rng.normal(size=rows) > 0).astype(float)
    features[rng.random((rows, 3)) < 0.1] = np.nan
    return Labelled(features, target)


def train(name: AlgorithmName, stop: Labelled | None = None, threads: int = 1, seed: int = 1, **more: Any) -> Any:
    parameters = {"num_boost_round": 30, **more}
    return find_algorithm(name).train(labelled(800), stop, parameters=parameters, seed=seed, threads=threads)


def manifest(name: AlgorithmName, model_file: str, features: int = 3) -> Manifest:
    return Manifest(
        algorithm=name,
        model_file=model_file,
        features=tuple(Feature(name=f"f{i}") for i in range(features)),
        seed=1,
        fingerprint="",
        libraries={},
        files=(),
    )


def test_scores_are_probabilities_that_know_something(name: AlgorithmName) -> None:
    rows = labelled(500, seed=9)
    scores = train(name).score(rows.features)
    assert scores.shape == (500,)
    assert ((scores > 0) & (scores < 1)).all()
    assert ((scores > 0.5) == (rows.target == 1)).mean() > 0.6


def test_a_saved_model_scores_as_the_trained_one(name: AlgorithmName, tmp_path: Path) -> None:
    model = train(name, stop=labelled(200, seed=2), early_stopping_rounds=3)
    loaded = find_algorithm(name).load(tmp_path, manifest(name, model.save(tmp_path)[0]), threads=1)
    features = labelled(300, seed=4).features
    assert (loaded.score(features) == model.score(features)).all()
    assert loaded.rounds == model.rounds


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_gives_the_same_file(name: AlgorithmName, threads: int, tmp_path: Path) -> None:
    texts = []
    for run in range(2):
        folder = tmp_path / str(run)
        folder.mkdir()
        more: dict[str, Any] = {"bagging_freq": 1} if name == "lightgbm" else {}
        model = train(name, threads=threads, subsample=0.7, **more)
        texts.append((folder / model.save(folder)[0]).read_bytes())
    assert texts[0] == texts[1]


def test_another_seed_gives_another_model(name: AlgorithmName) -> None:
    sampling: dict[str, Any] = {"subsample": 0.5} if name == "xgboost" else {"subsample": 0.5, "bagging_freq": 1}
    features = labelled(300).features
    assert (train(name, **sampling).score(features) != train(name, seed=2, **sampling).score(features)).any()


def test_early_stopping_keeps_the_best_round(name: AlgorithmName) -> None:
    noise = Labelled(labelled(200).features, np.random.default_rng(1).integers(0, 2, 200).astype(np.float64))
    model = train(name, stop=noise, num_boost_round=300, early_stopping_rounds=5, learning_rate=0.3)
    assert 1 <= model.rounds < 50
    assert train(name, stop=noise, early_stopping_rounds=0).rounds == 30


def test_rounds_are_reported(name: AlgorithmName) -> None:
    seen: list[tuple[int, int, str, float]] = []
    find_algorithm(name).train(
        labelled(300),
        labelled(100, seed=5),
        parameters={"n_estimators": 7},
        seed=1,
        threads=1,
        progress=lambda *round_: seen.append(round_),
    )
    assert [number for number, *_ in seen] == list(range(1, 8))
    assert all(rounds == 7 and "logloss" in metric and 0 < value < 1 for _, rounds, metric, value in seen)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_dept": 3}, r"max_dept; remove it or correct its name"),
        ({"max_depth": "deep"}, r"algorithm\.parameters: .*deep"),
        ({"objective": "regression_l1"}, r"objective: 'regression_l1' gives no probability"),
        ({"n_jobs": 4}, r"algorithm\.parameters\.n_jobs: set by training\.seed and training\.resources"),
        ({"n_estimators": 5}, r"num_boost_round and n_estimators mean the same; keep one"),
        ({"num_boost_round": 0}, r"num_boost_round: 0 is not a whole number of at least 1"),
        ({"early_stopping_rounds": 1.5}, r"early_stopping_rounds: 1\.5 is not a whole number"),
    ],
)
def test_a_wrong_parameter_is_named(name: AlgorithmName, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskWrong, match=message) as caught:
        train(name, **parameters)
    assert "\n" not in str(caught.value)


def test_the_librarys_own_names_replace_the_defaults(name: AlgorithmName) -> None:
    features = labelled(300).features
    assert (train(name, eta=0.5).score(features) == train(name, learning_rate=0.5).score(features)).all()
    assert (train(name, eta=0.5).score(features) != train(name).score(features)).any()


def test_a_file_that_is_no_model_is_refused(name: AlgorithmName, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(TaskWrong, match=r"model\.bin: not an? \w+ model"):
        find_algorithm(name).load(tmp_path, manifest(name, "model.bin"), threads=1)


def test_a_model_of_other_features_than_its_manifest_names_is_refused(name: AlgorithmName, tmp_path: Path) -> None:
    (file,) = train(name).save(tmp_path)
    with pytest.raises(TaskWrong, match="takes 3 features, its manifest names 4"):
        find_algorithm(name).load(tmp_path, manifest(name, file, features=4), threads=1)


def test_versions_are_for_the_manifest(name: AlgorithmName) -> None:
    algorithm: Algorithm = find_algorithm(name)
    assert list(algorithm.versions()) == [name]
