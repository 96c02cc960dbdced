"""What health promises over time, by simulation: how seldom it is wrong, and how soon it is right.

The simulations are those of tests/simulate, small and seeded; `make simulate` runs them at length.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.simulate.delays import delays
from tests.simulate.health import Setting, false_alarms, looks
from tests.simulate.rates import rate_of
from tests.simulate.streams import overlapping_wins
from tests.unit.domain.worlds import NOW, health_look

from perennial.api.model_deployment import Health
from perennial.api.model_deployment_status import HealthStatus
from perennial.domain.blocks import health_block_seconds
from perennial.domain.cusum import cusum_start
from perennial.domain.evidence import BlockRow, HealthLook
from perennial.domain.health import decide_health
from perennial.domain.trend import decide_trend
from perennial_contract.samples import SampleContract

ROWS = {1: 260, 5: 600, 24: 1500}
"""Steps a window, by overlap: so many that a window has barely as many effective outcomes as are needed."""


@pytest.mark.parametrize("win_rate", [0.52, 0.53, 0.55])
@pytest.mark.parametrize("overlap", sorted(ROWS))
def test_a_healthy_model_is_flagged_at_most_once_in_false_alarm_every(overlap: int, win_rate: float) -> None:
    seen = false_alarms(win_rate, overlap, runs=24, seed=5, intervals=2, rows=ROWS[overlap], every=max(2, overlap // 2))
    assert seen.judged > 0.5
    assert seen.together.upper <= 1.0


@pytest.mark.parametrize(
    ("days", "intervals", "rows"), [pytest.param(7, 1.5, 900, id="short"), pytest.param(90, 4, 600, id="long")]
)
def test_the_promise_holds_for_windows_that_are_short_or_long(days: int, intervals: float, rows: int) -> None:
    spec = Health(window=timedelta(days=days))
    seen = false_alarms(0.52, 5, runs=48, seed=6, intervals=intervals, rows=rows, spec=spec)
    assert seen.together.upper <= 1.0


def test_one_that_promises_less_is_flagged_more_often() -> None:
    seldom, often = (
        false_alarms(0.52, 5, runs=24, seed=7, intervals=720 / days, rows=600, spec=_every(days)) for days in (720, 60)
    )
    assert 0 < seldom.together.events < often.together.events / 2
    assert often.together.upper <= 1.0


def _every(days: int) -> Health:
    return Health(false_alarm_every=timedelta(days=days))


@pytest.mark.parametrize(
    ("win_rate", "overlap", "rows"),
    [
        pytest.param(0.50, 5, 600, id="some alarms, too few outcomes now and then"),
        pytest.param(0.50, 1, 300, id="a timestamp a block"),
        pytest.param(0.51, 24, 3000, id="long labels"),
    ],
)
def test_the_simulation_decides_as_the_operator_does(win_rate: float, overlap: int, rows: int) -> None:
    window = timedelta(minutes=rows)
    setting = Setting(overlap, rows, Health(window=window, false_alarm_every=4 * window))
    every = max(6, 3 * overlap)
    wins = overlapping_wins(np.random.default_rng(8), win_rate, overlap, 7 * rows, 3)
    flags, statuses = np.zeros(3, dtype=bool), [None] * 3
    raised = 0
    for number, seen in enumerate(looks(wins, setting, every)):
        newest = rows - 1 + number * every
        statuses = [_look(run, setting, newest, before) for run, before in zip(wins, statuses, strict=True)]
        before, flags = flags, seen.low(flags) | seen.fell(flags)
        assert [s.state in ("Degraded", "Critical") for s in statuses] == flags.tolist()
        assert [s.state != "Unknown" for s in statuses] == seen.enough.tolist()
        assert [s.cusum.value for s in statuses if s.cusum] == pytest.approx(seen.sums.tolist(), abs=0.001)
        assert [s.cusum.threshold for s in statuses if s.cusum] == seen.thresholds.tolist()
        raised += int((flags & ~before).sum())
    assert raised > 1


def _look(wins: NDArray[np.bool_], setting: Setting, newest: int, before: HealthStatus | None) -> HealthStatus:
    """What a store would show at the instant at which the outcome of ``newest`` is due: a row a minute since 1970."""
    minute, start = timedelta(minutes=1), datetime(1970, 1, 1, tzinfo=UTC)
    contract = SampleContract(label_delay=setting.overlap * minute)
    until = start + (newest + setting.overlap) * minute
    since, begin = until - setting.spec.window, cusum_start(setting.spec, before, "m", until)
    length = health_block_seconds(contract.label_delay, setting.spec.window)
    length *= 1 if setting.overlap == 1 else 2
    first, inside = max(0, -int(-(begin - start) // minute)), setting.first_row(newest)
    look = HealthLook(
        blocks=_blocks(wins, inside, newest + 1, length // 60),
        earlier=_blocks(wins, first, inside, length // 60),
        block_seconds=length,
        bins=(),
        total=0,
        resolved=0,
        overdue=0,
        late=0,
        newest_resolved=None,
    )
    return decide_health(setting.spec, contract, look, "m", since, until, before)


def _blocks(wins: NDArray[np.bool_], first: int, end: int, rows: int) -> tuple[BlockRow, ...]:
    edges = [first, *range((first // rows + 1) * rows, end, rows), end] if first < end else []
    return tuple(
        BlockRow(begin // rows, stop - begin, stop - begin, int(wins[begin:stop].sum()), *[0.0] * 4, 0, *[0.0] * 6)
        for begin, stop in pairwise(edges)
    )


def test_a_fall_from_55_to_45_percent_is_seen_within_300_outcomes() -> None:
    """In the median, with one false alarm in 30 000 independent outcomes."""
    seen = delays(300, 5, detectors=["CUSUM"])["CUSUM"]
    assert seen.false_alarms.lower <= 1.0
    assert seen.upper <= 300


def test_a_steady_model_is_said_to_decline_or_improve_at_most_once_in_false_alarm_every() -> None:
    rows, runs, windows, window = 600, 8, 30, timedelta(days=30)
    spec = Health(window=window, false_alarm_every=3 * window, min_outcomes=100)
    changes = {"Declining": 0, "Improving": 0}
    for wins in overlapping_wins(np.random.default_rng(9), 0.55, 5, rows * windows, runs):
        blocks, before = _blocks(wins, 0, len(wins), 10), decide_trend(spec, ())
        for end in range(60, len(blocks) + 1, 3):
            now = decide_trend(spec, blocks[end - 60 : end], before)
            if now in changes and now != before:
                changes[now] += 1
            before = now
    for times in changes.values():
        assert 0.2 < rate_of(times, runs * windows / 3).value <= 1.0


def test_a_calibrated_model_is_called_ill_calibrated_at_most_once_in_false_alarm_every() -> None:
    """Held to an error that chance brings at every look: it has to be further off than chance goes."""
    rng, rows, runs, windows, window = np.random.default_rng(10), 300, 5, 16, timedelta(days=30)
    spec = Health(window=window, false_alarm_every=2 * window, max_calibration_error=0.001, min_outcomes=100)
    contract, alarms = SampleContract(label_delay=timedelta(hours=1)), 0
    for _ in range(runs):
        scores = rng.uniform(0.2, 0.9, rows * windows)
        targets = rng.random(len(scores)) < scores
        wins, status = targets == (scores >= 0.5), None
        for end in range(rows, len(scores) + 1, 20):
            seen = slice(end - rows, end)
            look = health_look(wins[seen], contract=contract, scores=scores[seen], targets=targets[seen])
            was = status is not None and status.reason == "CalibrationPoor"
            status = decide_health(spec, contract, look, "m", NOW - window, NOW, status)
            assert status.reason in ("WithinLimits", "CalibrationPoor")
            alarms += status.reason == "CalibrationPoor" and not was
    assert rate_of(alarms, runs * windows / 2).upper <= 1.0
