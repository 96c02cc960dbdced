"""What is expected of predictions that have no outcome yet."""

from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.model_deployment_status import EarlyEstimate
from perennial.domain.early_estimate import estimate_early
from perennial.domain.evidence import CalibrationBin
from perennial_contract.profile import ScoreProfile
from perennial_contract.samples import Decision

SELECTION = Decision(rule="Selection", threshold=0.6)


def pending(bin_: int, up: list[float] | None = None, down: list[float] | None = None) -> CalibrationBin:
    ups, downs = up or [], down or []
    return CalibrationBin(bin_, 0, 0.0, 0, 0.0, len(ups), sum(ups), len(downs), sum(downs))


def profile(scores: list[float], shares: list[float]) -> ScoreProfile:
    bins = len(scores)
    return ScoreProfile(
        edges=tuple((a + b) / 2 for a, b in pairwise(scores)),
        shares=(1 / bins,) * bins,
        effective_rows=(100.0,) * bins,
        degrees_of_freedom=10.0,
        rows=1000,
        mean_scores=tuple(scores),
        target_shares=tuple(shares),
    )


OVERCONFIDENT = profile([0.2, 0.4, 0.6, 0.8], [0.4, 0.45, 0.55, 0.6])


@pytest.mark.parametrize(
    ("decision", "bins", "scores", "expected"),
    [
        pytest.param(Decision(), [], None, None, id="nothing is pending"),
        pytest.param(Decision(), [CalibrationBin(5, 9, 5.0, 4, 2.0)], None, None, id="all of it has outcomes"),
        pytest.param(Decision(), [pending(7, up=[0.7, 0.7])], None, (0.7, 2, False), id="scores at their word"),
        pytest.param(Decision(), [pending(2, down=[0.2])], None, (0.8, 1, False), id="short wins with the rest"),
        pytest.param(
            Decision(), [pending(2, down=[0.2]), pending(6, up=[0.6] * 3)], None, (0.65, 4, False), id="both sides"
        ),
        pytest.param(Decision(), [pending(8, up=[0.8])], OVERCONFIDENT, (0.6, 1, True), id="as it came true before"),
        pytest.param(Decision(), [pending(7, up=[0.7])], OVERCONFIDENT, (0.575, 1, True), id="half-way between two"),
        pytest.param(Decision(), [pending(9, up=[0.99])], OVERCONFIDENT, (0.6, 1, True), id="beyond what was seen"),
        pytest.param(
            SELECTION, [pending(6, up=[0.6], down=[0.6]), pending(2, down=[0.2])], None, (0.6, 1, False), id="acted on"
        ),
        pytest.param(SELECTION, [pending(2, down=[0.2])], None, None, id="a selection that does not act"),
        pytest.param(Decision(), [pending(5, up=[float("nan")])], None, None, id="a score that is none"),
    ],
)
def test_early_estimate(
    decision: Decision,
    bins: list[CalibrationBin],
    scores: ScoreProfile | None,
    expected: tuple[float, int, bool] | None,
) -> None:
    found = estimate_early(decision, bins, scores)
    if expected is None:
        assert found is None
    else:
        assert found == EarlyEstimate(win_rate=expected[0], predictions=expected[1], calibrated=expected[2])


cells = st.lists(
    st.tuples(st.integers(0, 9), st.lists(st.floats(0, 1), max_size=5), st.lists(st.floats(0, 1), max_size=5)),
    max_size=8,
)


@given(cells, st.sampled_from([None, OVERCONFIDENT, profile([0.5], [0.5])]), st.randoms())
def test_it_is_a_share_and_the_order_of_bins_says_nothing(
    drawn: list[tuple[int, list[float], list[float]]], scores: ScoreProfile | None, dice: Random
) -> None:
    bins = [pending(*cell) for cell in drawn]
    found = estimate_early(Decision(), bins, scores)
    assert found is None or 0 <= found.win_rate <= 1
    dice.shuffle(bins)
    shuffled = estimate_early(Decision(), bins, scores)
    assert (shuffled is None) == (found is None)
    assert shuffled is None or found is None or shuffled.win_rate == pytest.approx(found.win_rate)


def test_an_overconfident_model_s_live_win_rate_is_told_by_how_its_scores_came_true() -> None:
    rng = np.random.default_rng(4)
    said = rng.uniform(0.3, 0.9, 20_000)
    truth = 0.5 + (said - 0.5) / 2
    known = profile([0.3, 0.5, 0.7, 0.9], [0.4, 0.5, 0.6, 0.7])
    bins = [
        pending(
            b, said[(said * 10 // 1 == b) & (said >= 0.5)].tolist(), said[(said * 10 // 1 == b) & (said < 0.5)].tolist()
        )
        for b in range(10)
    ]
    wins = np.where(said >= 0.5, truth, 1 - truth).mean()
    calibrated, raw = estimate_early(Decision(), bins, known), estimate_early(Decision(), bins, None)
    assert calibrated is not None
    assert raw is not None
    assert calibrated.win_rate == pytest.approx(wins, abs=1e-4)
    assert raw.win_rate > wins + 0.05
