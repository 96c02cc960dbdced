"""One file a library, all behind one Protocol; a library is imported only when a task names it."""

from importlib import import_module
from typing import cast

from perennial_contract.task import AlgorithmName
from perennial_trainer.algorithms.base import Algorithm
from perennial_trainer.errors import TaskWrong

_MODULES = {"xgboost": "xgboost", "lightgbm": "lightgbm"}


def find_algorithm(name: AlgorithmName) -> Algorithm:
    """The module that wraps the library.

    Raises:
        TaskWrong: there is none yet.
    """
    if name not in _MODULES:
        raise TaskWrong(f"algorithm.name: {name} is not implemented yet; use {' or '.join(sorted(_MODULES))}")
    return cast("Algorithm", import_module(f"{__name__}.{_MODULES[name]}"))
