"""Health, one row a case: what is seen and what is said of it."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.unit.domain.worlds import CONTRACT, NOW, health_look

from perennial.api.model_deployment import Health
from perennial.api.model_deployment_status import CusumStatus, HealthState, HealthStatus, ModelDeploymentStatus
from perennial.domain.evidence import BlockRow, CalibrationBin, HealthLook
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
    Case(
        "the rarer an alarm may be, the surer it has to be",
        seen(0.455, 400),
        "Healthy",
        "WithinLimits",
        "45.5%",
        {"false_alarm_every": timedelta(days=50_000)},
    ),
    Case(
        "and it says how sure it is",
        seen(0.40, 400),
        "Degraded",
        "WinRateBelowMinimum",
        "at 99.96%",
        {"false_alarm_every": timedelta(days=50_000)},
    ),
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
    assert status.perfect_calibration_error is not None
    assert 0 < status.perfect_calibration_error < 0.02
    assert status.spiegelhalter_z is not None
    assert status.spiegelhalter_z > 4
    assert status.cusum is not None
    assert status.cusum.value == 0.0
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

    of_calibration = PREVIOUS.model_copy(update={"reason": "CalibrationPoor"})
    other = decide_health(Health(), INDEPENDENT, _on_the_line(), "m-v1", SINCE, NOW, of_calibration)
    assert other.state == "Healthy", "what is flagged for its calibration is no nearer to a flag for its win rate"


def fallen(to: float, rows: int, of: int = 720) -> HealthLook:
    """A prediction an hour for 30 days, 56 % of them won, and of the newest ``rows`` a share ``to``."""
    wins = np.arange(of) % 25 < 14
    wins[of - rows :] = np.diff(np.floor(to * np.arange(rows + 1))) > 0
    return health_look(wins, contract=INDEPENDENT)


def judged(look: HealthLook, previous: HealthStatus | None = None, **spec: Any) -> HealthStatus:
    return decide_health(Health(**spec), INDEPENDENT, look, "m-v1", SINCE, NOW, previous)


def test_a_fall_is_seen_before_the_window_shows_it_and_it_is_said_when_it_was() -> None:
    status = judged(fallen(0.38, 200))
    assert (status.state, status.reason) == ("Degraded", "WinRateFell")
    assert status.cusum is not None
    assert status.cusum.value is not None
    assert status.cusum.threshold is not None
    assert status.cusum.value >= status.cusum.threshold
    assert abs(status.cusum.since - (NOW - timedelta(hours=200))) < timedelta(hours=8)
    assert f"since {status.cusum.since:%Y-%m-%d %H:%M} UTC" in status.message
    assert "win rate 36." in status.message
    assert status.win_rate is not None
    assert status.win_rate.value > 0.5


def test_what_the_window_says_comes_first() -> None:
    assert judged(fallen(0.2, 720)).state == "Critical"
    assert judged(fallen(0.45, 720)).reason == "WinRateBelowMinimum"


def test_a_fall_is_not_told_from_too_few_outcomes() -> None:
    assert judged(fallen(0.3, 200), min_outcomes=1000).state == "Unknown"


def test_a_model_that_fell_stays_flagged_until_its_sum_has_come_back() -> None:
    flag = HealthStatus(state="Degraded", reason="WinRateFell", version="m-v1")
    halfway, back = fallen(0.42, 200), fallen(0.48, 200)
    assert [judged(look).state for look in (halfway, back)] == ["Healthy", "Healthy"]
    assert [judged(look, flag).state for look in (halfway, back)] == ["Degraded", "Healthy"]


def test_the_cursor_outlives_an_outage_and_is_the_version_s_own() -> None:
    before = judged(fallen(0.4, 100))
    assert before.cusum is not None
    gone = decide_health(Health(), INDEPENDENT, None, "m-v1", SINCE, NOW, before)
    assert gone.cusum == CusumStatus(since=before.cusum.since)
    assert judged(fallen(0.4, 100), gone) == before
    assert decide_health(Health(), INDEPENDENT, None, "m-v2", SINCE, NOW, before).cusum is None


def test_the_sum_goes_on_from_before_the_window() -> None:
    """What the status remembers is where it was last 0; the store tells the rest."""
    look = fallen(0.44, 1000, of=1400)
    inside = [block for block in look.blocks if block.block * look.block_seconds >= SINCE.timestamp()]
    cut = replace(look, blocks=tuple(inside), earlier=look.blocks[: -len(inside)])
    cursor = CusumStatus(since=NOW - timedelta(hours=1000))
    of_window, of_all = judged(cut), judged(cut, HealthStatus(version="m-v1", cusum=cursor))
    assert of_all.cusum is not None
    assert of_window.cusum is not None
    assert of_all.cusum.since < SINCE <= of_window.cusum.since
    assert of_all.cusum.value == pytest.approx(1.1 * (of_all.cusum.threshold or 0))
    assert of_all.win_rate == of_window.win_rate


def test_a_look_that_sees_the_same_says_the_same() -> None:
    for look in (fallen(0.56, 10), fallen(0.38, 200), fallen(0.42, 720), seen(0.5, 0)):
        first = judged(look)
        second = judged(look, first)
        assert judged(look, second) == second


def test_what_wavers_around_the_least_number_of_outcomes_does_not_flap() -> None:
    few, enough, plenty = (seen(0.55, rows) for rows in (180, 215, 240))
    assert [judged(look).state for look in (few, enough, plenty)] == ["Unknown", "Healthy", "Healthy"]
    short = judged(few, judged(enough))
    assert (short.state, short.reason) == ("Unknown", "OutcomesFellShort")
    assert "fewer than there were, 220 are needed to judge again" in short.message
    assert judged(few, short).reason == judged(enough, short).reason == "OutcomesFellShort"
    assert judged(plenty, short).state == "Healthy"


def test_one_block_has_no_sum_and_no_verdict() -> None:
    status = judged(health_look(np.ones(1, dtype=bool), contract=INDEPENDENT))
    assert (status.state, status.cusum) == ("Unknown", None)


outcomes = st.lists(st.booleans(), min_size=2, max_size=400).map(lambda wins: np.array(wins, dtype=bool))
SEVERITY = ("Healthy", "Unknown", "Degraded", "Critical")


@given(outcomes.filter(lambda wins: bool(wins.any())), st.data(), st.booleans())
def test_a_win_turned_into_a_loss_never_heals(wins: NDArray[np.bool_], data: st.DataObject, flagged: bool) -> None:
    """Where outcomes are independent for sure: what they are worth does not depend on them then."""
    worse = wins.copy()
    worse[data.draw(st.sampled_from(np.flatnonzero(wins).tolist()))] = False
    before = PREVIOUS if flagged else None
    spec = {"min_outcomes": 1, "max_calibration_error": 1.0, "false_alarm_every": timedelta(days=1)}
    looks = [health_look(row, contract=INDEPENDENT, step=timedelta(hours=2)) for row in (wins, worse)]
    first, second = (judged(look, before, **spec) for look in looks)
    assert SEVERITY.index(second.state) >= SEVERITY.index(first.state)
    assert first.cusum is not None
    assert second.cusum is not None
    assert (second.cusum.value or 0.0) >= (first.cusum.value or 0.0)


figures = st.one_of(st.just(0.0), st.floats())
block_rows = st.builds(
    lambda block, n, acted, wins, rewarded, sums: BlockRow(
        block, n, min(acted, n), min(wins, acted, n), *sums[:4], min(rewarded, acted, n), *sums[4:]
    ),
    st.integers(-5, 40),
    st.integers(1, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.lists(figures, min_size=10, max_size=10),
)


@given(
    st.lists(block_rows, max_size=30, unique_by=lambda row: row.block),
    st.integers(-5, 40),
    st.integers(-40 * 86400, 40 * 86400),
    st.sampled_from([None, 0.0]),
)
def test_no_input_makes_it_fail(rows: list[BlockRow], cut: int, ahead: int, minimum: float | None) -> None:
    """Constants, one class, NaN and infinities in sums, windows with nothing in them, a clock that goes backwards."""
    ordered = sorted(rows, key=lambda row: row.block)
    look = HealthLook(
        blocks=tuple(row for row in ordered if row.block >= cut),
        earlier=tuple(row for row in ordered if row.block < cut),
        block_seconds=86_400,
        bins=tuple(
            CalibrationBin(i, row.n, row.score_sum, row.wins, row.score_var_sum) for i, row in enumerate(ordered)
        ),
        total=9,
        resolved=9,
        overdue=0,
        late=0,
        newest_resolved=None,
    )
    spec = Health(min_outcomes=1, min_average_reward=minimum)
    status = None
    until = datetime(1970, 2, 1, tzinfo=UTC)
    for moment in (until, until + timedelta(seconds=ahead), until):
        status = decide_health(spec, INDEPENDENT, look, "m-v1", moment - spec.window, moment, status)
        assert status.message
        assert ModelDeploymentStatus(health=status).to_dict()["health"]["state"] == status.state
