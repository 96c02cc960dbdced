"""Regimes as they are fitted: states that are found again, the same each time, and a cut where nothing converges."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial_contract.profile import RegimeProfile
from perennial_contract.regime import filter_states, hold_states
from perennial_contract.task import RegimeRule
from perennial_trainer.markov import cut_terciles, fit_chain, load_model
from perennial_trainer.reading import FloatArray
from perennial_trainer.regime import MOST_POINTS, fit_regime
from perennial_trainer.series import Series

RULE = RegimeRule(column="ret_1", lookback=1000)
STAYS = np.array([[0.98, 0.02, 0.0], [0.02, 0.97, 0.01], [0.0, 0.04, 0.96]])
DEVIATIONS = np.array([0.005, 0.012, 0.035])


def walk(points: int, seed: int = 0, last: int | None = None) -> FloatArray:
    """Returns of a market that goes through three regimes; ``last``: the one in which it spends its last 50 points."""
    rng = np.random.default_rng(seed)
    states = np.zeros(points, dtype=np.int64)
    for point in range(1, points):
        states[point] = rng.choice(3, p=STAYS[states[point - 1]])
    if last is not None:
        states[-50:] = last
    return 0.001 - 0.001 * states + DEVIATIONS[states] * rng.normal(size=points)


def fit(values: FloatArray, seed: int = 42, rule: RegimeRule = RULE) -> RegimeProfile | None:
    return fit_regime(rule, Series(np.arange(len(values)) * 3_600_000_000, np.asarray(values, dtype=float)), seed)


def fitted(values: FloatArray, seed: int = 42) -> RegimeProfile:
    found = fit(values, seed)
    assert found is not None
    return found


@pytest.mark.parametrize("last", [0, 1, 2])
def test_the_regimes_of_a_market_are_found_again(last: int) -> None:
    found = fitted(walk(6_000, seed=1, last=last))
    assert (found.method, found.points, found.column) == ("MarkovSwitching", 6_000, "ret_1")
    assert [state.name for state in found.states] == ["Calm", "Normal", "Turbulent"]
    assert [state.deviation for state in found.states] == pytest.approx(DEVIATIONS, rel=0.06)
    assert np.array(found.transition) == pytest.approx(STAYS, abs=0.015)
    assert found.trained_on == ("Calm", "Normal", "Turbulent")[last]
    assert found.until.timestamp() == 5_999 * 3600


def test_the_filter_is_statsmodels_own() -> None:
    """What operator and trainer share, held against the library's at the parameters that were fitted."""
    values = walk(1_500, seed=2)
    found = fitted(values)
    states, transition = found.states, np.array(found.transition)
    parameters = [*transition[:, :-1].T.ravel(), *(s.mean for s in states), *(s.deviation**2 for s in states)]
    theirs = load_model(values, 3).filter(parameters, transformed=True).filtered_marginal_probabilities
    assert np.array(filter_states(found, values.tolist())) == pytest.approx(theirs, abs=1e-4)


def test_the_fit_is_no_less_likely_than_the_library_s() -> None:
    values = walk(1_500, seed=2)
    standard = (values - values.mean()) / values.std()
    found = fit_chain(standard, 2, seed=0)
    assert found is not None
    chain, likelihood = found
    model = load_model(standard, 2)
    ours = model.loglike(np.concatenate([chain.transition[:, :-1].T.ravel(), chain.mean, chain.variance]))
    assert ours == pytest.approx(likelihood)
    assert ours > model.fit(disp=False).llf - 0.05


def test_a_market_of_two_volatilities_has_two_regimes() -> None:
    """A third would hold a point or two, or split one of them."""
    rng = np.random.default_rng(8)
    found = fitted(np.repeat([0.01, 0.05, 0.01], [700, 200, 200]) * rng.normal(size=1_100))
    assert found.method == "MarkovSwitching"
    assert [state.name for state in found.states] == ["Calm", "Turbulent"]
    assert [state.deviation for state in found.states] == pytest.approx([0.01, 0.05], rel=0.1)
    assert found.trained_on == "Calm"


def test_in_between_it_was_trained_on_the_likeliest() -> None:
    """Not on one that was left long ago."""
    rng = np.random.default_rng(4)
    noise = rng.normal(size=1_100) * (rng.random(1_100) < 0.5)
    found = fitted(np.repeat([1.0, 5.0, 1.0], [700, 200, 200]) * noise)
    assert found.method == "VolatilityTerciles"
    assert hold_states(filter_states(found, list(np.repeat([1.0, 5.0, 1.0], [700, 200, 200]) * noise)))[-1] is None
    assert found.trained_on in ("Calm", "Normal")


def test_the_same_seed_gives_the_same_regimes_and_another_one_nearly() -> None:
    values = walk(2_000, seed=3)
    found = fitted(values)
    assert fitted(values) == found
    other = fitted(values, seed=7)
    assert [s.deviation for s in other.states] == pytest.approx([s.deviation for s in found.states], rel=0.03)


def test_the_unit_of_a_series_is_no_matter() -> None:
    values = walk(2_000, seed=3)
    one, other = fitted(values), fitted(values * 1e6)
    assert [s.deviation * 1e6 for s in one.states] == pytest.approx([s.deviation for s in other.states], rel=1e-3)
    assert one.trained_on == other.trained_on


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (walk(999), "no regimes of ret_1: 999 timestamps, 1000 needed"),
        (np.empty(0), "no regimes of ret_1: 0 timestamps, 1000 needed"),
        (np.full(1_500, 0.1), "no regimes of ret_1: it does not vary"),
        (np.zeros(1_500), "no regimes of ret_1: it does not vary"),
    ],
)
def test_where_there_is_no_telling_the_log_says_so(
    values: FloatArray, words: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logging.getLogger("perennial.train")
    monkeypatch.setattr(log, "handlers", [])  # those of a test before, which ran the command
    monkeypatch.setattr(log, "propagate", True)
    with caplog.at_level(logging.INFO, "perennial.train"):
        assert fit(values) is None
    assert caplog.messages == [words]


def test_a_series_that_stands_still_half_of_the_time_is_cut_into_terciles() -> None:
    """A state of nothing but zeros has no deviation, and the likelihood no end."""
    rng = np.random.default_rng(4)
    volatility = np.repeat([0.2, 1.0, 5.0, 1.0, 0.2, 1.0, 5.0, 0.2], 250)
    found = fitted(rng.normal(size=2_000) * volatility * (rng.random(2_000) < 0.5))
    assert found.method == "VolatilityTerciles"
    deviations = [state.deviation for state in found.states]
    assert deviations == sorted(deviations)
    assert deviations[2] > 3 * deviations[0]
    assert all(found.transition[i][i] > 0.9 for i in range(3)), "regimes that last"
    assert found.trained_on == "Calm"


def test_terciles_hold_a_third_each_and_are_left_as_often_as_the_path_leaves_them() -> None:
    values = np.concatenate([np.tile([s, -s], 150) for s in (0.1, 1.0, 10.0)])
    chain = cut_terciles(values, 3)
    assert np.sqrt(chain.variance) == pytest.approx([0.1, 1.0, 10.0], rel=0.05)
    assert chain.transition[0] == pytest.approx([300 / 303, 2 / 303, 1 / 303], rel=1e-9)


def test_a_glitch_does_not_keep_a_series_from_having_regimes() -> None:
    values = walk(2_000, seed=5)
    values[700] = 1e9
    assert [state.name for state in fitted(values).states] == ["Calm", "Normal", "Turbulent"]


def test_no_more_points_are_taken_than_it_has_time_for() -> None:
    values = np.concatenate([np.full(500, 1e6), walk(MOST_POINTS, seed=6)])
    assert fitted(values).points == MOST_POINTS
    assert fitted(values).states[-1].deviation < 0.05


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([1e-90, 1e-12, 1.0, 1e12, 1e90]),
    kind=st.sampled_from(["normal", "walk", "two values", "heavy", "one outlier"]),
)
def test_whatever_the_series_a_fit_ends_with_regimes_that_can_be_filtered(seed: int, scale: float, kind: str) -> None:
    rng = np.random.default_rng(seed)
    made = {
        "normal": lambda: rng.normal(size=1_000),
        "walk": lambda: np.cumsum(rng.normal(size=1_000)),
        "two values": lambda: rng.integers(0, 2, 1_000).astype(float),
        "heavy": lambda: rng.standard_cauchy(1_000),
        "one outlier": lambda: np.where(np.arange(1_000) == 500, 1e8, rng.normal(size=1_000)),
    }
    found = fitted(made[kind]() * scale)
    deviations = [state.deviation for state in found.states]
    assert deviations == sorted(deviations)
    assert np.array(found.transition).sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert sum(filter_states(found, [0.0, scale])[-1]) == pytest.approx(1)
