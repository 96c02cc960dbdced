"""Networks that look back, from ONNX: onnxruntime alone, nothing of what trained them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from pydantic import ValidationError

from perennial_contract.artifacts import ArtifactError
from perennial_contract.sequence import SEQUENCE_FILE, Sequence
from perennial_server.models import Matrix, Model, Windows, check_features

onnxruntime.set_default_logger_severity(3)


class OnnxModel:
    """A session takes 0.1 to 0.2 ms for a row of a network of usual size."""

    def __init__(self, session: Any, sequence: Sequence) -> None:
        self._session = session
        self.sequence: Sequence | None = sequence

    def score(self, rows: Matrix, windows: Windows | None = None) -> Matrix:
        """P(target = 1) of each window."""
        assert windows is not None, "a model that looks back is given windows"
        scores = self._session.run(None, {"features": windows.features, "targets": windows.targets})[0]
        return np.asarray(scores, dtype=np.float64)


def load(path: Path, features: tuple[str, ...]) -> Model:
    """The network in an ONNX file and the window in the file beside it, on one thread."""
    try:
        sequence = Sequence.model_validate_json((path.parent / SEQUENCE_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"{SEQUENCE_FILE}: {' '.join(str(error).split())[:200]}") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        shapes = {taken.name: taken.shape for taken in session.get_inputs()}
        _, length, width = shapes["features"]
    except Exception as error:  # noqa: BLE001 - onnxruntime has a class of its own for each way to be no model
        raise ArtifactError(f"{path.name}: not an ONNX model of ours: {' '.join(str(error).split())[:200]}") from None
    check_features(path.name, None, width, features)
    if length != sequence.input_size + 1:
        raise ArtifactError(f"{path.name}: takes {length} rows, {SEQUENCE_FILE} says {sequence.input_size} and one")
    return OnnxModel(session, sequence)
