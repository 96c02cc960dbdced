"""LightGBM, from its text format."""

from pathlib import Path

import lightgbm
import numpy as np

from perennial_contract.artifacts import ArtifactError
from perennial_server.models import Matrix, Model, Windows, check_features


class LightGBMModel:
    """The library's own prediction: a call of one row costs 75 µs for 200 trees, nearly all of it in the trees."""

    sequence = None

    def __init__(self, booster: lightgbm.Booster) -> None:
        self._booster = booster

    def score(self, rows: Matrix, windows: Windows | None = None) -> Matrix:
        """P(target = 1) of each row."""
        return np.asarray(self._booster.predict(rows, num_threads=1), dtype=np.float64)


def load(path: Path, features: tuple[str, ...]) -> Model:
    """The model in a text file, on one thread."""
    try:
        booster = lightgbm.Booster(model_file=str(path))
    except lightgbm.basic.LightGBMError as error:
        raise ArtifactError(f"{path.name}: not a LightGBM model: {error}") from None
    names = booster.feature_name()
    unnamed = all(name == f"Column_{position}" for position, name in enumerate(names))
    check_features(path.name, None if unnamed else names, booster.num_feature(), features)
    return LightGBMModel(booster)
