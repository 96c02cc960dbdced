"""The simulated rivals are what they are said to be."""

import numpy as np
import pytest
from tests.simulate.canary import split_test_requests
from tests.simulate.streams import Rivalry, autoregressive, moving_sums


@pytest.mark.parametrize("overlap", [1, 5, 24])
def test_rivals_win_and_disagree_as_often_as_is_said(overlap: int) -> None:
    bout = Rivalry(overlap, 0.55, 0.594, 0.25).play(np.random.default_rng(overlap), 2000, streams=200, challengers=2)
    assert bout.challengers.shape == (2, 200, 2000)
    for scores, rate in ((bout.champion, 0.55), *((one, 0.594) for one in bout.challengers)):
        assert ((scores >= 0.5) == bout.target).mean() == pytest.approx(rate, abs=0.01)
    for scores in bout.challengers:
        assert ((scores >= 0.5) != (bout.champion >= 0.5)).mean() == pytest.approx(0.25, abs=0.01)
    assert bout.differences().mean() == pytest.approx(0.044, abs=0.01)


def test_scores_are_the_probabilities_that_they_say() -> None:
    bout = Rivalry(1, 0.6, 0.6).play(np.random.default_rng(1), 400_000)
    for low in (0.3, 0.5, 0.7):
        told = (bout.champion >= low) & (bout.champion < low + 0.1)
        assert bout.target[told].mean() == pytest.approx(bout.champion[told].mean(), abs=0.01)


def test_noise_forgets_at_the_rate_that_is_said() -> None:
    noise = autoregressive(np.random.default_rng(2), 500, 0.9, 400)
    assert noise[:, 0].std() == pytest.approx(1, abs=0.1)
    assert noise.std() == pytest.approx(1, abs=0.03)
    assert np.mean(noise[:, 5:] * noise[:, :-5]) == pytest.approx(0.9**5, abs=0.03)


def test_moving_sums_share_what_their_horizons_share() -> None:
    sums = moving_sums(np.random.default_rng(3), 1000, 5, 200)
    assert np.mean(sums[:, 2:] * sums[:, :-2]) == pytest.approx(3, abs=0.1)
    assert np.mean(sums[:, 5:] * sums[:, :-5]) == pytest.approx(0, abs=0.1)


def test_a_split_test_of_equal_halves_needs_what_the_textbook_says() -> None:
    """50 % against 60 %, α 5 % one-sided, power 90 %: z² · (0.25 + 0.24) / 0.1² = 420 a group."""
    assert split_test_requests(0.5, 0.6, 0.5, 0.9) == pytest.approx(2 * 420, abs=1)
