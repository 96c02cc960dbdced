"""The looks of a replay show what a database would have shown at that instant, and nothing later."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.store.looks import DECISIONS
from tests.unit.store.reference import (
    CANARY,
    MODEL,
    STABLE,
    START,
    Prediction,
    Recorded,
    Sample,
    expected_counts,
    expected_health,
    expected_pairs,
)

from perennial.adapters.recording import History, to_instant, to_micros
from perennial.replay.looks import look_at_health, look_at_pairs
from perennial.replay.predictions import LIVE, SHADOW, Predictions
from perennial.replay.reports import ReportFolder
from perennial.replay.store import RecordedStore
from perennial_contract.recording import UNRESOLVED, Recording
from perennial_contract.report import Feature
from perennial_contract.samples import Decision, SampleContract

DELAY = timedelta(minutes=30)
CONTRACT = SampleContract(label_delay=DELAY)
ROWS = 400


def random_predictions(seed: int, folder: Path) -> Predictions:
    """A history with outcomes that are early, late, missing or undated, and two versions that scored some of it."""
    rng = np.random.default_rng(seed)
    at = np.sort(to_micros(START) + rng.integers(0, 2000, ROWS) * 60_000_000)
    after = rng.choice([0.5, 1.0, 1.05, 3.0], ROWS) * to_micros(DELAY)
    resolved_at = np.where(rng.random(ROWS) < 0.1, UNRESOLVED, at + after.astype(np.int64))
    target = np.where(rng.random(ROWS) < 0.2, np.nan, rng.integers(0, 2, ROWS).astype(float))
    reward = np.where(np.isnan(target), np.nan, rng.choice([np.nan, 0.0, 0.02, -0.01], ROWS))
    recording = Recording(table="samples", rows=ROWS, features=(Feature(name="x"),))
    history = History(folder, recording, at, resolved_at, np.arange(ROWS), target, reward)
    found = Predictions(history, DELAY)
    for uid, first in ((STABLE, 0), (CANARY, 120)):
        scored = found.begin(uid, first)
        scored.scores[:] = rng.choice([0.0, 0.5, 1.0, *rng.random(5)], ROWS - first)
        tracks = rng.choice([0, LIVE, SHADOW], ROWS - first, p=[0.1, 0.5, 0.4])
        for track in (LIVE, SHADOW):
            found.record(uid, first + np.flatnonzero(tracks == track), track)
    return found


def as_database(found: Predictions, now: datetime) -> Recorded:
    """What a database would hold at the instant."""
    history, recorded = found.history, Recorded()
    for row in range(int(np.searchsorted(history.at, to_micros(now), "right"))):
        at, resolved = to_instant(int(history.at[row])), int(history.resolved_at[row])
        known = resolved if resolved != UNRESOLVED else int(history.at[row]) + to_micros(DELAY)
        sample = Sample(f"s{row}", at)
        if not np.isnan(history.target[row]) and known <= to_micros(now):
            reward = float(history.reward[row])
            sample.target, sample.reward = int(history.target[row]), None if np.isnan(reward) else reward
            sample.resolved_at = to_instant(resolved) if resolved != UNRESOLVED else None
        recorded.samples[sample.id] = sample
        for uid, scored in found.versions.items():
            track = int(scored.track[row - scored.first]) if row >= scored.first else 0
            if track:
                name, score = {LIVE: "live", SHADOW: "shadow"}[track], float(scored.scores[row - scored.first])
                recorded.predictions.append(Prediction(uid, sample.id, name, score, at))
    return recorded


@pytest.mark.parametrize("decision", DECISIONS, ids=str)
@pytest.mark.parametrize("seed", [1, 2])
async def test_looks_equal_those_at_a_database_of_that_instant(tmp_path: Path, seed: int, decision: Decision) -> None:
    found = random_predictions(seed, tmp_path)
    store = RecordedStore({MODEL: found}, ReportFolder(tmp_path))
    dice = random.Random(seed)
    for _ in range(12):
        until = START + timedelta(minutes=dice.randrange(0, 2600))
        since = until - timedelta(minutes=dice.randrange(1, 2600))
        recorded, seconds = as_database(found, until), dice.choice([60, 777])
        earlier = since - timedelta(minutes=dice.randrange(-50, 500)) if dice.random() < 0.7 else None
        asked = {"since": since, "until": until, "block_seconds": seconds, "blocks_since": earlier}
        wanted = expected_health(recorded, CONTRACT, decision, **asked)
        seen = await store.observe_health(CONTRACT, decision, model=MODEL, version=STABLE, **asked)
        parts: dict[str, Any] = {"blocks": (), "earlier": (), "bins": ()}
        assert replace(seen, **parts) == replace(wanted, **parts)
        for ours, theirs in ((getattr(seen, part), getattr(wanted, part)) for part in parts):
            assert len(ours) == len(theirs)
            for one, other in zip(ours, theirs, strict=True):
                values = [[getattr(row, name) for name in type(row).__slots__] for row in (one, other)]
                assert values[0] == pytest.approx(values[1])
        step = since + timedelta(minutes=dice.randrange(0, 600))
        times = {"since": since, "step_since": step, "until": until, "block_seconds": seconds}
        sides = {"stable": STABLE, "canary": CANARY}
        assert look_at_pairs(found, CONTRACT, decision, sides, since, step, until, seconds) == expected_pairs(
            recorded, CONTRACT, decision, **times
        )
        counts = await store.observe_counts(CONTRACT, since=since, now=until)
        assert counts == expected_counts(recorded, CONTRACT, since=since, now=until)


def test_a_version_that_never_scored_has_no_evidence(tmp_path: Path) -> None:
    found = random_predictions(1, tmp_path)
    look = look_at_health(found, CONTRACT, Decision(), "uid-unknown", START, START + timedelta(days=3), 60)
    assert (look.total, look.blocks, look.newest_resolved) == (0, (), None)


def test_what_is_no_longer_needed_is_forgotten(tmp_path: Path) -> None:
    found = random_predictions(1, tmp_path)
    answered = found.live_score.copy()
    found.forget_all_but({CANARY})
    assert set(found.versions) == {CANARY}
    assert np.array_equal(found.live_score, answered, equal_nan=True)


def test_what_a_version_refused_to_score_is_no_prediction(tmp_path: Path) -> None:
    found = Predictions(random_predictions(3, tmp_path).history, DELAY)
    scored = found.begin(STABLE, 2)
    scored.scores[:] = 0.6
    scored.scores[[0, 5]] = np.nan
    found.record(STABLE, np.arange(2, 12), LIVE)
    assert np.flatnonzero(scored.track != LIVE)[:2].tolist() == [0, 5]
    assert np.flatnonzero(found.live_version == 0).tolist() == [3, 4, 5, 6, 8, 9, 10, 11]
    assert not np.isnan(found.live_score[found.live_version == 0]).any()
