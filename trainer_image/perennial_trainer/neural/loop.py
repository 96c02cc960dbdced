"""The training loop: the network's own optimiser and schedule, early stopping that keeps the best weights, checkpoints.

Not Lightning's, which neuralforecast would use: its checkpoints are pickles, it keeps the last weights instead of the
best, and neuralforecast's batches know no mask a window and copy every window at every step. What is learned is the
same: windows drawn at random, neuralforecast's loss, its Adam and its halvings of the learning rate.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from perennial_trainer.checkpoints import Checkpoints
from perennial_trainer.errors import TaskWrong
from perennial_trainer.neural.networks import Classifier
from perennial_trainer.neural.parameters import NetworkSettings
from perennial_trainer.neural.state import State, read_state, write_state
from perennial_trainer.neural.tensors import WindowTable
from perennial_trainer.progress import ReportRound, log

_STATE = "running.safetensors"
_METRIC = "log loss"
_WORTH_KEEPING = 5.0
"""Seconds of training."""
_WINDOWS_AT_ONCE = 4096
"""When nothing is learned from them."""

Weights = dict[str, Tensor]


@dataclass
class _Progress:
    """Where a training stands; beside the tensors, what it needs to go on as if nothing had happened."""

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    worse: int = 0
    """Looks at the stopping rows since the best one."""
    best: Weights = field(default_factory=dict)


@dataclass
class Training:
    """One network in training."""

    classifier: Classifier
    settings: NetworkSettings
    table: WindowTable
    fit: Tensor
    """(f,) places of the rows to learn from."""
    stop: Tensor | None
    """(s,) places of the rows that decide when to end."""
    seed: int
    report: ReportRound | None = None
    checkpoints: Checkpoints | None = None

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """Nothing is learned yet."""
        self._progress = _Progress()
        self._drawing = torch.Generator().manual_seed(self.seed)
        configured = self.classifier.network.configure_optimizers()
        self._optimizer: Any = configured["optimizer"]
        self._schedule: Any = configured["lr_scheduler"]["scheduler"]

    def run(self) -> int:
        """Trains to the end, and leaves the best weights in the classifier. Returns the step that they are from.

        Raises:
            TaskWrong: the loss became no number.
        """
        self._resume()
        progress, settings = self._progress, self.settings
        throttle = self.checkpoints.throttle() if self.checkpoints else None
        while progress.step < settings.max_steps and not self._in_vain():
            loss = self._learn()
            progress.step += 1
            if progress.step % settings.val_check_steps == 0 or progress.step == settings.max_steps:
                self._look(loss)
                if throttle and throttle.due():
                    self._keep()
        if throttle and throttle.seconds > _WORTH_KEEPING:
            self._keep()  # another member of the ensemble may be interrupted yet
        if progress.best:
            self.classifier.load_state_dict(progress.best)
            return progress.best_step
        return progress.step

    def _learn(self) -> Tensor:
        self.classifier.train()
        features, targets, target = self.table.batch(self.fit[self._draw()])
        self._optimizer.zero_grad()
        loss = self.classifier.loss(features, targets, target)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        return loss.detach()

    def _draw(self) -> Tensor:
        """Windows of a step: without replacement where there are enough."""
        rows, batch = len(self.fit), self.settings.batch
        if rows < batch:
            return torch.randint(0, rows, (batch,), generator=self._drawing)
        return torch.randperm(rows, generator=self._drawing)[:batch]

    def _in_vain(self) -> bool:
        """No better weights are to be expected."""
        return bool(self.settings.patience) and self._progress.worse >= self.settings.patience

    def _look(self, loss: Tensor) -> None:
        """Judges the weights on the stopping rows."""
        progress = self._progress
        value = float(loss) if self.stop is None else self._judge(self.stop)
        if not math.isfinite(value):
            raise TaskWrong(
                f"algorithm.parameters.learning_rate: the loss is {value} at step {progress.step}: lower it"
            )
        if self.report:
            self.report(progress.step, self.settings.max_steps, _METRIC, value)
        if self.stop is None or not self.settings.patience:
            return
        if value < progress.best_loss:
            progress.best_loss, progress.best_step, progress.worse = value, progress.step, 0
            progress.best = {name: tensor.detach().clone() for name, tensor in self.classifier.state_dict().items()}
        else:
            progress.worse += 1

    @torch.no_grad()
    def _judge(self, places: Tensor) -> float:
        self.classifier.eval()
        total = 0.0
        for part in places.split(_WINDOWS_AT_ONCE):
            total += float(self.classifier.loss(*self.table.batch(part))) * len(part)
        return total / len(places)

    def _keep(self) -> None:
        assert self.checkpoints is not None
        progress = self._progress
        tensors = {
            **{f"weights.{name}": tensor for name, tensor in self.classifier.state_dict().items()},
            **{f"best.{name}": tensor for name, tensor in progress.best.items()},
            "random.torch": torch.get_rng_state(),
            "random.drawing": self._drawing.get_state(),
        }
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        numbers = {
            "step": progress.step,
            "best_step": progress.best_step,
            "best_loss": progress.best_loss if progress.best else None,
            "worse": progress.worse,
        }
        state = write_state(tensors, numbers, self._optimizer.state_dict(), self._schedule.state_dict())
        self.checkpoints.write(_STATE, state)

    def _resume(self) -> None:
        data = self.checkpoints.read(_STATE) if self.checkpoints else None
        if data is None:
            return
        first = {name: tensor.clone() for name, tensor in self.classifier.state_dict().items()}
        drawn = torch.get_rng_state()
        try:
            self._restore(read_state(data))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is no reason not to train
            log.info("a checkpoint cannot be read, and training begins anew: %s", " ".join(str(error).split())[:200])
            self.classifier.load_state_dict(first)
            torch.set_rng_state(drawn)
            self._begin()
        else:
            log.info("going on from step %d of an attempt that was interrupted", self._progress.step)

    def _restore(self, kept: State) -> None:
        self.classifier.load_state_dict(kept.group("weights"))
        self._optimizer.load_state_dict(kept.optimizer(self._optimizer.state_dict()))
        self._schedule.load_state_dict(kept.schedule(self._schedule.state_dict()))
        torch.set_rng_state(kept.tensors["random.torch"])
        self._drawing.set_state(kept.tensors["random.drawing"])
        if "random.cuda" in kept.tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(kept.tensors["random.cuda"])
        numbers, best = kept.numbers, kept.group("best")
        loss = math.inf if numbers["best_loss"] is None else float(numbers["best_loss"])
        self._progress = _Progress(numbers["step"], numbers["best_step"], loss, numbers["worse"], best)
