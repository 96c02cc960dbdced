"""The tensors with which a client says itself what stood before its rows: no store is asked then.

``history`` is ``[n, m, k]`` with m ≥ input_size, oldest first, columns in the manifest's order; what is more is left
alone, so that two versions with different windows may be sent the same. ``history_at`` ``[n, m]`` are the times, in
whole milliseconds since 1970; without them nothing is said of gaps, and no past target is believed. ``history_target``
``[n, m]`` is 0 or 1, null where it is not known.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from perennial_contract.sequence import Sequence
from perennial_server.errors import RequestError
from perennial_server.instants import to_micros
from perennial_server.models import Matrix
from perennial_server.tensors import Tensor, read_block
from perennial_server.windows import History

HISTORY, HISTORY_AT, HISTORY_TARGET = "history", "history_at", "history_target"
PAST_TENSORS = (HISTORY, HISTORY_AT, HISTORY_TARGET)
_MILLISECOND = 1000


def read_history(
    tensors: Mapping[str, Tensor], sequence: Sequence, rows: int, features: tuple[str, ...]
) -> History | None:
    """The history in a request; None when there is none.

    Raises:
        RequestError: naming the tensor, its shape or value, and the fix.
    """
    if HISTORY not in tensors:
        for name in (HISTORY_AT, HISTORY_TARGET):
            if name in tensors:
                raise RequestError(f"tensor {name!r} goes with {HISTORY!r}: send both, or neither")
        return None
    length = sequence.input_size
    values = read_block(tensors[HISTORY], (rows, None, len(features)))
    count = values.shape[1]
    if count < length:
        raise RequestError(
            f"tensor {HISTORY!r}: shape {list(values.shape)}: this model looks back on {length} rows: "
            f"send [{rows}, {length}, {len(features)}]"
        )
    if HISTORY_AT not in tensors:
        if HISTORY_TARGET in tensors:
            raise RequestError(f"tensor {HISTORY_TARGET!r} goes with {HISTORY_AT!r}, which says how old each is")
        return History(values)
    at = _whole(read_block(tensors[HISTORY_AT], (rows, count))) * _MILLISECOND
    if HISTORY_TARGET not in tensors:
        return History(values, at)
    targets = read_block(tensors[HISTORY_TARGET], (rows, count))
    wrong = ~np.isnan(targets) & (targets != 0) & (targets != 1)
    if wrong.any():
        raise RequestError(
            f"tensor {HISTORY_TARGET!r}: {targets[wrong][0]:g} is no target: send 0 or 1, or null where it is not known"
        )
    return History(values, at, at + to_micros(sequence.label_delay), targets)


def _whole(values: Matrix) -> Any:
    wrong = (values != np.trunc(values)) | (np.abs(values) > 2**50)  # NaN is not whole either
    if wrong.any():
        raise RequestError(
            f"tensor {HISTORY_AT!r}: {values[wrong][0]:g} is no time: send whole milliseconds since 1970 (INT64)"
        )
    return values.astype(np.int64)
