"""torch and neuralforecast, which only one of the trainer images has: imported when there is something to train."""

from importlib import import_module
from typing import Any

from perennial_contract.task import AlgorithmName
from perennial_trainer.errors import TaskWrong


def import_training(name: AlgorithmName) -> Any:
    """The module `neural.training`.

    Raises:
        TaskWrong: this image does not have the libraries.
    """
    try:
        return import_module("perennial_trainer.neural.training")
    except ModuleNotFoundError as error:
        raise TaskWrong(
            f"algorithm.name: {name} needs {error.name}, which this image does not have; "
            "use the image trainer-neural (training.image, or the operator's neural trainer image)"
        ) from None
