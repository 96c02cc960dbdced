"""The state of a training as one safetensors file: tensors, and numbers as JSON in its header. Nothing in it runs."""

import json
from dataclasses import dataclass
from typing import Any

import safetensors.torch
from torch import Tensor

Numbers = dict[str, Any]


@dataclass(frozen=True)
class State:
    """A file, read."""

    tensors: dict[str, Tensor]
    numbers: Numbers
    _optimizer: list[Numbers]
    _schedule: Numbers

    def group(self, name: str) -> dict[str, Tensor]:
        """The tensors of one group, by their names in it."""
        return {
            key.removeprefix(f"{name}."): tensor for key, tensor in self.tensors.items() if key.startswith(f"{name}.")
        }

    def optimizer(self, now: Numbers) -> Numbers:
        """The optimiser's state, for one that was made just as that one was: ``now`` is what it holds."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in self.group("optimizer").items():
            number, _, name = key.partition(".")
            state.setdefault(int(number), {})[name] = tensor
        groups = [{**group, **kept} for group, kept in zip(now["param_groups"], self._optimizer, strict=True)]
        return {"state": state, "param_groups": groups}

    def schedule(self, now: Numbers) -> Numbers:
        """The learning rate's."""
        return {**now, **self._schedule}


def write_state(tensors: dict[str, Tensor], numbers: Numbers, optimizer: Numbers, schedule: Numbers) -> bytes:
    """The file."""
    every = dict(tensors)
    for number, values in optimizer["state"].items():
        every.update({f"optimizer.{number}.{name}": tensor for name, tensor in values.items()})
    header = {
        "numbers": json.dumps(numbers),
        "optimizer": json.dumps([_plain(group) for group in optimizer["param_groups"]]),
        "schedule": json.dumps(_plain(schedule)),
    }
    return pack(every, header)


def pack(tensors: dict[str, Tensor], header: dict[str, str] | None = None) -> bytes:
    """Tensors as safetensors; neuralforecast has some under two names, which a file must not."""
    return safetensors.torch.save({name: tensor.cpu().clone().contiguous() for name, tensor in tensors.items()}, header)


def read_state(data: bytes) -> State:
    """What `write_state` wrote."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])["__metadata__"]
    return State(
        safetensors.torch.load(data),
        json.loads(header["numbers"]),
        json.loads(header["optimizer"]),
        json.loads(header["schedule"]),
    )


def _plain(values: Numbers) -> Numbers:
    """What changes as training goes on is plain; the rest is made anew just as it was."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float) or (name in ("_last_lr", "base_lrs") and isinstance(value, list))
    }
