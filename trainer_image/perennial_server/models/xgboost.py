"""XGBoost, from UBJ."""

import ctypes
import json
import threading
from pathlib import Path

import numpy as np
import xgboost
from xgboost.core import _LIB, _check_call

from perennial_contract.artifacts import ArtifactError
from perennial_server.models import Matrix, Model, Windows, check_features

_TREES = ("gbtree", "dart")
_OPTIONS = (
    b'{"type": 0, "training": false, "iteration_begin": 0, "iteration_end": 0, "strict_shape": false,'
    b' "missing": NaN, "cache_id": 0}'
)


class XGBoostModel:
    """Calls the library's C function `XGBoosterPredictFromDense` itself.

    `Booster.inplace_predict` ends in the same function, and spends two thirds of a one-row call on finding out what it
    was given: 290 µs against 107 µs for 200 trees.
    """

    sequence = None

    def __init__(self, booster: xgboost.Booster) -> None:
        self._booster = booster
        self._threads = threading.local()

    def score(self, rows: Matrix, windows: Windows | None = None) -> Matrix:
        """P(target = 1) of each row."""
        array = b'{"data": [%d, true], "shape": [%d, %d], "typestr": "<f8", "version": 3}' % (
            rows.ctypes.data,
            *rows.shape,
        )
        shape = ctypes.POINTER(ctypes.c_uint64)()
        dimensions = ctypes.c_uint64()
        scores = ctypes.POINTER(ctypes.c_float)()
        _check_call(
            _LIB.XGBoosterPredictFromDense(
                self._booster.handle,
                array,
                _OPTIONS,
                self._proxy(),
                ctypes.byref(shape),
                ctypes.byref(dimensions),
                ctypes.byref(scores),
            )
        )
        # The result lives in the library's memory until this thread's next call: it is copied out.
        found = tuple(shape[axis] for axis in range(dimensions.value))
        return np.ctypeslib.as_array(scores, shape=found).astype(np.float64)

    def _proxy(self) -> ctypes.c_void_p:
        """The library's handle on the rows: one a thread, as it is written to during a call."""
        proxy: ctypes.c_void_p | None = getattr(self._threads, "proxy", None)
        if proxy is None:
            proxy = ctypes.c_void_p()
            _check_call(_LIB.XGProxyDMatrixCreate(ctypes.byref(proxy)))
            self._threads.proxy = proxy
        return proxy


def load(path: Path, features: tuple[str, ...]) -> Model:
    """The model in a UBJ file, on one thread."""
    try:
        booster = xgboost.Booster({"nthread": 1}, model_file=str(path))
    except xgboost.core.XGBoostError as error:
        # The library's message starts with its source line and ends in a stack trace.
        reason = str(error).partition("Stack trace")[0].split("] ", 1)[-1]
        raise ArtifactError(f"{path.name}: not an XGBoost model: {' '.join(reason.split())}") from None
    kind = json.loads(booster.save_config())["learner"]["gradient_booster"]["name"]
    if kind not in _TREES:
        raise ArtifactError(f"{path.name}: booster {kind!r} cannot be served: use one of {', '.join(_TREES)}")
    check_features(path.name, booster.feature_names, booster.num_features(), features)
    return XGBoostModel(booster)
