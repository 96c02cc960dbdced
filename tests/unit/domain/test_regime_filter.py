"""The filter that trainer and operator share, and the states that are held in it."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.regimes import DEVIATIONS, STAYS, path, profile

from perennial_contract.profile import RegimeState
from perennial_contract.regime import filter_states, hold_states

numbers = st.floats(allow_nan=True, allow_infinity=True, width=64)
shares = st.floats(0, 1)
rows = st.tuples(shares, shares, shares)
states = st.tuples(st.floats(-1e6, 1e6), st.floats(min_value=5e-324, max_value=1e300))


@given(values=st.lists(numbers, max_size=60), transition=st.tuples(rows, rows, rows), fitted=st.tuples(*[states] * 3))
def test_probabilities_are_some_whatever_the_points_and_the_fit(
    values: list[float],
    transition: tuple[tuple[float, ...], ...],
    fitted: tuple[tuple[float, float], ...],
) -> None:
    described = tuple(RegimeState(name=str(i), mean=mean, deviation=d) for i, (mean, d) in enumerate(fitted))
    found = filter_states(profile(transition=transition, states=described), values)
    assert len(found) == len(values)
    for point in found:
        assert sum(point) == pytest.approx(1)
        assert all(0 <= p <= 1 for p in point)
    assert all(state is None or point[state] >= 0.5 for state, point in zip(hold_states(found), found, strict=True))


@given(values=st.lists(st.floats(-5, 5), min_size=1, max_size=40), later=st.lists(st.floats(-5, 5), max_size=20))
def test_what_comes_later_changes_nothing_before(values: list[float], later: list[float]) -> None:
    assert filter_states(profile(), values + later)[: len(values)] == filter_states(profile(), values)


def test_two_points_by_hand() -> None:
    """Bayes' rule, written out."""
    found = filter_states(profile(transition=((0.9, 0.1, 0.0), (0.1, 0.9, 0.0), (0.0, 0.0, 1.0))), [0.2, -4.0])
    density = [[math.exp(-((x / d) ** 2) / 2) / d for d in DEVIATIONS] for x in (0.2, -4.0)]
    first = [p / sum(density[0]) for p in density[0]]
    expected = (0.9 * first[0] + 0.1 * first[1], 0.1 * first[0] + 0.9 * first[1], first[2])
    second = [p * q for p, q in zip(expected, density[1], strict=True)]
    assert found[0] == pytest.approx(first)
    assert found[1] == pytest.approx([p / sum(second) for p in second])


def test_it_begins_where_the_chain_stays_in_the_long_run() -> None:
    """Balance: 0.01 × Calm = 0.01 × Normal, 0.01 × Normal = 0.02 × Turbulent."""
    assert filter_states(profile(), [math.nan]) == [pytest.approx((2 / 5, 2 / 5, 1 / 5))]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e101])
def test_a_value_that_is_no_measurement_lets_time_go_by(value: float) -> None:
    calm = filter_states(profile(), [0.0] * 50)[-1]
    after = filter_states(profile(), [0.0] * 50 + [value])[-1]
    assert after == pytest.approx([sum(p * row[j] for p, row in zip(calm, STAYS, strict=True)) for j in range(3)])


@pytest.mark.parametrize("value", [1e100, -1e100, 1e60])
def test_a_value_far_from_all_is_the_widest_state_s(value: float) -> None:
    assert filter_states(profile(), [*path(("Normal", 100)), value])[-1][2] == pytest.approx(1)


def test_a_state_that_cannot_be_reached_is_not_entered() -> None:
    closed = profile(transition=((0.9, 0.1, 0.0), (0.1, 0.9, 0.0), (0.5, 0.5, 0.0)))
    assert filter_states(closed, [0.1] * 5 + [500.0])[-1] == pytest.approx((0.0, 1.0, 0.0))


def test_a_filter_forgets_where_it_began() -> None:
    values = path(("Normal", 400), ("Turbulent", 200), ("Calm", 400), seed=3)
    whole = filter_states(profile(), values)
    for start in range(0, 900, 50):
        part = filter_states(profile(), values[start:])
        for late, early in zip(part[100:], whole[start + 100 :], strict=True):
            assert late == pytest.approx(early, abs=1e-4)


def test_a_state_is_entered_above_80_percent_and_left_below_50() -> None:
    calm = [0.5, 0.8, 0.81, 0.6, 0.5, 0.49, 0.7, 0.81]
    points = [(p, 1 - p) for p in calm]
    assert hold_states(points) == [None, None, 0, 0, 0, None, None, 0]
    assert hold_states([(0.9, 0.1), (0.1, 0.9)]) == [0, 1], "straight from one into the other"


def test_the_states_of_a_path_are_found() -> None:
    spells = [("Calm", 300), ("Turbulent", 300), ("Normal", 300)]
    held = hold_states(filter_states(profile(), path(*spells)))
    for first, state in ((0, 0), (300, 2), (600, 1)):
        assert held[first + 50 : first + 300].count(state) > 0.95 * 250


def test_the_order_of_states_is_no_matter() -> None:
    order = [2, 0, 1]
    random.Random(1).shuffle(order)
    one, values = profile(), path(("Calm", 50), ("Turbulent", 50))
    other = profile(
        states=tuple(one.states[i] for i in order), transition=tuple(tuple(STAYS[i][j] for j in order) for i in order)
    )
    for ours, theirs in zip(filter_states(one, values), filter_states(other, values), strict=True):
        assert theirs == pytest.approx([ours[i] for i in order])
