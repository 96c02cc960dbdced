"""From rows to a model: early stopping's slice, the members of an ensemble, and what a warm start begins from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from perennial_contract.report import Feature, Lineage
from perennial_contract.task import AlgorithmName, TrainingTask
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.algorithms.base import ColdStart, Labelled, Model
from perennial_trainer.checkpoints import Checkpoints
from perennial_trainer.dataset import Rows
from perennial_trainer.ensemble import Ensemble, train_members
from perennial_trainer.existing import ExistingModel
from perennial_trainer.progress import Throttle, log, log_rounds
from perennial_trainer.reading import BoolArray
from perennial_trainer.split import split_stopping


def fit_model(
    task: TrainingTask,
    rows: Rows,
    features: Sequence[Feature],
    training: BoolArray,
    champion: ExistingModel | None,
) -> tuple[Ensemble, Lineage | None]:
    """The task's model of its training rows, and where it began if it was to begin from the champion.

    Raises:
        TrainingError: see `Algorithm.train`.
    """
    algorithm = find_algorithm(task.algorithm.name)
    fit, stop = _parts(rows, [feature.name for feature in features], training, looks_back=algorithm.LOOKS_BACK)
    log.info("%s with %d threads, seed %d", task.algorithm.name, task.threads, task.seed)
    count = task.algorithm.members
    parameters = task.algorithm.parameters if count == 1 else algorithm.varied(task.algorithm.parameters)
    workers = min(count, task.threads) if algorithm.MEMBERS_BESIDE else 1
    member = _MemberTraining(
        algorithm=task.algorithm.name,
        fit=fit,
        stop=stop,
        parameters=parameters,
        threads=task.threads // workers,
        checkpoints=Checkpoints(task.store, task.version.checkpoint_path, _key_of(task, rows, algorithm.versions())),
        several=count > 1,
    )

    def train(start: Ensemble | None) -> Ensemble:
        return train_members(count, task.seed, workers, replace(member, start=start))

    lineage = _plan_start(task, features, champion)
    try:
        model = train(champion.load(task.threads) if champion and lineage and lineage.warm else None)
    except ColdStart as error:
        assert lineage is not None
        lineage = lineage.model_copy(update={"warm": False, "reason": str(error)})
        model = train(None)
    if lineage:
        said = (
            f"began from {lineage.version}" if lineage.warm else f"not begun from {lineage.version}: {lineage.reason}"
        )
        log.info("warm start: %s", said)
    log.info("kept %d rounds", model.rounds)
    return model, lineage


@dataclass(frozen=True)
class _MemberTraining:
    """What all members of an ensemble are trained with; can be sent to another process."""

    algorithm: AlgorithmName
    fit: Labelled
    stop: Labelled | None
    parameters: Mapping[str, Any]
    threads: int
    checkpoints: Checkpoints
    several: bool
    start: Ensemble | None = None

    def __call__(self, number: int, seed: int, /) -> Model:
        return find_algorithm(self.algorithm).train(
            self.fit,
            self.stop,
            parameters=self.parameters,
            seed=seed,
            threads=self.threads,
            progress=log_rounds(Throttle(), f"member {number}: " if self.several else ""),
            start=self.start.members[(number - 1) % len(self.start.members)] if self.start else None,
            checkpoints=self.checkpoints.of(number),
        )


def _parts(
    rows: Rows, names: Sequence[str], training: BoolArray, *, looks_back: bool
) -> tuple[Labelled, Labelled | None]:
    """The rows to learn from, and the newest of them for early stopping."""
    features, target = rows.matrix(names)[training], rows.target[training]
    whole = rows.past(names) if looks_back else None
    past = whole.part(training) if whole is not None else None
    inner = split_stopping(rows.at[training], rows.known_at[training])
    if inner is None:
        log.info("too few rows for an early-stopping slice: all rounds are trained")
        return Labelled(features, target, past), None
    fit, stop = (Labelled(features[part], target[part], past.part(part) if past else None) for part in inner)
    return fit, stop


def _plan_start(task: TrainingTask, features: Sequence[Feature], champion: ExistingModel | None) -> Lineage | None:
    """Whether there is something to begin from."""
    if not task.warm_start or task.champion is None or champion is None:
        return None
    reason = None
    if champion.manifest.algorithm != task.algorithm.name:
        reason = f"it is a model of {champion.manifest.algorithm}"
    elif champion.trained_until is None:
        reason = "it does not say what it was trained on: it may know the holdout"
    elif champion.names != [feature.name for feature in features]:
        reason = "it has other features, or in another order"
    return Lineage(version=task.champion.name, digest=task.champion.artifact.digest, warm=reason is None, reason=reason)


def _key_of(task: TrainingTask, rows: Rows, libraries: Mapping[str, str]) -> str:
    """Of everything that the training depends on: who goes on from a checkpoint must be on the same way."""
    return hashlib.sha256(f"{task.to_json()}\n{rows.fingerprint}\n{sorted(libraries.items())}".encode()).hexdigest()
