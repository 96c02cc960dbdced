"""LightGBM: its native training, saved as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from perennial_contract.boosting import DEFAULT_LEARNING_RATE
from perennial_contract.report import Manifest
from perennial_trainer.algorithms.base import (
    ColdStart,
    Labelled,
    Model,
    RowModel,
    member_name,
    read_settings,
    with_defaults,
)
from perennial_trainer.checkpoints import Checkpoints
from perennial_trainer.errors import TaskWrong
from perennial_trainer.progress import ReportRound, log
from perennial_trainer.reading import FloatArray
from perennial_trainer.sequences import Past

LOOKS_BACK = False
MEMBERS_BESIDE = False
_ROWS_DRAWN: dict[tuple[str, ...], Any] = {
    ("bagging_fraction", "subsample", "sub_row", "bagging"): 0.8,
    ("bagging_freq", "subsample_freq"): 1,
}
_COLUMNS_DRAWN: dict[tuple[str, ...], Any] = {("feature_fraction", "sub_feature", "colsample_bytree"): 0.8}
_BOOSTING = ("data_sample_strategy", "boosting", "boosting_type", "boost")

MODEL_FILE = "model.txt"
_OBJECTIVES = ("binary", "cross_entropy", "xentropy")
_OWNED = ("seed", "random_seed", "random_state", "num_threads", "num_thread", "nthread", "nthreads", "n_jobs")
_DEFAULTS = {
    ("objective", "objective_type", "app", "application", "loss"): "binary",
    ("metric", "metrics", "metric_types"): "binary_logloss",
    ("learning_rate", "shrinkage_rate", "eta"): DEFAULT_LEARNING_RATE,
    # Rows or columns is otherwise decided by a race against the clock, and the two round differently.
    ("force_col_wise",): True,
    ("deterministic",): True,
}
# At this level it names parameters that it does not know; the listener decides what is shown.
_LISTEN = 1
_WARNING = "[LightGBM] [Warning]"
_UNKNOWN = "Unknown parameter: "
_OF_NO_ACCOUNT = "No further splits"


@dataclass(frozen=True)
class LightGBMModel(RowModel):
    """A booster and the threads it scores with."""

    booster: lgb.Booster
    rounds: int
    threads: int

    def score(self, features: FloatArray, past: Past | None = None) -> FloatArray:
        """P(target = 1), shape (n,)."""
        scores = self.booster.predict(features, num_iteration=self.rounds, num_threads=self.threads)
        return np.asarray(scores, dtype=np.float64)

    def save(self, directory: Path, member: int = 1) -> tuple[str, ...]:
        """Writes ``model.txt``."""
        name = member_name(MODEL_FILE, member)
        self.booster.save_model(directory / name, num_iteration=self.rounds)
        return (name,)


class _Listener:
    """LightGBM's log: it says in words alone that it does not know a parameter."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def info(self, message: str) -> None:
        """Everything that the library says: unknown parameters are kept, other warnings shown, the rest dropped."""
        name = message.partition(_UNKNOWN)[2].strip()
        if name and name not in self.unknown:
            self.unknown.append(name)
        elif not name and _WARNING in message and _OF_NO_ACCOUNT not in message:
            log.info("LightGBM: %s", message.replace(_WARNING, "").strip())

    def warning(self, message: str) -> None:
        """What its Python side warns of."""
        log.info("LightGBM: %s", message.strip())


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
) -> LightGBMModel:
    """See `Algorithm.train`: rounds come on top of those of ``start``."""
    begin = _begin(start)
    settings = read_settings(parameters, objectives=_OBJECTIVES, owned=_OWNED)
    chosen = {**with_defaults(settings.parameters, _DEFAULTS), "seed": seed, "num_threads": threads}
    chosen.pop("verbose", None)
    chosen["verbosity"] = _LISTEN
    if chosen.get("force_row_wise"):
        chosen["force_col_wise"] = False
    listener = _Listener()
    lgb.register_logger(listener)
    stopping = settings.stopping_rounds if stop is not None else 0
    try:
        # What an earlier model says of the rows is computed from the rows themselves.
        training = lgb.Dataset(fit.features, fit.target, params=chosen, free_raw_data=begin is None).construct()
        _refuse_unknown(listener)
        valid = training if stop is None else training.create_valid(stop.features, stop.target)
        callbacks = [_show(progress, settings.rounds)] if progress is not None else []
        if stopping:
            callbacks.append(lgb.early_stopping(stopping, verbose=False))
        booster = lgb.train(
            chosen, training, settings.rounds, valid_sets=[valid], callbacks=callbacks, init_model=begin
        )
    except (lgb.basic.LightGBMError, ValueError, TypeError) as error:
        raise TaskWrong(f"algorithm.parameters: {' '.join(str(error).split())}") from None
    _refuse_unknown(listener)
    best = booster.best_iteration if stopping and booster.best_iteration > 0 else booster.current_iteration()
    return LightGBMModel(booster, best, threads)


def varied(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """See `Algorithm.varied`: GOSS has a way of its own to draw rows, and takes no other."""
    goss = "goss" in [parameters.get(name) for name in _BOOSTING]
    drawn = _COLUMNS_DRAWN if goss else {**_ROWS_DRAWN, **_COLUMNS_DRAWN}
    return with_defaults(parameters, drawn)


def load(directory: Path, manifest: Manifest, threads: int) -> LightGBMModel:
    """See `Algorithm.load`."""
    lgb.register_logger(_Listener())
    try:
        booster = lgb.Booster(model_file=directory / manifest.model_file)
    except lgb.basic.LightGBMError as error:
        raise TaskWrong(f"{manifest.model_file}: not a LightGBM model: {' '.join(str(error).split())}") from None
    taken, named = booster.num_feature(), len(manifest.features)
    if taken != named:
        raise TaskWrong(f"{manifest.model_file}: takes {taken} features, its manifest names {named}")
    return LightGBMModel(booster, booster.current_iteration(), threads)


def versions() -> dict[str, str]:
    """See `Algorithm.versions`."""
    return {"lightgbm": lgb.__version__}


def _begin(start: Model | None) -> lgb.Booster | None:
    if start is None:
        return None
    if not isinstance(start, LightGBMModel):
        raise ColdStart("it is no model of LightGBM")
    return start.booster


def _show(progress: ReportRound, rounds: int) -> Any:
    def after_iteration(env: lgb.callback.CallbackEnv) -> None:
        if env.evaluation_result_list:
            _, metric, value, *_ = env.evaluation_result_list[-1]
            progress(env.iteration - env.begin_iteration + 1, rounds, metric, value)

    return after_iteration


def _refuse_unknown(listener: _Listener) -> None:
    if listener.unknown:
        names = ", ".join(listener.unknown)
        raise TaskWrong(f"algorithm.parameters: LightGBM does not know {names}; remove it or correct its name")
