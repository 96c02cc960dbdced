"""Models score as their own library does, and what does not fit its manifest is refused."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lightgbm
import numpy as np
import pytest
import xgboost
from tests.unit.server.served import FEATURES, ROWS, train_lightgbm, train_xgboost, write_artifact

from perennial_contract.artifacts import ArtifactError, verify_artifact
from perennial_server.models import Model, load_model

WITH_GAPS = np.where(np.random.default_rng(1).random(ROWS.shape) < 0.2, np.nan, ROWS)


def load(directory: Path, digest: str) -> Model:
    (model,) = load_model(directory, verify_artifact(directory, digest)).members
    return model


@pytest.mark.parametrize("rows", [1, 100, 400])
def test_xgboost_scores_as_the_library_does(tmp_path: Path, rows: int) -> None:
    model = load(tmp_path, write_artifact(tmp_path))
    expected = train_xgboost().predict(xgboost.DMatrix(WITH_GAPS[:rows]))
    np.testing.assert_array_equal(model.score(WITH_GAPS[:rows]), expected.astype(np.float64))


def test_lightgbm_scores_as_the_library_does(tmp_path: Path) -> None:
    model = load(tmp_path, write_artifact(tmp_path, "lightgbm"))
    np.testing.assert_allclose(model.score(WITH_GAPS), train_lightgbm().predict(WITH_GAPS), rtol=1e-12)


def test_a_linear_booster_is_refused(tmp_path: Path) -> None:
    booster = xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(ROWS, ROWS[:, 0] > 0), 1)
    with pytest.raises(ArtifactError, match="'gblinear' cannot be served: use one of gbtree, dart"):
        load(tmp_path, write_artifact(tmp_path, booster=booster))


def test_dart_scores_as_the_library_does(tmp_path: Path) -> None:
    settings = {"booster": "dart", "objective": "binary:logistic", "rate_drop": 0.5, "seed": 1}
    booster = xgboost.train(settings, xgboost.DMatrix(ROWS, ROWS[:, 0] > 0), 5)
    model = load(tmp_path, write_artifact(tmp_path, booster=booster))
    np.testing.assert_allclose(model.score(ROWS), booster.predict(xgboost.DMatrix(ROWS)), rtol=1e-6)


@pytest.mark.parametrize("algorithm", ["xgboost", "lightgbm"])
def test_threads_do_not_mix_up_their_rows(tmp_path: Path, algorithm: str) -> None:
    model = load(tmp_path, write_artifact(tmp_path, algorithm))
    parts = [ROWS[start : start + 1 + start % 9] for start in range(0, 390, 3)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(model.score, parts))
    for part, scores in zip(parts, found, strict=True):
        np.testing.assert_array_equal(scores, model.score(part))


@pytest.mark.parametrize("algorithm", ["xgboost", "lightgbm"])
def test_too_few_features_are_refused(tmp_path: Path, algorithm: str) -> None:
    digest = write_artifact(tmp_path, algorithm, features=FEATURES[:2])
    with pytest.raises(ArtifactError, match="the model takes 3 features, its manifest lists 2"):
        load(tmp_path, digest)


def test_features_in_another_order_are_refused(tmp_path: Path) -> None:
    booster = xgboost.train({}, xgboost.DMatrix(ROWS, ROWS[:, 0] > 0, feature_names=["a", "c", "b"]), 1)
    digest = write_artifact(tmp_path, features=("a", "b", "c"), booster=booster)
    with pytest.raises(ArtifactError, match="feature 1 is 'c', its manifest says 'b'"):
        load(tmp_path, digest)


def test_lightgbm_features_in_another_order_are_refused(tmp_path: Path) -> None:
    data = lightgbm.Dataset(ROWS, ROWS[:, 0] > 0, feature_name=["a", "c", "b"], params={"verbosity": -1})
    digest = write_artifact(
        tmp_path, "lightgbm", features=("a", "b", "c"), booster=lightgbm.train({"verbosity": -1}, data, 1)
    )
    with pytest.raises(ArtifactError, match="feature 1 is 'c', its manifest says 'b'"):
        load(tmp_path, digest)


def test_several_scores_a_row_are_refused(tmp_path: Path) -> None:
    classes = xgboost.train(
        {"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(ROWS, np.arange(400) % 3), 1
    )
    with pytest.raises(ArtifactError, match="3 scores a row"):
        load(tmp_path, write_artifact(tmp_path, booster=classes))


@pytest.mark.parametrize(("algorithm", "name"), [("xgboost", "model.ubj"), ("lightgbm", "model.txt")])
def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path, algorithm: str, name: str) -> None:
    class Noise:
        def save_model(self, path: str) -> None:
            Path(path).write_bytes(b"{noise")

    with pytest.raises(ArtifactError, match=f"^{name}: not an? ") as refused:
        load(tmp_path, write_artifact(tmp_path, algorithm, booster=Noise()))
    assert "\n" not in str(refused.value)


def test_an_algorithm_that_is_not_served_here_is_named(tmp_path: Path) -> None:
    manifest = verify_artifact(tmp_path, write_artifact(tmp_path)).model_copy(update={"algorithm": "prophet"})
    with pytest.raises(
        ArtifactError, match="'prophet' cannot be served by this image: it serves lightgbm, nhits, patchtst, xgboost"
    ):
        load_model(tmp_path, manifest)
