"""A replay counts a window's features as a database would."""

import math
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from tests.unit.store.drift_looks import CONTRACT, FEATURES, PROFILE, SPAN, draw, expected_drift
from tests.unit.store.reference import MODEL, STABLE

from perennial.adapters.recording import History, to_micros
from perennial.replay.drift import look_at_drift
from perennial.replay.predictions import LIVE, SHADOW, Predictions
from perennial_contract.recording import UNRESOLVED, VALUES_FILE, Recording
from perennial_contract.report import Feature


def number(value: object) -> float:
    return math.nan if value is None else float(value)  # type: ignore[arg-type] # numbers and bools


@pytest.mark.parametrize("seed", [1, 2])
def test_features_are_counted_as_row_by_row(tmp_path: Path, seed: int) -> None:
    store = draw(seed)
    scores = {p["sample_id"]: p for p in store.predictions if (p["model"], p["version"]) == (MODEL, STABLE)}
    rows = sorted((row for row in store.samples if row["at"]), key=lambda row: (row["at"], row["id"]))
    kept = {row["id"] for row in rows}
    store.predictions = [p for p in store.predictions if p["sample_id"] in kept]
    names = sorted(FEATURES)  # not in the profile's order
    values = np.array([[math.nan, math.nan, *(number(row[name]) for name in names)] for row in rows])
    np.save(tmp_path / VALUES_FILE, values, allow_pickle=False)
    recording = Recording(table="samples", rows=len(rows), features=tuple(Feature(name=name) for name in names))
    at = np.array([to_micros(row["at"]) for row in rows])
    none = np.full(len(rows), np.nan)
    history = History(tmp_path, recording, at, np.full(len(rows), UNRESOLVED), np.arange(len(rows)), none, none)
    found = Predictions(history, CONTRACT.label_delay)
    scored = found.begin(STABLE, 0)
    scored.scores[:] = [scores[row["id"]]["score"] for row in rows]
    live = np.array([scores[row["id"]]["track"] == "live" for row in rows])
    found.record(STABLE, np.flatnonzero(live), LIVE)
    found.record(STABLE, np.flatnonzero(~live), SHADOW)
    assert look_at_drift(found, PROFILE, STABLE, SPAN) == expected_drift(store)
    assert [window.scores for window in look_at_drift(found, PROFILE, "uid-unknown", SPAN).windows] == [()] * 3
    assert isinstance(look_at_drift(found, PROFILE, STABLE, SPAN).windows[0].oldest, datetime)
