"""Models behind one small interface: a file a library."""

from collections.abc import Sequence as Items
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perennial_contract.artifacts import ArtifactError
from perennial_contract.report import Manifest
from perennial_contract.sequence import Sequence

Matrix = NDArray[np.float64]

# Imported by name when chosen: a server holds one model, and each library costs start-up time and memory.
_LIBRARIES = {
    "xgboost": "perennial_server.models.xgboost",
    "lightgbm": "perennial_server.models.lightgbm",
    "nhits": "perennial_server.models.onnx",
    "patchtst": "perennial_server.models.onnx",
}


@dataclass(frozen=True, slots=True)
class Windows:
    """Rows with what stands before them in their series, for models that look back."""

    features: Matrix
    """``[n, input_size + 1, k]``, oldest first, the scored row last; no NaN."""
    targets: NDArray[np.float32]
    """``[n, input_size]``: −1 and 1 for a past target of 0 and 1, 0 where it is not known yet."""


class Model(Protocol):
    """A loaded model. It may be called from several threads at once."""

    @property
    def sequence(self) -> Sequence | None:
        """The window that it takes; None: a row alone."""
        ...

    def score(self, rows: Matrix, windows: Windows | None = None) -> Matrix:
        """P(target = 1) of each row: ``[n, k]`` C-contiguous, NaN = missing → ``[n]``."""
        ...


@dataclass(frozen=True, slots=True)
class Ensemble:
    """The members of a version, of which there is at least one."""

    members: tuple[Model, ...]

    @property
    def sequence(self) -> Sequence | None:
        """See `Model.sequence`: all members have the same."""
        return self.members[0].sequence

    def score(self, rows: Matrix, windows: Windows | None = None) -> tuple[Matrix, Matrix | None]:
        """The members' mean, and how far they are apart (standard deviation); None where there is one alone."""
        if len(self.members) == 1:
            return self.members[0].score(rows, windows), None
        scores = np.array([member.score(rows, windows) for member in self.members])
        return scores.mean(axis=0), scores.std(axis=0)


def load_model(directory: Path, manifest: Manifest) -> Ensemble:
    """The model of a verified artifact, warmed up.

    Raises:
        ArtifactError: nothing here serves the algorithm, or a member does not fit its manifest.
    """
    library = _LIBRARIES.get(manifest.algorithm)
    if library is None:
        served = ", ".join(sorted(_LIBRARIES))
        raise ArtifactError(f"algorithm {manifest.algorithm!r} cannot be served by this image: it serves {served}")
    features = tuple(feature.name for feature in manifest.features)
    members = []
    for file in (manifest.model_file, *manifest.member_files):
        model: Model = import_module(library).load(directory / file, features)
        warm_up(model, file, len(features))
        members.append(model)
    return Ensemble(tuple(members))


def check_features(file: str, names: Items[str] | None, count: int, features: tuple[str, ...]) -> None:
    """A model fed columns in another order answers without complaint, and wrongly: hence this check at the door."""
    if count != len(features):
        raise ArtifactError(f"{file}: the model takes {count} features, its manifest lists {len(features)}")
    for position, (name, expected) in enumerate(zip(names or features, features, strict=True)):
        if name != expected:
            raise ArtifactError(f"{file}: the model's feature {position} is {name!r}, its manifest says {expected!r}")


def warm_up(model: Model, file: str, features: int) -> None:
    """The first prediction configures the library and shows whether there is one score a row."""
    windows = None
    if model.sequence is not None:
        length = model.sequence.input_size
        windows = Windows(np.zeros((2, length + 1, features)), np.zeros((2, length), dtype=np.float32))
    scores = model.score(np.full((2, features), np.nan), windows)
    if scores.shape != (2,):
        raise ArtifactError(f"{file}: the model gives {scores.size // 2} scores a row, a binary target needs 1")
