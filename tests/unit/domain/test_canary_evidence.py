"""Canary evidence: what counts, what is bet, and what is said of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.domain.worlds import CONTRACT, pair_look

from perennial.api.model_deployment_status import Evidence
from perennial.api.traffic import Canary
from perennial.domain import canary_evidence
from perennial.domain.blocks import pair_block_seconds, settlement_lag
from perennial.domain.canary_evidence import (
    PURSES,
    decide_evidence,
    explain_verdict,
    threshold_of,
    verdict_of,
    wealth_path,
)
from perennial.domain.evidence import PairBlock, PairLook, VersionBlock
from perennial_contract.samples import SampleContract

SECONDS = pair_block_seconds(CONTRACT.label_delay, timedelta(days=60))
FAR = datetime(2100, 1, 1, tzinfo=UTC)
ACTED = SampleContract(label_delay=CONTRACT.label_delay, outcomes="Acted")


def evidence_of(look: PairLook, contract: SampleContract = CONTRACT, until: datetime = FAR) -> Evidence:
    return decide_evidence(contract, look, stable="old", challenger="new", block_seconds=SECONDS, until=until)


def better(share: float, rows: int = 2000, seed: int = 1) -> PairLook:
    """The versions disagree on three rows of ten, and the canary is right on ``share`` of those."""
    rng = np.random.default_rng(seed)
    disagree, right = rng.random(rows) < 0.3, rng.random(rows) < share
    return pair_look(np.where(disagree, np.where(right, 2, -2), 0), SECONDS)


def test_no_pairs_are_no_evidence() -> None:
    assert evidence_of(pair_look(np.array([], dtype=int), SECONDS)) == Evidence()


def test_versions_that_always_agree_are_no_evidence_however_long() -> None:
    evidence = evidence_of(pair_look(np.zeros(3000, dtype=int), SECONDS))
    assert (evidence.pairs, evidence.e_value, evidence.harm, evidence.utility_difference) == (3000, 1.0, 1.0, 0.0)


def test_a_better_canary_gathers_evidence_and_a_worse_one_harm() -> None:
    good, bad = evidence_of(better(0.65)), evidence_of(better(0.35))
    assert good.e_value > 20
    assert good.harm < 1
    assert bad.harm > 20
    assert bad.e_value < 1


def test_figures_stand_in_the_evidence() -> None:
    evidence = evidence_of(better(0.65))
    assert evidence.pairs == 2000
    assert evidence.utility_difference == pytest.approx(0.3 * 2 * 0.3, abs=0.05)
    assert 1000 < evidence.effective_pairs <= 2000
    assert evidence.coverage == 1.0


def test_the_evidence_is_the_wealth_at_the_last_complete_block() -> None:
    look = better(0.55)
    told = [block for block in look.blocks if block.utility_sq]
    results = np.array([2 * block.utility_sum / block.utility_sq for block in told])
    sizes = np.array([block.utility_sq / 2 for block in told])
    path = wealth_path([block.block for block in told], results, sizes, settlement_lag(CONTRACT.label_delay, SECONDS))
    assert evidence_of(look).e_value == pytest.approx(path[-1], rel=1e-5)


def test_harm_is_the_mirror_image_of_evidence() -> None:
    look = better(0.6)
    mirrored = replace(look, blocks=tuple(replace(b, utility_sum=-b.utility_sum) for b in look.blocks))
    assert evidence_of(look).e_value == pytest.approx(evidence_of(mirrored).harm)


def test_a_block_that_still_fills_is_not_bet_on() -> None:
    look = better(0.65)
    last = look.blocks[-1].block
    closes = datetime.fromtimestamp((last + 1) * SECONDS, UTC) + CONTRACT.label_delay
    complete = evidence_of(look, until=closes)
    early = evidence_of(look, until=closes - timedelta(seconds=1))
    assert complete == evidence_of(look)
    assert complete.pairs - early.pairs == look.blocks[-1].n


def test_evidence_is_bounded_however_long_it_grows() -> None:
    """A canary that is always right for 20 000 hours overflows nothing."""
    assert evidence_of(better(1.0, rows=20_000)).e_value == 1e12


@given(
    st.lists(st.tuples(st.integers(1, 5), st.floats(-1, 1), st.floats(0.5, 100)), min_size=1, max_size=60),
    st.integers(1, 6),
    st.sampled_from(np.eye(len(PURSES)).tolist()),
)
@example([(1, -1.0, 1.0)] * 40, 5, [1.0, *[0.0] * (len(PURSES) - 1)])
def test_no_gambler_is_ever_in_debt(blocks: list[tuple[int, float, float]], lag: int, purses: list[float]) -> None:
    """Debts would be lent by the others: their sum could then reach any threshold, more often than one time in 1/α."""
    ids = np.cumsum([gap for gap, _, _ in blocks]).tolist()
    results, sizes = np.array([result for _, result, _ in blocks]), np.array([size for *_, size in blocks])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canary_evidence, "PURSES", np.array(purses))
        path = wealth_path(ids, results, sizes, lag)
    assert (path >= -1e-9 * np.maximum.accumulate(np.abs(path))).all()


def test_the_purses_are_one_together() -> None:
    assert PURSES.sum() == pytest.approx(1)
    assert (PURSES > 0).all()


def test_canaries_may_be_weighed_together() -> None:
    """Each as if it were alone, also where it has no disagreement in a block of another's."""
    rng, lag = np.random.default_rng(3), 5
    ids, results = np.arange(0, 400, 2), rng.uniform(-1, 1, (200, 4))
    sizes = rng.integers(0, 3, (200, 4)).astype(float)
    together = wealth_path(ids.tolist(), results, sizes, lag)
    for one in range(4):
        has = sizes[:, one] > 0
        alone = wealth_path(ids[has].tolist(), results[has, one], sizes[has, one], lag)
        assert together[has, one] == pytest.approx(alone)


@settings(max_examples=25)
@given(st.lists(st.floats(0.5, 50), min_size=1, max_size=7), st.integers(1, 4), st.integers(1, 3))
def test_a_fair_game_makes_no_money_on_average(sizes: list[float], lag: int, gap: int) -> None:
    """Over all outcomes of as many fair coins the mean wealth is exactly what it began with."""
    count = len(sizes)
    games = np.array([[1.0 if game >> i & 1 else -1.0 for game in range(2**count)] for i in range(count)])
    path = wealth_path([gap * i for i in range(count)], games, np.array(sizes), lag)
    assert path.mean(axis=1) == pytest.approx(np.ones(count))


@given(st.lists(st.floats(-1, 1), min_size=8, max_size=30), st.integers(2, 6))
def test_a_stake_depends_on_settled_blocks_alone(results: list[float], lag: int) -> None:
    """Turning a block's result around changes no stake until it is settled, so it shows as a step and no more."""
    turned = list(results)
    turned[3] = -turned[3]
    ids, sizes = range(len(results)), np.ones(len(results))
    before, after = (wealth_path(ids, np.array(r), sizes, lag) for r in (results, turned))
    steps = (after - before)[3 : 3 + lag]
    assert steps == pytest.approx(np.full(len(steps), steps[0]), abs=1e-9)


def test_all_that_is_at_risk_may_be_lost_and_no_more() -> None:
    path = wealth_path(range(200), -np.ones(200), np.ones(200), 5)
    assert 0 <= path[-1] < 0.1 < path[20]


def block(number: int, n: int, utility: int, squares: int, acted: tuple[int, int]) -> PairBlock:
    return PairBlock(number, n, utility, squares, acted[0], 0, acted[1], 0)


def test_a_selection_that_acts_differently_may_differ_by_one_a_sample() -> None:
    """Ten samples on which one acts and the other does not: ±10 at most, so winning them all wins the whole stake."""
    direction = PairLook((block(0, 10, 10, 20, (10, 10)),), (), 10, 10, 10, 10, {"old": 10, "new": 0})
    selection = replace(direction, blocks=(block(0, 10, 10, 10, (4, 6)),))
    assert evidence_of(direction).e_value == evidence_of(selection).e_value > 1


def served(version: str, win_rate: float, blocks: int = 200, acted: int = 12) -> tuple[VersionBlock, ...]:
    rng = np.random.default_rng(7 if version == "old" else 8)
    return tuple(VersionBlock(version, i, acted, acted, int(rng.binomial(acted, win_rate))) for i in range(blocks))


def unpaired(old: float, new: float) -> PairLook:
    blocks = (*served("old", old), *served("new", new))
    return PairLook((), blocks, 0, 2400, 2400, 2400, {"old": 2400, "new": 2400})


def test_without_pairs_versions_are_compared_block_by_block() -> None:
    assert evidence_of(unpaired(0.45, 0.6), ACTED).e_value > 20
    assert evidence_of(unpaired(0.6, 0.45), ACTED).harm > 20
    equal = evidence_of(unpaired(0.5, 0.5), ACTED)
    assert max(equal.e_value, equal.harm) < 20
    assert equal.pairs == 2400


def test_without_pairs_a_block_that_one_version_did_not_act_in_says_nothing() -> None:
    look = unpaired(0.45, 0.6)
    alone = replace(look, unpaired=(*look.unpaired, VersionBlock("new", 900, 50, 50, 50)))
    assert evidence_of(alone, ACTED) == evidence_of(look, ACTED)


def test_with_outcomes_of_all_samples_only_pairs_count() -> None:
    assert evidence_of(unpaired(0.45, 0.6)).pairs == 0


@pytest.mark.parametrize(
    ("evidence", "verdict", "reason", "message"),
    [
        pytest.param(
            Evidence(e_value=25, harm=0.1, effective_pairs=400, utility_difference=0.05),
            "Pass",
            "CanaryBetter",
            "difference +0.050 on 400",
            id="evidence and pairs enough: pass",
        ),
        pytest.param(
            Evidence(e_value=25, harm=0.1, effective_pairs=120),
            "Undecided",
            "NotEnoughPairs",
            "300 effective pairs are needed",
            id="evidence enough, pairs not: undecided",
        ),
        pytest.param(
            Evidence(e_value=19.9, harm=0.1, effective_pairs=4000),
            "Undecided",
            "NotEnoughEvidence",
            "20 is needed",
            id="pairs enough, evidence not: undecided",
        ),
        pytest.param(
            Evidence(e_value=0.01, harm=20.1, effective_pairs=10),
            "Fail",
            "CanaryWorse",
            "20.1 against",
            id="harm needs no minimum: fail",
        ),
        pytest.param(
            Evidence(e_value=30, harm=30, effective_pairs=4000), "Fail", "CanaryWorse", "worse", id="harm comes first"
        ),
        pytest.param(Evidence(), "Undecided", "NotEnoughPairs", "difference unknown", id="nothing yet: undecided"),
    ],
)
def test_verdict(evidence: Evidence, verdict: str, reason: str, message: str) -> None:
    assert verdict_of(Canary(), evidence) == verdict
    said = explain_verdict(Canary(), evidence)
    assert said[0] == reason
    assert message in said[1]


def test_the_threshold_follows_the_confidence() -> None:
    assert threshold_of(Canary()) == pytest.approx(20)
    assert threshold_of(Canary(confidence=0.99)) == pytest.approx(100)
