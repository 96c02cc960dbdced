"""A sequence model from its artifact: onnxruntime runs the network, windows come from the table."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from pydantic import ValidationError

from perennial_contract.report import Manifest
from perennial_contract.sequence import SEQUENCE_FILE, Sequence
from perennial_trainer.algorithms.base import member_name
from perennial_trainer.errors import TaskWrong
from perennial_trainer.reading import FloatArray
from perennial_trainer.sequences import Faults, Past

MODEL_FILE = "model.onnx"
WEIGHTS_FILE = "weights.safetensors"
"""The same weights for a warm start: a graph that is made to be run is nothing to train from."""
ROUNDS = "rounds"
"""In the graph's metadata: the steps that it was trained for."""

onnxruntime.set_default_logger_severity(3)


@dataclass(frozen=True)
class SequenceModel:
    """A network as ONNX, what its windows look like, and the weights to begin another training from."""

    graph: bytes
    weights: bytes | None
    sequence: Sequence
    rounds: int
    session: Any

    @property
    def label_delay(self) -> timedelta | None:
        """See `Model.label_delay`."""
        return self.sequence.label_delay

    def score(self, features: FloatArray, past: Past | None = None) -> FloatArray:
        """P(target = 1), shape (n,).

        Raises:
            ValueError: there is no past; or a row has no window (`faults`).
        """
        if past is None:
            raise ValueError("a model that looks back cannot score rows alone")
        parts = [self._score(part) for part in past.chunks(self.sequence.input_size)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _score(self, past: Past) -> FloatArray:
        windows, targets = window_arrays(past, self.sequence.input_size)
        scores = self.session.run(None, {"features": windows, "targets": targets})[0]
        return np.asarray(scores, dtype=np.float64)

    def faults(self, past: Past) -> Faults:
        """See `Model.faults`."""
        return past.faults(self.sequence)

    def parity(self, past: Past) -> float | None:
        """See `Model.parity`: what was loaded has nothing to be compared with."""
        return None

    def save(self, directory: Path, member: int = 1) -> tuple[str, ...]:
        """Writes ``model.onnx``, ``weights.safetensors`` and ``sequence.json``, which is the same for all members."""
        name, weights = (member_name(file, member) for file in (MODEL_FILE, WEIGHTS_FILE))
        (directory / name).write_bytes(self.graph)
        (directory / SEQUENCE_FILE).write_text(self.sequence.to_json())
        if self.weights is None:
            return name, SEQUENCE_FILE
        (directory / weights).write_bytes(self.weights)
        return name, SEQUENCE_FILE, weights


def window_arrays(past: Past, length: int) -> tuple[FloatArray, Any]:
    """Features (r, length + 1, k) and past targets (r, length) float32 of rows that have whole windows."""
    windows = past.sequences.windows(past.rows, length)
    if windows.size and windows.min() < 0:
        raise ValueError("a row without a whole history cannot be scored")
    targets = past.sequences.past_targets(windows)
    return np.ascontiguousarray(past.columns[windows]), targets.astype(np.float32)


def open_session(graph: bytes, threads: int) -> Any:
    """The network, ready to run.

    Raises:
        Exception: of onnxruntime's own; these are no models of ours.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def load(directory: Path, manifest: Manifest, threads: int) -> SequenceModel:
    """See `Algorithm.load`."""
    file = manifest.model_file
    graph = (directory / file).read_bytes()
    try:
        session = open_session(graph, threads)
        shapes = {taken.name: taken.shape for taken in session.get_inputs()}
        _, length, width = shapes["features"]
    except Exception as error:  # noqa: BLE001 - onnxruntime has a class of its own for each way to be no model
        raise TaskWrong(f"{file}: not an ONNX model of ours: {' '.join(str(error).split())[:200]}") from None
    sequence = _read_sequence(directory, manifest)
    named = len(manifest.features)
    if width != named:
        raise TaskWrong(f"{file}: takes {width} features, its manifest names {named}")
    if length != sequence.input_size + 1:
        raise TaskWrong(f"{file}: takes {length} rows, {SEQUENCE_FILE} says {sequence.input_size} and the scored one")
    weights = directory / file.replace("model", "weights", 1).replace(".onnx", ".safetensors")
    listed = any(one.name == weights.name for one in manifest.files) and weights.is_file()
    rounds = int(session.get_modelmeta().custom_metadata_map.get(ROUNDS, 0))
    return SequenceModel(graph, weights.read_bytes() if listed else None, sequence, rounds, session)


def _read_sequence(directory: Path, manifest: Manifest) -> Sequence:
    if all(one.name != SEQUENCE_FILE for one in manifest.files):
        raise TaskWrong(f"{manifest.model_file}: its manifest lists no {SEQUENCE_FILE}: train it again")
    try:
        return Sequence.model_validate_json((directory / SEQUENCE_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise TaskWrong(f"{SEQUENCE_FILE}: {' '.join(str(error).split())[:200]}") from None


def versions() -> dict[str, str]:
    """The part of the manifest that says what runs the model."""
    return {"onnxruntime": onnxruntime.__version__}
