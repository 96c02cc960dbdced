"""The tests behind drift, against textbook values, and properties that hold for whatever comes."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, t
from tests.unit.domain.test_drift import EVEN, SPAN, X, counts, decide, feature, profile, window

from perennial.domain.drift_evidence import ColumnCounts
from perennial.domain.drift_tests import harmonic, population_stability_index, q_values, share_tails, smallest_p

COUNTS = st.lists(st.integers(0, 100_000), min_size=10, max_size=10)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


def test_psi_is_the_textbook_s() -> None:
    expected = (0.3 - 0.5) * math.log(0.3 / 0.5) + (0.7 - 0.5) * math.log(0.7 / 0.5)
    assert population_stability_index([0.5, 0.5], [0.3, 0.7]) == pytest.approx(expected)


def test_an_empty_bin_is_not_infinitely_far() -> None:
    assert population_stability_index([0.0, 1.0], [0.5, 0.5]) == pytest.approx(
        (0.5 - 1e-4) * math.log(0.5 / 1e-4) + (0.5 - 1.0) * math.log(0.5)
    )


def test_a_tail_is_the_mid_p_binomial_s() -> None:
    high, low = share_tails(0.2, 0.1, 100, 1e9)
    assert high.p_value == pytest.approx(binom.sf(20, 100, 0.1) + binom.pmf(20, 100, 0.1) / 2, rel=0.1)
    assert low.p_value == pytest.approx(binom.cdf(19, 100, 0.1) + binom.pmf(20, 100, 0.1) / 2, rel=0.01)


def test_few_degrees_of_freedom_make_a_tail_thicker() -> None:
    (sure, _), (guessed, _) = share_tails(0.25, 0.1, 100, 1e9), share_tails(0.25, 0.1, 100, 10)
    assert guessed.p_value > 10 * sure.p_value
    assert sure.p_value > 0
    assert guessed.p_value == pytest.approx(float(t.sf(4.5, 10)), rel=0.5)


def test_a_tail_that_could_never_be_significant_is_not_counted() -> None:
    high, low = share_tails(0.3, 0.1, 20, 1e9)
    assert low.attainable == pytest.approx(0.9**20, rel=0.01)
    assert smallest_p([high, low], level=0.05) == high.p_value
    assert smallest_p([high, low], level=0.5) == 2 * high.p_value
    assert smallest_p([], level=0.5) == 1


def test_q_values_are_benjamini_and_yekutieli_s() -> None:
    harmonic_sum = 1 + 1 / 2 + 1 / 3
    assert q_values([0.03, 0.001, 0.5]) == pytest.approx(
        [0.03 * 3 / 2 * harmonic_sum, 0.003 * harmonic_sum, 0.5 * harmonic_sum]
    )
    assert q_values([]) == []


def test_two_numbers_leave_less_than_either() -> None:
    assert harmonic(100, 100) == 50
    assert harmonic(0, 100) == 0


@given(P_VALUES)
def test_q_values_keep_the_order_and_are_never_below_p(p: list[float]) -> None:
    q = q_values(p)
    assert all(0 <= p_i <= q_i + 1e-12 and q_i <= 1 for p_i, q_i in zip(p, q, strict=True))
    for (p_1, q_1), (p_2, q_2) in zip(zip(p, q, strict=True), zip(p[1:], q[1:], strict=True), strict=False):
        assert (p_1 <= p_2) <= (q_1 <= q_2)


@given(P_VALUES, st.randoms(use_true_random=False))
def test_q_values_do_not_depend_on_the_order_of_features(p: list[float], dice: random.Random) -> None:
    order = list(range(len(p)))
    dice.shuffle(order)
    assert q_values([p[i] for i in order]) == pytest.approx([q_values(p)[i] for i in order])


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1e9), st.floats(0.1, 1e9))
def test_a_tail_is_a_probability_whatever_comes(
    share: float, reference: float, effective: float, freedom: float
) -> None:
    for tail in share_tails(share, reference, effective, freedom):
        assert 0 <= tail.p_value <= 1
        assert 0 <= tail.attainable <= 1


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.9), st.floats(0.0, 0.09), st.floats(1, 1e4))
def test_the_farther_a_share_the_smaller_its_p(reference: float, share: float, more: float, effective: float) -> None:
    nearer, farther = (
        share_tails(share, reference, effective, 50)[0],
        share_tails(share + more, reference, effective, 50)[0],
    )
    assert farther.p_value <= nearer.p_value + 1e-12


@given(COUNTS, st.integers(0, 100_000), st.integers(0, 100_000), st.integers(0, 5))
def test_any_counts_give_an_answer(bins: list[int], missing: int, outside: int, empty: int) -> None:
    """Constants, all missing, one bin, none: never an exception, and Drifting only for what is beyond a limit."""
    column = ColumnCounts("x", tuple(bins), missing, min(outside, sum(bins)))
    if sum(bins) + missing == 0:
        column = counts("x")
    one = profile(feature("x"))
    windows = [window(number, column) for number in (10, 11)][empty % 2 :]
    status = decide(one, *windows)
    assert status.state in ("None", "Suspected", "Drifting", "Unknown")
    if status.state == "Drifting":
        assert status.features[0].sign is not None


@given(st.permutations(range(2)), COUNTS)
def test_the_order_of_features_changes_nothing(order: list[int], bins: list[int]) -> None:
    columns = (counts("x", [count + 50 for count in bins]), counts("y", EVEN))
    shuffled = X.model_copy(update={"features": tuple(X.features[i] for i in order)})
    rows = sum(columns[0].bins) + 20
    straight = [window(number, *columns) for number in (10, 11)]
    turned = [type(w)(w.number, rows, w.oldest, w.newest, tuple(columns[i] for i in order), w.scores) for w in straight]
    assert decide(shuffled, *turned) == decide(X, *straight)


def test_a_clock_that_goes_backwards_only_looks_at_older_windows() -> None:
    older = type(SPAN)(SPAN.first - 5, SPAN.count, SPAN.seconds)
    assert decide(X, window(11, counts("x"), counts("y")), span=older).reason == "NoCompleteWindow"
