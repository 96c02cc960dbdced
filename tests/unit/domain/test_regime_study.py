"""Regimes along a made-up market: each change that lasts starts one training, and none that does not."""

from datetime import timedelta

import numpy as np
import pytest
from tests.simulate.regime import DAY, START, made_market, study_regimes, with_flips

SUSTAINED = 30 * DAY
CALM, NORMAL, WILD = 0.004, 0.012, 0.04
HISTORY = [(CALM, 300), (NORMAL, 300), (WILD, 200), (NORMAL, 200), (CALM, 200)]


def test_every_change_that_lasts_starts_one_training() -> None:
    at, mean = made_market([*HISTORY, (CALM, 100), (WILD, 150), (NORMAL, 150), (CALM, 150)], seed=1)
    found = study_regimes(at, mean, SUSTAINED, since=at[1200], look_every=2, refit_every=10 * 365 * DAY)
    assert [(change.left, change.came) for change in found.changes] == [
        ("Calm", "Turbulent"),
        ("Turbulent", "Normal"),
        ("Normal", "Calm"),
    ]
    for change, turn in zip(found.changes, (1300, 1450, 1600), strict=True):
        late = (change.began - START) / DAY - turn
        assert 0 <= late <= 12
        assert SUSTAINED <= change.fired - change.began <= SUSTAINED + 2 * DAY
    assert found.trainings == 4


def test_looking_seldom_finds_the_same_changes_later() -> None:
    at, mean = made_market([*HISTORY, (CALM, 100), (WILD, 150), (NORMAL, 150)], seed=1)
    often, seldom = (
        study_regimes(at, mean, SUSTAINED, since=at[1200], look_every=days, refit_every=10 * 365 * DAY)
        for days in (2, 7)
    )
    assert [(c.left, c.came) for c in seldom.changes] == [(c.left, c.came) for c in often.changes]
    for later, sooner in zip(seldom.changes, often.changes, strict=True):
        assert timedelta(0) <= later.fired - sooner.fired < 7 * DAY


@pytest.mark.parametrize("days", [3, 10])
def test_flips_that_do_not_last_start_nothing(days: int) -> None:
    """Though it takes a filter ten days and more to be sure that one is over."""
    at, mean = made_market([*HISTORY, (CALM, 600)], seed=2)
    flipping = np.concatenate([mean[:1200], with_flips(mean[1200:], every=50, days=days, scale=10)])
    found = study_regimes(at, flipping, SUSTAINED, since=at[1200], look_every=2)
    assert found.short > 5, "they are seen"
    assert found.changes == ()
