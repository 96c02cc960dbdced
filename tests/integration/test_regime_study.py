"""Regimes along the S&P 500 shares of the example, walked forward: the crises of the time start trainings."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.simulate.regime import market_of, study_regimes

from perennial.commands.example import sp500
from perennial.commands.example.fetch import fetch

SUSTAINED = timedelta(days=30)
"""As in manifests/examples/replay/sp500-policy.yaml."""


@pytest.mark.parametrize(
    ("since", "until", "crises"),
    [
        (2000, 2003, ["2000-02", "2001-03", "2002-06"]),
        (2007, 2009, ["2008-09"]),
        (2019, 2021, ["2020-02"]),
    ],
)
def test_a_crisis_is_a_change_of_regime(since: int, until: int, crises: list[str]) -> None:
    at, mean = market_of(fetch(sp500.PACKAGE))
    years = (datetime(year, 1, 1, tzinfo=UTC) for year in (since, until))
    found = study_regimes(at, mean, SUSTAINED, since=next(years), until=next(years), look_every=3)
    turbulent = [f"{change.began:%Y-%m}" for change in found.changes if change.came == "Turbulent"]
    assert turbulent == crises
    assert all(change.fired - change.began >= SUSTAINED for change in found.changes)
    assert set(found.methods) == {"MarkovSwitching"}
