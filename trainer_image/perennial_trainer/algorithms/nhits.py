"""N-HiTS: neuralforecast's network on torch, saved as ONNX (`neural` holds what the two networks share)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perennial_contract.report import Manifest
from perennial_trainer.algorithms.base import Labelled, Model
from perennial_trainer.checkpoints import Checkpoints
from perennial_trainer.neural import scoring
from perennial_trainer.neural.library import import_training
from perennial_trainer.progress import ReportRound

LOOKS_BACK = True
MEMBERS_BESIDE = True
"""One thread each: steps of a small batch are too short to be shared out among several."""


def train(
    fit: Labelled,
    stop: Labelled | None,
    *,
    parameters: Mapping[str, Any],
    seed: int,
    threads: int,
    progress: ReportRound | None = None,
    start: Model | None = None,
    checkpoints: Checkpoints | None = None,
) -> scoring.SequenceModel:
    """See `Algorithm.train`."""
    model: scoring.SequenceModel = import_training("nhits").train(
        "nhits",
        fit,
        stop,
        parameters=parameters,
        seed=seed,
        threads=threads,
        progress=progress,
        start=start,
        checkpoints=checkpoints,
    )
    return model


def varied(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """See `Algorithm.varied`: a network's first weights are drawn."""
    return dict(parameters)


def load(directory: Path, manifest: Manifest, threads: int) -> scoring.SequenceModel:
    """See `Algorithm.load`."""
    return scoring.load(directory, manifest, threads)


def versions() -> dict[str, str]:
    """See `Algorithm.versions`."""
    return {**scoring.versions(), **import_training("nhits").versions()}
