"""XGBoost: its native training on histograms, saved as UBJ."""

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from perennial_contract.boosting import DEFAULT_LEARNING_RATE
from perennial_contract.report import Manifest
from perennial_trainer.algorithms.base import (
    ColdStart,
    Labelled,
    Model,
    RowModel,
    Settings,
    member_name,
    read_settings,
    with_defaults,
)
from perennial_trainer.checkpoints import Checkpoints
from perennial_trainer.errors import TaskWrong
from perennial_trainer.progress import ReportRound
from perennial_trainer.reading import FloatArray
from perennial_trainer.sequences import Past

LOOKS_BACK = False
MEMBERS_BESIDE = False
_VARIED: dict[tuple[str, ...], Any] = {("subsample",): 0.8, ("colsample_bytree",): 0.8}

MODEL_FILE = "model.ubj"
_OBJECTIVES = ("binary:logistic",)
_OWNED = ("seed", "random_state", "nthread", "n_jobs")
_DEFAULTS = {
    ("objective",): "binary:logistic",
    ("eval_metric",): "logloss",
    ("tree_method",): "hist",
    ("learning_rate", "eta"): DEFAULT_LEARNING_RATE,
    ("verbosity",): 1,  # warnings: they name parameters that it does not know
}


@dataclass(frozen=True)
class XGBoostModel(RowModel):
    """A booster cut to its best round, so that no reader has to know which that was."""

    booster: xgb.Booster
    rounds: int

    def score(self, features: FloatArray, past: Past | None = None) -> FloatArray:
        """P(target = 1), shape (n,)."""
        return np.asarray(self.booster.inplace_predict(features), dtype=np.float64)

    def save(self, directory: Path, member: int = 1) -> tuple[str, ...]:
        """Writes ``model.ubj``."""
        name = member_name(MODEL_FILE, member)
        self.booster.save_model(directory / name)
        return (name,)


class _Progress(xgb.callback.TrainingCallback):
    """Passes rounds on, and stops as soon as XGBoost has said that it does not know a parameter."""

    def __init__(self, report: ReportRound | None, rounds: int, said: list[warnings.WarningMessage]) -> None:
        self._report, self._rounds, self._said, self._done = report, rounds, said, 0

    def after_iteration(
        self, model: xgb.Booster, epoch: int, evals_log: xgb.callback.TrainingCallback.EvalsLog
    ) -> bool:
        """Called by XGBoost after each round; True would end the training."""
        self._done += 1
        if self._done == 1:
            _refuse_unknown(self._said)
        if self._report is not None and evals_log:
            metric, values = list(list(evals_log.values())[-1].items())[-1]
            last = values[-1]
            self._report(self._done, self._rounds, metric, last[0] if isinstance(last, tuple) else last)
        return False


def train(
    fit: Labelled,
    stop: Labelled | None,
    *,
    parameters: Mapping[str, Any],
    seed: int,
    threads: int,
    progress: ReportRound | None = None,
    start: Model | None = None,
    checkpoints: Checkpoints | None = None,
) -> XGBoostModel:
    """See `Algorithm.train`: rounds come on top of those of ``start``."""
    settings = read_settings(parameters, objectives=_OBJECTIVES, owned=_OWNED)
    if settings.parameters.get("booster") == "gblinear":
        raise TaskWrong("algorithm.parameters.booster: 'gblinear' grows no trees, which are what is served: remove it")
    chosen = {**with_defaults(settings.parameters, _DEFAULTS), "seed": seed, "nthread": threads}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            booster = _boost(fit, stop, settings, chosen, _Progress(progress, settings.rounds, said), _begin(start))
        except (xgb.core.XGBoostError, ValueError, TypeError) as error:
            raise TaskWrong(f"algorithm.parameters: {_reason(error)}") from None
    return XGBoostModel(booster, booster.num_boosted_rounds())


def varied(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """See `Algorithm.varied`."""
    return with_defaults(parameters, _VARIED)


def _begin(start: Model | None) -> xgb.Booster | None:
    if start is None:
        return None
    if not isinstance(start, XGBoostModel):
        raise ColdStart("it is no model of XGBoost")
    return start.booster


def _boost(
    fit: Labelled,
    stop: Labelled | None,
    settings: Settings,
    parameters: dict[str, Any],
    progress: _Progress,
    start: xgb.Booster | None,
) -> xgb.Booster:
    make = _matrix_maker(parameters, quantised=start is None)
    training = make(fit, None)
    evals = [(make(stop, training), "stop")] if stop is not None else [(training, "fit")]
    stopping = settings.stopping_rounds if stop is not None else 0
    booster = xgb.train(
        parameters,
        training,
        settings.rounds,
        evals=evals,
        early_stopping_rounds=stopping or None,
        verbose_eval=False,
        callbacks=[progress],
        xgb_model=start,
    )
    if stopping:
        return booster[: booster.best_iteration + 1]
    return booster


def _matrix_maker(parameters: Mapping[str, Any], *, quantised: bool) -> Any:
    """Quantised data costs a quarter of the memory; only histograms can use it.

    Trees that were grown on other bins (``quantised`` False) would put rows near their edges on the wrong side.
    """
    threads = parameters["nthread"]
    if not quantised or parameters["tree_method"] != "hist":
        return lambda rows, _: xgb.DMatrix(rows.features, rows.target, nthread=threads)
    bins = parameters.get("max_bin")
    return lambda rows, ref: xgb.QuantileDMatrix(
        rows.features, rows.target, nthread=threads, ref=ref, **({"max_bin": int(bins)} if bins else {})
    )


def load(directory: Path, manifest: Manifest, threads: int) -> XGBoostModel:
    """See `Algorithm.load`."""
    booster = xgb.Booster({"nthread": threads})
    try:
        booster.load_model(directory / manifest.model_file)
    except xgb.core.XGBoostError as error:
        raise TaskWrong(f"{manifest.model_file}: not an XGBoost model: {_reason(error)}") from None
    taken, named = booster.num_features(), len(manifest.features)
    if taken != named:
        raise TaskWrong(f"{manifest.model_file}: takes {taken} features, its manifest names {named}")
    return XGBoostModel(booster, booster.num_boosted_rounds())


def versions() -> dict[str, str]:
    """See `Algorithm.versions`."""
    return {"xgboost": xgb.__version__}


def _refuse_unknown(said: list[warnings.WarningMessage]) -> None:
    for warning in said:
        found = re.search(r"Parameters: \{(.*)\} are not used", str(warning.message))
        if found:
            names = ", ".join(json.loads(f"[{found[1]}]"))
            raise TaskWrong(
                f"algorithm.parameters: XGBoost does not know or use {names}; remove it or correct its name"
            )


def _reason(error: Exception) -> str:
    """XGBoost's messages begin with a time and a source line and end in a stack trace."""
    text = re.sub(r"^\[[\d:]+\] \S+?:\d+: ", "", str(error).strip())
    return " ".join(text.partition("Stack trace")[0].split())
