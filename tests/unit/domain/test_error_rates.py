"""The error rates of a single look that the design promises, by simulation, with their binomial confidence intervals.

Outcomes overlap: a prediction an hour whose outcome takes five, so neighbours share up to four fifths of it.
Everything is seeded, so a failure is a change of the rules, never bad luck.
"""

from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from tests.simulate.streams import overlapping_targets, runs
from tests.unit.domain.worlds import CONTRACT, HOUR, NOW, health_look

from perennial.api.model_deployment import Health
from perennial.api.model_deployment_status import HealthStatus
from perennial.domain.blocks import pair_block_seconds, settlement_lag
from perennial.domain.canary_evidence import wealth_path
from perennial.domain.health import decide_health
from perennial_contract.samples import SampleContract

SINCE = NOW - timedelta(days=30)
INDEPENDENT = SampleContract(label_delay=timedelta(minutes=20))
PAIR_SECONDS = pair_block_seconds(CONTRACT.label_delay, timedelta(days=60))
LAG = settlement_lag(CONTRACT.label_delay, PAIR_SECONDS)
LEANINGS = [
    pytest.param(1.0, id="a side thrown anew each hour"),
    pytest.param(8.0, id="a side kept for eight hours"),
    pytest.param(1e9, id="always the same side"),
]


def at_most(hits: int, trials: int, promised: float) -> bool:
    """Whether the promise lies within, or above, the 99 % interval of what was seen."""
    return bool(binomtest(hits, trials).proportion_ci(0.99).low <= promised)


def flagged(status: HealthStatus) -> bool:
    return status.state in ("Degraded", "Critical")


def look_at(wins: NDArray[np.bool_], contract: SampleContract, spec: Health, step: timedelta = HOUR) -> HealthStatus:
    look = health_look(wins, contract=contract, step=step)
    return decide_health(spec, contract, look, "m-v1", SINCE, NOW, None)


@pytest.mark.parametrize("leaning", LEANINGS)
def test_a_look_flags_a_model_at_its_minimum_one_time_in_twenty(leaning: float) -> None:
    rng, trials = np.random.default_rng(21), 400
    wins = overlapping_targets(rng, 1440, 5, trials) == runs(rng, 1440, leaning, trials)
    seen = [look_at(row, CONTRACT, Health(min_outcomes=100)) for row in wins]
    assert all(status.state != "Unknown" for status in seen)
    assert at_most(sum(map(flagged, seen)), trials, 0.05)


def test_rows_taken_for_trials_would_flag_far_more_often() -> None:
    """The same outcomes with a label delay of minutes declared: this is what blocks are for."""
    rng, trials = np.random.default_rng(21), 60
    wins = overlapping_targets(rng, 1440, 5, trials) == runs(rng, 1440, 1e9, trials)
    naive = [look_at(row, INDEPENDENT, Health(min_outcomes=100)) for row in wins]
    assert not at_most(sum(map(flagged, naive)), trials, 0.05)


@pytest.mark.parametrize(
    ("win_rate", "enough", "step"),
    [
        pytest.param(0.45, 280, timedelta(minutes=20), id="45 % needs 280"),
        pytest.param(0.48, 1700, timedelta(minutes=5), id="48 % needs 1 700"),
    ],
)
def test_independent_outcomes_that_a_poor_model_needs(win_rate: float, enough: int, step: timedelta) -> None:
    """As many as the design names show it in one look of two, twice as many in about three of four, half rarely."""
    rng, trials = np.random.default_rng(22), 160

    def power(outcomes: int) -> float:
        rows = rng.random((trials, outcomes)) < win_rate
        spec = Health(min_outcomes=100)
        return sum(flagged(look_at(row, INDEPENDENT, spec, step)) for row in rows) / trials

    half, exact, double = power(enough // 2), power(enough), power(2 * enough)
    assert half < 0.4
    assert 0.4 < exact < 0.6
    assert double > 0.65


def canary_paths(leaning: float, edge: float, trials: int, hours: int, seed: int) -> NDArray[np.float64]:
    """(looks, trials): evidence after each block of canaries that disagree with the stable version all the time.

    ``leaning`` is how long the canary keeps the side that the stable version is not on; with probability ``edge`` it
    is right for sure, else it knows nothing.
    """
    rng = np.random.default_rng(seed)
    right = overlapping_targets(rng, hours, 5, trials) == runs(rng, hours, leaning, trials)
    right |= rng.random((trials, hours)) < edge
    ids, starts, sizes = np.unique(np.arange(hours) * 3600 // PAIR_SECONDS, return_index=True, return_counts=True)
    results = np.add.reduceat(np.where(right, 1.0, -1.0), starts, axis=1).T / sizes[:, np.newaxis]
    return wealth_path(ids.tolist(), results, sizes.astype(float), LAG)


@pytest.mark.parametrize("leaning", LEANINGS)
def test_an_equal_canary_passes_or_fails_one_time_in_twenty_however_often_it_is_looked_at(leaning: float) -> None:
    trials = 1000
    paths = canary_paths(leaning, 0.0, trials, 1440, seed=31)
    assert at_most(int((paths >= 20).any(axis=0).sum()), trials, 0.05)


def test_evidence_stays_fair_on_average_with_overlapping_outcomes() -> None:
    """The mean of an e-value under equality is 1; where outcomes were used before they are known it would grow."""
    final = canary_paths(8.0, 0.0, 2000, 300, seed=32)[-1]
    assert final.mean() <= 1 + 3 * final.std() / np.sqrt(len(final))


@pytest.mark.parametrize(
    ("leaning", "edge", "hours", "power"),
    [
        pytest.param(1.0, 0.15, 600, 0.75, id="57.5 % of disagreements won, sides thrown anew: 600 pairs"),
        pytest.param(8.0, 0.15, 1440, 0.65, id="57.5 % of disagreements won, sides kept eight hours: 1 440 pairs"),
        pytest.param(1.0, 0.05, 4000, 0.6, id="52.5 % of disagreements won, sides thrown anew: 4 000 pairs"),
    ],
)
def test_a_better_canary_passes(leaning: float, edge: float, hours: int, power: float) -> None:
    trials = 150
    paths = canary_paths(leaning, edge, trials, hours, seed=33)
    passed = int((paths >= 20).any(axis=0).sum())
    assert binomtest(passed, trials).proportion_ci(0.99).high >= power
    assert passed / trials >= power - 0.1
