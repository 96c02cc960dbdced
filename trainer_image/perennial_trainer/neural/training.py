"""Trains one network of a task and makes a model of it that any process can load."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

# What cuBLAS asks for before it promises the same sums every time. Read when it loads.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import neuralforecast
import numpy as np
import safetensors.torch
import torch

from perennial_contract.sequence import Sequence
from perennial_trainer.algorithms.base import ColdStart, Labelled, Model
from perennial_trainer.checkpoints import Checkpoints
from perennial_trainer.errors import NotEnoughData
from perennial_trainer.neural.export import export_graph, export_weights
from perennial_trainer.neural.loop import Training
from perennial_trainer.neural.networks import PARAMETERS_OF, Classifier, build_network
from perennial_trainer.neural.parameters import NetworkSettings, read_settings
from perennial_trainer.neural.scoring import SequenceModel, open_session, window_arrays
from perennial_trainer.neural.tensors import build_table, fit_standard, places_of
from perennial_trainer.progress import ReportRound, log
from perennial_trainer.sequences import Past, any_fault, describe_faults
from perennial_trainer.split import MIN_TRAINING_ROWS

_NAMES = {"nhits": "N-HiTS", "patchtst": "PatchTST"}


@dataclass(frozen=True)
class TrainedModel(SequenceModel):
    """A model that still has the network that its graph was made from."""

    classifier: Classifier
    threads: int

    def __getstate__(self) -> dict[str, Any]:
        """For the process that gathers an ensemble: all but the session, which is the graph at work."""
        return {**self.__dict__, "session": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "session": open_session(state["graph"], state["threads"])})

    def parity(self, past: Past) -> float | None:
        """See `Model.parity`."""
        largest = 0.0
        for part in past.chunks(self.sequence.input_size):
            features, targets = window_arrays(part, self.sequence.input_size)
            with torch.no_grad():
                own = self.classifier(torch.from_numpy(features), torch.from_numpy(targets)).numpy()
            served = self.session.run(None, {"features": features, "targets": targets})[0]
            largest = float(np.maximum(largest, np.abs(own.astype(np.float64) - served).max(initial=0.0)))  # NaN stays
        return largest


def train(
    name: str,
    fit: Labelled,
    stop: Labelled | None,
    *,
    parameters: Mapping[str, Any],
    seed: int,
    threads: int,
    progress: ReportRound | None,
    start: Model | None,
    checkpoints: Checkpoints | None,
) -> TrainedModel:
    """See `Algorithm.train`."""
    constructor, without = PARAMETERS_OF[name]
    settings = read_settings(parameters, constructor, _NAMES[name], without)
    device = _find_device()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    shape = _shape_of(fit, stop, settings)
    learned, judged = _whole(fit, shape), _whole(stop, shape) if stop is not None else None
    _check_rows(learned, settings)
    past = _past_of(learned.rows)
    classifier = build_network(name, settings, fit.features.shape[1], seed)
    if start is None:
        fit_standard(classifier, learned.rows.features)
    else:
        _begin(classifier, start, settings)
    table = build_table(past, classifier, settings.input_size, device)
    classifier.to(device)
    training = Training(
        classifier,
        settings,
        table,
        places_of(past, device),
        places_of(_past_of(judged.rows), device) if judged and len(judged.rows.target) else None,
        seed,
        progress,
        checkpoints,
    )
    steps = training.run()
    classifier.cpu().eval()
    graph = export_graph(classifier, settings.input_size, steps)
    return TrainedModel(
        graph=graph,
        weights=export_weights(classifier),
        sequence=shape,
        rounds=steps,
        session=open_session(graph, threads),
        classifier=classifier,
        threads=threads,
    )


def _find_device() -> torch.device:
    """A GPU where the Pod has one, and torch can use it."""
    if torch.cuda.is_available():
        log.info("training on %s", torch.cuda.get_device_name())
        return torch.device("cuda")
    if any(Path("/dev").glob("nvidia[0-9]*")):
        log.info("this Pod has a GPU, and the image a torch for the CPU alone: set training.image to one with CUDA")
    return torch.device("cpu")


def _past_of(part: Labelled) -> Past:
    assert part.past is not None, "an algorithm that looks back is given what to look back on"
    return part.past


def _shape_of(fit: Labelled, stop: Labelled | None, settings: NetworkSettings) -> Sequence:
    rows = [_past_of(part).rows for part in (fit, stop) if part is not None]
    table = _past_of(fit).sequences
    return Sequence(
        input_size=settings.input_size,
        label_delay=timedelta(microseconds=table.label_delay),
        steps=table.steps(np.concatenate(rows)),
    )


@dataclass(frozen=True)
class _Whole:
    """Rows that have a window, and in words what is wrong with the others."""

    rows: Labelled
    left_out: str


def _whole(part: Labelled, shape: Sequence) -> _Whole:
    past = _past_of(part)
    faults = past.faults(shape)
    whole = ~any_fault(faults, len(past.rows))
    rows = Labelled(part.features[whole], part.target[whole], past.part(whole))
    return _Whole(rows, describe_faults(faults))


def _check_rows(learned: _Whole, settings: NetworkSettings) -> None:
    labels = learned.rows.target
    if len(labels) < MIN_TRAINING_ROWS:
        raise NotEnoughData(
            f"algorithm.parameters.input_size: {settings.input_size}: {len(labels)} rows for training have such a "
            f"window, {MIN_TRAINING_ROWS} needed ({learned.left_out}); lower it, or mend the rows"
        )
    if labels.min() == labels.max():
        raise NotEnoughData(
            f"column target: all {len(labels)} labels of rows with a whole window are {int(labels[0])}; "
            "a model needs both 0 and 1"
        )
    if learned.left_out:
        log.info("not learned from: %s", learned.left_out)


def _begin(classifier: Classifier, start: Model, settings: NetworkSettings) -> None:
    """Takes over weights and constants.

    Raises:
        ColdStart: they are of another network, or of none.
    """
    if not isinstance(start, SequenceModel) or start.weights is None:
        raise ColdStart("its artifact has no weights to train on")
    if start.sequence.input_size != settings.input_size:
        raise ColdStart(f"its input_size is {start.sequence.input_size}, the task's {settings.input_size}")
    try:
        classifier.load_state_dict(safetensors.torch.load(start.weights))
    except Exception as error:  # noqa: BLE001 - safetensors' own errors, and torch's RuntimeError for other shapes
        reason = " ".join(str(error).split())
        raise ColdStart(f"its weights are of a network of another kind: {reason[:200]}") from None


def versions() -> dict[str, str]:
    """The libraries that made the weights."""
    return {"torch": torch.__version__, "neuralforecast": neuralforecast.__version__}
