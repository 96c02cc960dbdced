"""Several models of one algorithm, each with a seed of its own, that answer with the mean of what they say."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from perennial_contract.report import Manifest
from perennial_contract.task import AlgorithmName
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.algorithms.base import Model
from perennial_trainer.progress import log
from perennial_trainer.reading import FloatArray
from perennial_trainer.sequences import Faults, Past

_SEEDS = 2**31


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
        return max(found, default=None)

    def save(self, directory: Path, member: int = 1) -> tuple[str, ...]:
        """Writes every member's files and returns their names, each once and the first member's first."""
        names = [name for number, one in enumerate(self.members, member) for name in one.save(directory, number)]
        return tuple(dict.fromkeys(names))


def train_members(count: int, seed: int, train: Callable[[int, int], Model]) -> Ensemble:
    """Trains one after the other, with all threads each: what is trained in parallel is a member's own work.

    Args:
        count: members.
        seed: the first one's; each of the others has the next number.
        train: of the member's number, from 1, and its seed.
    """
    members = []
    for number in range(1, count + 1):
        own = (seed + number - 1) % _SEEDS
        if count > 1:
            log.info("member %d of %d, seed %d", number, count, own)
        members.append(train(number, own))
    return Ensemble(tuple(members))


def load_members(directory: Path, manifest: Manifest, threads: int) -> Ensemble:
    """The model of a verified artifact, whatever its algorithm.

    Raises:
        TaskWrong: a file is intact but no model of its library.
    """
    name: AlgorithmName = manifest.algorithm
    files = (manifest.model_file, *manifest.member_files)
    described = [manifest.model_copy(update={"model_file": file}) for file in files]
    return Ensemble(tuple(find_algorithm(name).load(directory, one, threads) for one in described))
