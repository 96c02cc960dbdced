"""`make simulate` itself: intervals, judgements, the work's division, the page, and each simulation in miniature."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from tests.simulate.page import Run, write_page
from tests.simulate.promise import (
    Aim,
    Case,
    Computed,
    Estimate,
    Finding,
    Frequency,
    Promise,
    Quantile,
    Share,
    worst_figures,
)
from tests.simulate.promises import CHALLENGERS
from tests.simulate.running import batches_of, run

SELDOM, MOSTLY = Aim("at most", 0.05), Aim("at least", 0.9)


def coins(probability: float, *, runs: int, seed: int) -> Share:
    return Share(int(np.random.default_rng(seed).binomial(runs, probability)), runs)


def promise(*cases: Case, name: str = "coins") -> Promise:
    return Promise(name, f"On {name}, at most 5 %", "It is promised.", "It is simulated.", cases)


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_interval_of_a_share_is_scipys_exact_one(hits: int, rest: int) -> None:
    if hits + rest:
        found, known = Share(hits, hits + rest).estimate(), binomtest(hits, hits + rest).proportion_ci(0.95)
        assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=1e-9)


def test_the_interval_of_a_frequency_is_garwoods() -> None:
    """Ten events: 4.80 to 18.39, as in his table."""
    found = Frequency(10, 20.0).estimate()
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 4.795 / 20, 18.390 / 20), abs=1e-4)
    assert Frequency(0, 1.0).estimate().low == 0


def test_the_interval_of_a_median_holds_it_in_95_of_100_cases() -> None:
    rng, trials = np.random.default_rng(1), 2000
    found = [Quantile(tuple(rng.exponential(size=101).tolist())).estimate() for _ in range(trials)]
    held = sum(one.low <= np.log(2) <= one.high for one in found)
    assert binomtest(held, trials).proportion_ci(0.99).high >= 0.95
    assert held / trials < 0.98


def test_what_never_came_is_in_a_median_too() -> None:
    assert Quantile((1.0, inf, inf)).estimate().value == inf
    assert Quantile((1.0, 2.0, inf)).estimate() == Estimate(2.0, -inf, inf, 3)


@pytest.mark.parametrize(
    ("aim", "low", "high", "judgement"),
    [
        pytest.param(SELDOM, 0.01, 0.05, "kept", id="all of it under the aim"),
        pytest.param(SELDOM, 0.04, 0.06, "undecided", id="on both sides"),
        pytest.param(SELDOM, 0.051, 0.06, "missed", id="all of it over"),
        pytest.param(MOSTLY, 0.9, 0.95, "kept", id="power: all of it over the aim"),
        pytest.param(MOSTLY, 0.8, 0.91, "undecided", id="power: on both sides"),
        pytest.param(MOSTLY, 0.8, 0.89, "missed", id="power: all of it under"),
        pytest.param(None, 0.0, 1.0, "told", id="nothing is promised"),
    ],
)
def test_an_interval_decides(aim: Aim | None, low: float, high: float, judgement: str) -> None:
    case = Case("c", partial(coins, 0.1), 1, aim)
    assert Finding(case, Estimate((low + high) / 2, low, high, 100)).judgement == judgement


def test_findings_depend_on_the_seed_and_not_on_the_number_of_processes() -> None:
    promises = (promise(Case("a", partial(coins, 0.3), 1050), Case("b", partial(coins, 0.3), 90)),)
    one, many, other = (
        run(promises, seed=seed, executor=ThreadPoolExecutor(workers)) for workers, seed in ((1, 7), (4, 7), (4, 8))
    )
    assert one == many != other
    assert [finding.estimate.size for finding in one["coins"]] == [1050, 90]
    assert one["coins"][0].estimate.value != one["coins"][1].estimate.value, "each case has a seed of its own"


@given(st.integers(1, 2000), st.integers(1, 300), st.floats(0.001, 3))
def test_batches_are_all_the_runs(runs: int, batch: int, scale: float) -> None:
    work = batches_of((promise(Case("a", partial(coins, 0.3), runs, batch=batch)),), scale)
    assert sum(one.runs for one in work) == max(1, int(np.ceil(runs * scale)))
    assert all(0 < one.runs <= batch for one in work)
    assert len({one.seed(1) for one in work}) == len(work)


def test_what_is_done_is_told_and_a_failure_is_not_swallowed() -> None:
    def broken(*, runs: int, seed: int) -> Share:
        raise RuntimeError("broken")

    told: list[float] = []
    run((promise(Case("a", partial(coins, 0.3), 400)),), executor=ThreadPoolExecutor(2), watcher=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]
    with pytest.raises(RuntimeError, match="broken"):
        run((promise(Case("a", broken, 400)),), executor=ThreadPoolExecutor(2))


def test_the_page_says_what_was_measured_and_what_was_missed() -> None:
    kept = promise(Case("fair", partial(coins, 0.01), 2000, SELDOM, figure="evidence.coins"), name="fair coins")
    missed = promise(
        Case("loaded", partial(coins, 0.2), 2000, SELDOM, note="known", figure="evidence.coins"),
        Case("by formula", lambda *, runs, seed: Computed(1234.0), 1, unit="rows"),
        name="loaded coins",
    )
    promises = (kept, missed)
    findings = run(promises, executor=ThreadPoolExecutor(1))
    page = write_page(promises, findings, Run(date(2026, 1, 2), 5, 120.0, 2, "a machine"))
    assert "2026-01-02, seed 5: 2 minutes with 2 processes on a machine." in page
    assert "| [On fair coins, at most 5 %](#on-fair-coins-at-most-5-) | 1 of 1 |" in page
    assert "| [On loaded coins, at most 5 %](#on-loaded-coins-at-most-5-) | **0 of 1** |" in page
    assert "| 2,000 | at most 5% | **missed** | known |" in page
    assert "| by formula | 1,234 rows | computed |  |  |  |  |" in page
    found = findings["loaded coins"][0].estimate.value
    assert worst_figures([one for some in findings.values() for one in some]) == {"evidence.coins": (found, "share")}


@pytest.mark.parametrize("promise", [pytest.param(one, id=one.name) for one in CHALLENGERS])
def test_each_promise_can_be_simulated(promise: Promise) -> None:
    """Two runs of each case; what they come to says nothing."""
    assert len({case.name for case in promise.cases}) == len(promise.cases)
    for case in promise.cases:
        estimate = case.simulate(runs=2, seed=1).estimate()
        assert estimate.low <= estimate.value <= estimate.high
        assert case.figure == "" or case.aim is not None
