"""Models behind one small interface: a file a library."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perennial_contract.artifacts import ArtifactError
from perennial_contract.report import Manifest

Matrix = NDArray[np.float64]

# Imported by name when chosen: a server holds one model, and each library costs start-up time and memory.
_LIBRARIES = {
    "xgboost": "perennial_server.models.xgboost",
    "lightgbm": "perennial_server.models.lightgbm",
}


class Model(Protocol):
    """A loaded model. It may be called from several threads at once."""

    def score(self, rows: Matrix) -> Matrix:
        """P(target = 1) of each row: ``[n, k]`` C-contiguous, NaN = missing → ``[n]``."""


def load_model(directory: Path, manifest: Manifest) -> Model:
    """The model of a verified artifact, warmed up.

    Raises:
        ArtifactError: nothing here serves the algorithm, or the model does not fit its manifest.
    """
    library = _LIBRARIES.get(manifest.algorithm)
    if library is None:
        served = ", ".join(sorted(_LIBRARIES))
        raise ArtifactError(f"algorithm {manifest.algorithm!r} cannot be served by this image: it serves {served}")
    features = tuple(feature.name for feature in manifest.features)
    model: Model = import_module(library).load(directory / manifest.model_file, features)
    warm_up(model, manifest.model_file, len(features))
    return model


def check_features(file: str, names: Sequence[str] | None, count: int, features: tuple[str, ...]) -> None:
    """A model fed columns in another order answers without complaint, and wrongly: hence this check at the door."""
    if count != len(features):
        raise ArtifactError(f"{file}: the model takes {count} features, its manifest lists {len(features)}")
    for position, (name, expected) in enumerate(zip(names or features, features, strict=True)):
        if name != expected:
            raise ArtifactError(f"{file}: the model's feature {position} is {name!r}, its manifest says {expected!r}")


def warm_up(model: Model, file: str, features: int) -> None:
    """The first prediction configures the library and shows whether there is one score a row."""
    scores = model.score(np.full((2, features), np.nan))
    if scores.shape != (2,):
        raise ArtifactError(f"{file}: the model gives {scores.size // 2} scores a row, a binary target needs 1")
