"""A table on the device that trains: windows of any rows are cut from it a batch at a time, never kept."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from perennial_trainer.neural.networks import Classifier
from perennial_trainer.reading import FloatArray, IntArray
from perennial_trainer.sequences import Past

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class WindowTable:
    """The table's rows by series and time, standardised: a row's window is what lies before it."""

    features: Tensor
    """(n, k) float32."""
    past: Tensor
    """(n,) −1, 1, or 0 where there is no target."""
    lag: Tensor
    """(n,) rows until the target is known."""
    target: Tensor
    """(n,) 0 or 1."""
    length: int

    def batch(self, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (b, length + 1, k), past targets (b, length) and targets (b,) of the rows at some places."""
        windows = places.unsqueeze(1) - torch.arange(self.length, -1, -1, device=places.device)
        before = windows[:, :-1]
        known = self.lag[before] <= torch.arange(self.length, 0, -1, device=places.device)
        return self.features[windows], self.past[before] * known, self.target[places]


def build_table(past: Past, classifier: Classifier, length: int, device: torch.device) -> WindowTable:
    """The table of the rows in ``past``, which holds more than those."""
    table = past.sequences
    order = table.order
    parts = [
        classifier.standardise(torch.from_numpy(past.columns[order[begin : begin + _ROWS_AT_ONCE]]))
        for begin in range(0, len(order), _ROWS_AT_ONCE)
    ]
    target = np.nan_to_num(table.target[order])
    return WindowTable(
        features=torch.cat(parts).to(device),
        past=torch.from_numpy(np.where(np.isnan(table.target[order]), 0.0, 2 * target - 1)).float().to(device),
        lag=torch.from_numpy(table.lag[order]).int().to(device),
        target=torch.from_numpy(target).float().to(device),
        length=length,
    )


def places_of(past: Past, device: torch.device) -> Tensor:
    """Where the rows of ``past`` stand in the table."""
    places: IntArray = past.sequences.place[past.rows]
    return torch.from_numpy(places).to(device)


def fit_standard(classifier: Classifier, features: FloatArray) -> None:
    """Sets the constants: mean and standard deviation of the training rows; 1 where a column never changes."""
    deviation = features.std(axis=0)
    classifier.center.copy_(torch.from_numpy(features.mean(axis=0)))
    classifier.scale.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))
