"""neuralforecast's networks as classifiers of one row: what goes in is a window, what comes out P(target = 1).

Each past row gives its features and its target (−1, 1, or 0 where it is not known yet), the scored row its features:
for N-HiTS they are future exogenous variables, as they are known at ``at``. The output is the logit of neuralforecast's
own Bernoulli head. Features are standardised by constants of the training rows, inside the network: with whatever is
scored later they stay the same. On top of that comes neuralforecast's ``scaler_type``, over each window by itself.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from neuralforecast.common._scalers import TemporalNorm
from neuralforecast.losses.pytorch import DistributionLoss
from neuralforecast.models.nhits import NHITS, NHITSBlock, _IdentityBasis
from neuralforecast.models.patchtst import PatchTST
from torch import Tensor, nn

from perennial_trainer.errors import TaskWrong
from perennial_trainer.neural.parameters import NetworkSettings

_LIMIT = 10.0
"""Standard deviations: a broken value must not drown all others."""

# It says on every construction what seed it was given.
logging.getLogger("lightning_fabric.utilities.seed").setLevel(logging.WARNING)
logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.ERROR)


class Classifier(nn.Module):
    """Standardised windows through a network of neuralforecast's to a probability."""

    center: Tensor
    """(k,) float64."""
    scale: Tensor
    """(k,) float64."""

    def __init__(self, network: Any, scaler: str, features: int) -> None:
        super().__init__()
        self.network = network
        self.scaler = TemporalNorm(scaler_type=scaler, dim=1, num_features=features)
        self.register_buffer("center", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(features, dtype=torch.float64))

    def standardise(self, features: Tensor) -> Tensor:
        """(…, k) float64 → float32 in standard deviations of the training rows."""
        return ((features - self.center) / self.scale).clamp(-_LIMIT, _LIMIT).float()

    def logits(self, standard: Tensor, targets: Tensor) -> Tensor:
        """(b, 1, 1), neuralforecast's shape, of windows (b, length + 1, k) and past targets (b, length)."""
        # The scored row is scaled with its past's figures, as neuralforecast has it. The functions are called by
        # themselves: the module would keep what they found, which an exported graph cannot.
        mask = torch.ones_like(standard[:, :, :1])
        mask = torch.cat([mask[:, :-1], torch.zeros_like(mask[:, -1:])], 1)
        shift, scale = self.scaler.compute_statistics(x=standard, mask=mask, dim=1, eps=self.scaler.eps)
        past = targets.unsqueeze(-1)
        if self.network.exclude_insample_y:
            past = torch.zeros_like(past)
        window = {
            "insample_y": past,
            "insample_mask": past.abs(),
            "futr_exog": self.scaler.scaler(standard, shift, scale),
            "hist_exog": None,
            "stat_exog": None,
        }
        logits: Tensor = self.network(window)
        return logits

    def loss(self, standard: Tensor, targets: Tensor, target: Tensor) -> Tensor:
        """Mean log loss of neuralforecast's Bernoulli head; ``target`` is (b,) of 0 and 1."""
        head = self.network.loss
        output = head.domain_map(self.logits(standard, targets))
        loss: Tensor = head(y=target.reshape(-1, 1, 1), distr_args=head.scale_decouple(output=output))
        return loss

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        """(b,) of windows (b, length + 1, k) float64 and past targets (b, length)."""
        return torch.sigmoid(self.logits(self.standardise(features), targets)[:, 0, 0])


class _Step(_IdentityBasis):
    """For a horizon of one row, where interpolation from one knot is that knot.

    neuralforecast's asks for ``len(knots)``, which freezes the batch of an exported graph at that of the example.
    """

    def forward(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Backcast (b, length) and forecast (b, 1, 1)."""
        return theta[:, : self.backcast_size], theta[:, self.backcast_size :].reshape(-1, 1, self.out_features)


class _Block(NHITSBlock):
    """neuralforecast's, without ``len(insample_y)``, for the same reason, and without what we have none of."""

    def forward(self, insample_y: Tensor, futr_exog: Tensor, hist_exog: None, stat_exog: None) -> Any:
        """Backcast and forecast."""
        past = self.pooling_layer(insample_y.unsqueeze(1)).squeeze(1)
        features = self.pooling_layer(futr_exog.permute(0, 2, 1)).permute(0, 2, 1)
        return self.basis(self.layers(torch.cat([past, features.flatten(1)], 1)))


class _PatchTST(PatchTST):
    """neuralforecast's PatchTST has no exogenous variables: here a patch holds all columns of its rows.

    The projection of a patch, learned in any case, takes features, targets and whether they are known together; encoder
    and head are neuralforecast's. The window's last row is the scored one, whose target is not known.
    """

    EXOGENOUS_FUTR = True

    def __init__(self, **settings: Any) -> None:
        length = settings["input_size"]
        super().__init__(**{**settings, "input_size": length + 1, "revin": False})
        self.input_size = length
        encoder = self.model.backbone
        encoder.W_P = nn.Linear(encoder.patch_len * (self.futr_exog_size + 2), encoder.W_P.out_features)

    def forward(self, window: dict[str, Tensor]) -> Tensor:
        """(b, 1, 1)."""
        model = self.model
        past = torch.cat([window["insample_y"], window["insample_mask"]], 2)
        rows = torch.cat([past, torch.zeros_like(past[:, :1])], 1)
        columns = torch.cat([window["futr_exog"], rows], 2).permute(0, 2, 1)
        padded = torch.cat([columns, columns[:, :, -1:].expand(-1, -1, model.stride)], 2)
        patches = padded.unfold(-1, model.patch_len, model.stride).permute(0, 1, 3, 2)
        logits: Tensor = model.head(model.backbone(patches.flatten(1, 2).unsqueeze(1)))
        return logits.reshape(-1, 1, 1)


def build_network(name: str, settings: NetworkSettings, features: int, seed: int) -> Classifier:
    """The network of an algorithm for so many features, with random weights.

    Raises:
        TaskWrong: neuralforecast makes no network of these parameters, or one that does not run.
    """
    try:
        classifier = _BUILDERS[name](settings, [f"f{number}" for number in range(features)], seed)
        _rehearse(classifier, settings.input_size)
    except Exception as error:  # noqa: BLE001 - it raises plain exceptions, and asserts, for wrong arguments
        raise TaskWrong(f"algorithm.parameters: {' '.join(str(error).split()) or type(error).__name__}") from None
    return classifier


@torch.no_grad()
def _rehearse(classifier: Classifier, length: int) -> None:
    """Layers that do not fit together are noticed when something goes through them; nothing random is drawn."""
    classifier.eval()(torch.zeros(2, length + 1, len(classifier.center), dtype=torch.float64), torch.zeros(2, length))


def _build_nhits(settings: NetworkSettings, features: Sequence[str], seed: int) -> Classifier:
    """N-HiTS: Challu et al. (2023), "NHITS: Neural Hierarchical Interpolation for Time Series Forecasting"."""
    network = _construct(NHITS, settings, features, seed)
    for block in network.blocks:
        block.__class__ = _Block
        block.basis.__class__ = _Step
    return Classifier(network, settings.scaler, len(features))


def _build_patchtst(settings: NetworkSettings, features: Sequence[str], seed: int) -> Classifier:
    """PatchTST: Nie et al. (2023), "A Time Series is Worth 64 Words: Long-term Forecasting with Transformers"."""
    return Classifier(_construct(_PatchTST, settings, features, seed), settings.scaler, len(features))


def _construct(constructor: Callable[..., Any], settings: NetworkSettings, features: Sequence[str], seed: int) -> Any:
    """The network; torch's own generators are seeded on the way."""
    return constructor(
        h=1,
        futr_exog_list=list(features),
        loss=DistributionLoss("Bernoulli", level=[]),
        random_seed=seed,
        **settings.network,
    )


PARAMETERS_OF: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "nhits": (NHITS, ("interpolation_mode",)),
    "patchtst": (PatchTST, ("revin", "revin_affine", "revin_subtract_last")),
}
"""The class whose arguments are the parameters, and those that mean nothing here."""
_BUILDERS = {"nhits": _build_nhits, "patchtst": _build_patchtst}
