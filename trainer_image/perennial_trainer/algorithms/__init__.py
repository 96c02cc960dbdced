"""One file a library, all behind one Protocol; a library is imported only when a task names it."""

from importlib import import_module
from typing import cast

from perennial_contract.task import AlgorithmName
from perennial_trainer.algorithms.base import Algorithm


def find_algorithm(name: AlgorithmName) -> Algorithm:
    """The module that wraps the library."""
    return cast("Algorithm", import_module(f"{__name__}.{name}"))
