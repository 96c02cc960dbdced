"""Health, one row a case: what is seen and what is said of it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from tests.unit.domain.worlds import CONTRACT, NOW, health_look

from perennial.api.model_deployment import Health
from perennial.api.model_deployment_status import HealthState, HealthStatus
from perennial.domain.evidence import HealthLook
from perennial.domain.health import decide_health
from perennial_contract.samples import SampleContract

SINCE = NOW - timedelta(days=30)
INDEPENDENT = SampleContract(label_delay=timedelta(minutes=20))


def seen(win_rate: float, rows: int, **more: Any) -> HealthLook:
    """Independent outcomes, evenly mixed, at exactly this win rate."""
    wins = np.zeros(rows, dtype=bool)
    wins[: round(win_rate * rows)] = True
    return health_look(np.random.default_rng(4).permutation(wins), contract=INDEPENDENT, **more)


def rewarded(mean: float, rows: int = 3000, win_rate: float = 0.5) -> HealthLook:
    """Rewards of standard deviation 1."""
    noise = np.random.default_rng(5).standard_normal(rows)
    return seen(win_rate, rows, rewards=(noise - noise.mean()) / noise.std() + mean)


def scored(score: float, frequency: float, rows: int = 3000) -> HealthLook:
    """Always right half of the time; says ``score`` of what comes true with ``frequency``."""
    targets = np.random.default_rng(6).random(rows) < frequency
    return seen(0.5, rows, scores=np.full(rows, score), targets=targets)


@dataclass(frozen=True)
class Case:
    name: str
    look: HealthLook | None
    state: HealthState
    reason: str
    message: str
    spec: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("the store does not answer", None, "Unknown", "StoreUnavailable", "does not answer"),
    Case("nothing was predicted", seen(0.5, 0), "Unknown", "NotEnoughOutcomes", "no outcome in the window of 30d, 200"),
    Case("45 % on 60 outcomes says nothing", seen(0.45, 60), "Unknown", "NotEnoughOutcomes", "(60 in 60 time blocks)"),
    Case(
        "overdue outcomes are named", seen(0.5, 60, overdue=7), "Unknown", "NotEnoughOutcomes", "200 are needed; 7 are"
    ),
    Case("45 % on 3 000 outcomes", seen(0.45, 3000), "Degraded", "WinRateBelowMinimum", "under the minimum of 50.0%"),
    Case("48 % on 3 000 outcomes", seen(0.48, 3000), "Degraded", "WinRateBelowMinimum", "win rate 48.0% on"),
    Case("40 % on 3 000 outcomes", seen(0.40, 3000), "Critical", "WinRateBelowMinimum", "by more than 5%"),
    Case("52 % on 3 000 outcomes", seen(0.52, 3000), "Healthy", "WithinLimits", "win rate 52.0%"),
    Case("48 % on 300 outcomes is not shown", seen(0.48, 300), "Healthy", "WithinLimits", "not shown to be under"),
    Case("a lower minimum", seen(0.45, 3000), "Healthy", "WithinLimits", "40.0%", {"min_win_rate": 0.4}),
    Case("more outcomes asked for", seen(0.45, 3000), "Unknown", "NotEnoughOutcomes", "4000", {"min_outcomes": 4000}),
    Case("a reward is not looked at unless asked for", rewarded(-0.5), "Healthy", "WithinLimits", "win rate"),
    Case(
        "the reward is poor",
        rewarded(-0.06),
        "Degraded",
        "RewardBelowMinimum",
        "reward -0.06",
        {"min_average_reward": 0.0},
    ),
    Case(
        "the reward is poorer still",
        rewarded(-0.2),
        "Critical",
        "RewardBelowMinimum",
        "a tenth of a standard deviation",
        {"min_average_reward": 0.0},
    ),
    Case("the reward is fine", rewarded(0.1), "Healthy", "WithinLimits", "win rate", {"min_average_reward": 0.0}),
    Case(
        "a minimum reward without rewards is unknown",
        seen(0.52, 3000),
        "Unknown",
        "NotEnoughRewards",
        "minAverageReward needs 200",
        {"min_average_reward": 0.0},
    ),
    Case(
        "a poor win rate is said even so",
        seen(0.45, 3000),
        "Degraded",
        "WinRateBelowMinimum",
        "45.0%",
        {"min_average_reward": 0.0},
    ),
    Case("says 70 %, half comes true", scored(0.7, 0.5), "Degraded", "CalibrationPoor", "over the maximum of 0.100"),
    Case("says 55 %, half comes true", scored(0.55, 0.5), "Healthy", "WithinLimits", "win rate"),
    Case(
        "calibration may be held tighter",
        scored(0.57, 0.5),
        "Degraded",
        "CalibrationPoor",
        "Spiegelhalter's Z",
        {"max_calibration_error": 0.03},
    ),
    Case("says 70 %, and 70 % comes true", scored(0.7, 0.7), "Healthy", "WithinLimits", "win rate"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_health(case: Case) -> None:
    status = decide_health(Health(**case.spec), INDEPENDENT, case.look, "m-v1", SINCE, NOW, None)
    assert (status.state, status.reason) == (case.state, case.reason)
    assert case.message in status.message
    assert "\n" not in status.message
    assert (status.version, status.window_from, status.window_until) == ("m-v1", SINCE, NOW)


def test_poor_calibration_does_not_escalate_a_poor_win_rate() -> None:
    look = seen(0.45, 3000, scores=np.full(3000, 0.8))
    status = decide_health(Health(), INDEPENDENT, look, "m-v1", SINCE, NOW, None)
    assert (status.state, status.reason) == ("Degraded", "WinRateBelowMinimum")


def test_figures_stand_in_the_status() -> None:
    rewards = np.tile([2.0, -1.0], 1000)
    wins = np.tile([True, False], 1000)
    look = health_look(wins, contract=INDEPENDENT, rewards=rewards, scores=np.full(2000, 0.6), overdue=3)
    status = decide_health(Health(), INDEPENDENT, look, "m-v1", SINCE, NOW, None)
    assert status.win_rate is not None
    assert status.win_rate.outcomes == 2000
    assert status.win_rate.lower < status.win_rate.value == 0.5 < status.win_rate.upper
    assert (status.average_reward, status.profit_factor, status.mean_confidence) == (0.5, 2.0, 0.6)
    assert (status.brier, status.calibration_error) == (0.26, 0.1)
    assert (status.samples, status.resolved, status.overdue, status.late) == (2003, 2000, 3, 0)
    assert status.evidence_until == NOW - INDEPENDENT.label_delay


def test_no_loss_is_no_infinite_profit_factor() -> None:
    look = seen(0.5, 1000, rewards=np.ones(1000))
    assert decide_health(Health(), INDEPENDENT, look, "m-v1", SINCE, NOW, None).profit_factor is None


def test_the_bound_shown_is_the_bound_decided_by() -> None:
    for wins in range(400, 560, 4):
        status = decide_health(Health(), INDEPENDENT, seen(wins / 1000, 1000), "m-v1", SINCE, NOW, None)
        assert status.win_rate is not None
        assert (status.state == "Healthy") == (status.win_rate.upper >= 0.5)


def test_rows_that_share_outcomes_are_not_counted_as_trials() -> None:
    """The same 3 000 rows, ten to an outcome: not enough to say anything of 48 %."""
    outcomes = np.repeat(np.random.default_rng(9).permutation(np.arange(300) < 144), 10)
    status = decide_health(Health(), CONTRACT, health_look(outcomes), "m-v1", SINCE, NOW, None)
    assert status.win_rate is not None
    assert status.win_rate.effective_outcomes < 330
    assert status.state in ("Healthy", "Unknown")


def _on_the_line() -> HealthLook:
    """A win rate whose upper bound is under 50 % at 90 %, and not at 95 %."""
    return seen(0.475, 1000)


PREVIOUS = HealthStatus(state="Degraded", reason="WinRateBelowMinimum", version="m-v1")


@pytest.mark.parametrize(
    ("previous", "state"),
    [
        pytest.param(None, "Healthy", id="on the line, a version that was well stays so"),
        pytest.param(PREVIOUS, "Degraded", id="on the line, a version that was flagged stays so"),
        pytest.param(
            PREVIOUS.model_copy(update={"version": "m-v0"}), "Healthy", id="another version's state is none of its own"
        ),
        pytest.param(PREVIOUS.model_copy(update={"state": "Unknown"}), "Healthy", id="not having known is no flag"),
    ],
)
def test_a_figure_on_the_line_does_not_flap(previous: HealthStatus | None, state: HealthState) -> None:
    status = decide_health(Health(), INDEPENDENT, _on_the_line(), "m-v1", SINCE, NOW, previous)
    assert status.state == state
    well = decide_health(Health(), INDEPENDENT, seen(0.51, 1000), "m-v1", SINCE, NOW, previous)
    assert well.state == "Healthy"
