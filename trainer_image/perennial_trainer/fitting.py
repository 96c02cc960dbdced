"""From rows to a model: early stopping's slice, the members of an ensemble, and what a warm start begins from."""

import hashlib
from collections.abc import Sequence

from perennial_contract.report import Feature, Lineage
from perennial_contract.task import TrainingTask
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.algorithms.base import ColdStart, Labelled, Model, with_defaults
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
    parameters = task.algorithm.parameters
    if task.algorithm.members > 1:
        parameters = with_defaults(parameters, algorithm.VARIED)
    checkpoints = Checkpoints(task.store, task.version.checkpoint_path, _key_of(task, rows))

    def train(start: Ensemble | None) -> Ensemble:
        def train_member(number: int, seed: int) -> Model:
            return algorithm.train(
                fit,
                stop,
                parameters=parameters,
                seed=seed,
                threads=task.threads,
                progress=log_rounds(Throttle()),
                start=start.members[(number - 1) % len(start.members)] if start else None,
                checkpoints=checkpoints.of(number),
            )

        return train_members(task.algorithm.members, task.seed, train_member)

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
    elif champion.names != [feature.name for feature in features]:
        reason = "it has other features, or in another order"
    return Lineage(version=task.champion.name, digest=task.champion.artifact.digest, warm=reason is None, reason=reason)


def _key_of(task: TrainingTask, rows: Rows) -> str:
    """Of everything that the training depends on: who goes on from a checkpoint must be on the same way."""
    return hashlib.sha256(f"{task.to_json()}\n{rows.fingerprint}".encode()).hexdigest()
