"""Several models of one algorithm, each with a seed of its own, that answer with the mean of what they say."""

from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Protocol

import numpy as np

from perennial_contract.report import Manifest
from perennial_contract.task import AlgorithmName
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.algorithms.base import Model
from perennial_trainer.errors import TrainingError
from perennial_trainer.progress import log, start_log
from perennial_trainer.reading import FloatArray
from perennial_trainer.sequences import Faults, Past

_SEEDS = 2**31


class TrainMember(Protocol):
    """Trains one member."""

    def __call__(self, number: int, seed: int, /) -> Model: ...


@dataclass(frozen=True)
class Ensemble:
    """The members, of which there is at least one."""

    members: tuple[Model, ...]

    @property
    def rounds(self) -> int:
        """Of the member that was trained longest."""
        return max(member.rounds for member in self.members)

    @property
    def label_delay(self) -> timedelta | None:
        """See `Model.label_delay`."""
        return self.members[0].label_delay

    def score(self, features: FloatArray, past: Past | None = None) -> FloatArray:
        """The mean, shape (n,)."""
        scores: FloatArray = np.mean([member.score(features, past) for member in self.members], axis=0)
        return scores

    def faults(self, past: Past) -> Faults:
        """See `Model.faults`: the members have the same windows."""
        return self.members[0].faults(past)

    def parity(self, past: Past) -> float | None:
        """The worst member's."""
        found = [value for member in self.members if (value := member.parity(past)) is not None]
        return float(np.max(found)) if found else None

    def save(self, directory: Path, member: int = 1) -> tuple[str, ...]:
        """Writes every member's files and returns their names, each once and the first member's first."""
        names = [name for number, one in enumerate(self.members, member) for name in one.save(directory, number)]
        return tuple(dict.fromkeys(names))


def train_members(count: int, seed: int, workers: int, train: TrainMember) -> Ensemble:
    """Trains the members of an ensemble.

    Args:
        count: members.
        seed: the first one's; each of the others has the next number.
        workers: members at a time; more than one are in processes of their own, and ``train`` must be picklable.
        train: of the member's number, from 1, and its seed.

    Raises:
        TrainingError: as ``train`` does; a process ended without a word.
    """
    own = [(number, (seed + number - 1) % _SEEDS) for number in range(1, count + 1)]
    if count > 1:
        log.info("%d members with seeds from %d, %d at a time", count, seed, workers)
    if workers == 1:
        return Ensemble(tuple(train(number, seed) for number, seed in own))
    return Ensemble(tuple(_train_beside(own, workers, train)))


def _train_beside(own: list[tuple[int, int]], workers: int, train: TrainMember) -> list[Model]:
    """In fresh processes: what libraries draw from is a process's own, and a fork would take over their threads."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=start_log) as executor:
        try:
            futures = [executor.submit(train, number, seed) for number, seed in own]
            return [future.result() for future in futures]
        except BaseException as error:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.kill()
            if isinstance(error, BrokenProcessPool):
                raise TrainingError(
                    f"training.resources: a member's process was killed, with {workers} at a time: give them more "
                    "memory, or fewer CPUs"
                ) from None
            raise


def load_members(directory: Path, manifest: Manifest, threads: int) -> Ensemble:
    """The model of a verified artifact, whatever its algorithm.

    Raises:
        TaskWrong: a file is intact but no model of its library.
    """
    name: AlgorithmName = manifest.algorithm
    files = (manifest.model_file, *manifest.member_files)
    described = [manifest.model_copy(update={"model_file": file}) for file in files]
    return Ensemble(tuple(find_algorithm(name).load(directory, one, threads) for one in described))
