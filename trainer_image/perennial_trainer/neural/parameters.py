"""What a task's parameters are to a network: neuralforecast's own names, told apart from what the trainer decides."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from perennial_contract.sequence import DEFAULT_MAX_STEPS
from perennial_trainer.errors import TaskWrong

DEFAULTS: dict[str, Any] = {
    "input_size": 24,
    "max_steps": DEFAULT_MAX_STEPS,
    "val_check_steps": 25,
    "early_stop_patience_steps": 5,
    "windows_batch_size": 512,
    "scaler_type": "identity",
}
SCALERS = ("identity", "standard", "minmax", "minmax1")
"""Those that ONNX can express: the others take medians over what is not NaN."""
_SEEDED = ("random_seed",)
_OURS = (
    "h",
    "loss",
    "valid_loss",
    "futr_exog_list",
    "hist_exog_list",
    "stat_exog_list",
    "cat_exog_list",
    "categorical_cardinalities",
    "cat_emb_dim",
    "alias",
    "optimizer",
    "optimizer_kwargs",
    "lr_scheduler",
    "lr_scheduler_kwargs",
    "dataloader_kwargs",
    "batch_size",
    "valid_batch_size",
    "inference_windows_batch_size",
    "drop_last_loader",
    "start_padding_enabled",
    "step_size",
    "val_monitor",
    "training_data_availability_threshold",
)
_LONGEST_WINDOW = 4096


@dataclass(frozen=True)
class NetworkSettings:
    """A task's parameters, sorted into how we train and what the network is made with."""

    input_size: int
    max_steps: int
    val_check_steps: int
    patience: int
    """Looks at the stopping rows without a better one before training ends; 0: never."""
    batch: int
    """Windows a step."""
    scaler: str
    network: dict[str, Any]
    """For the network's own constructor; all of the above but the scaler are among them."""


def read_settings(
    parameters: Mapping[str, Any], constructor: Callable[..., Any], name: str, without: tuple[str, ...] = ()
) -> NetworkSettings:
    """Takes the parameters apart.

    Args:
        parameters: the task's.
        constructor: the network's class, whose arguments are the names that there are.
        name: of the network, for messages.
        without: arguments that have no effect on a network like ours.

    Raises:
        TaskWrong: naming the parameter.
    """
    known = {*inspect.signature(constructor).parameters} - {"self", "trainer_kwargs"}
    taken = sorted(known - {*_OURS, *_SEEDED, *without})
    for given in parameters:
        if given in _SEEDED:
            raise TaskWrong(f"algorithm.parameters.{given}: set by training.seed; remove it")
        if given in _OURS or given in without:
            raise TaskWrong(f"algorithm.parameters.{given}: decided by the trainer; remove it")
        if given not in taken:
            close = difflib.get_close_matches(given, taken, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it knows {', '.join(taken)}"
            raise TaskWrong(f"algorithm.parameters.{given}: {name} does not know it: {hint}")
    chosen = {**DEFAULTS, **parameters}
    rate = chosen.get("learning_rate", 1e-3)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1:
        raise TaskWrong(f"algorithm.parameters.learning_rate: {rate!r} is not a number above 0 and up to 1")
    scaler = chosen.pop("scaler_type")
    if scaler not in SCALERS:
        raise TaskWrong(f"algorithm.parameters.scaler_type: {scaler!r} is not one of {', '.join(SCALERS)}; use one")
    max_steps = _whole(chosen, "max_steps", 1)
    return NetworkSettings(
        input_size=_whole(chosen, "input_size", 1, _LONGEST_WINDOW),
        max_steps=max_steps,
        val_check_steps=min(_whole(chosen, "val_check_steps", 1), max_steps),
        patience=max(0, _whole(chosen, "early_stop_patience_steps", -1)),
        batch=_whole(chosen, "windows_batch_size", 1),
        scaler=scaler,
        network=chosen,
    )


def _whole(parameters: Mapping[str, Any], name: str, low: int, high: int = 10**9) -> int:
    value = parameters[name]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        bounds = f"at least {low}" if high == 10**9 else f"{low} to {high}"
        raise TaskWrong(f"algorithm.parameters.{name}: {value!r} is not a whole number of {bounds}")
    return value
