"""Trend, one row a case: the two halves of what was seen."""

import numpy as np
import pytest
from scipy.stats import binomtest
from tests.simulate.streams import overlapping_targets
from tests.unit.domain.worlds import health_look

from perennial.api.model_deployment import Health
from perennial.domain.evidence import BlockRow
from perennial.domain.trend import decide_trend


def halves(first: float, second: float, rows: int = 4000) -> tuple[BlockRow, ...]:
    rng = np.random.default_rng(3)
    early, late = (rng.permutation(np.arange(rows // 2) < rate * rows // 2) for rate in (first, second))
    return health_look(np.concatenate([early, late])).blocks


@pytest.mark.parametrize(
    ("blocks", "trend"),
    [
        pytest.param((), "Unknown", id="nothing seen: unknown"),
        pytest.param(halves(0.55, 0.45), "Declining", id="from 55 % to 45 %: declining"),
        pytest.param(halves(0.45, 0.55), "Improving", id="from 45 % to 55 %: improving"),
        pytest.param(halves(0.50, 0.51), "Stable", id="from 50 % to 51 %: stable"),
        pytest.param(halves(0.55, 0.45, rows=160), "Unknown", id="80 outcomes a half: unknown"),
        pytest.param(halves(0.55, 0.45)[:10], "Unknown", id="a young version: unknown"),
        pytest.param(halves(0.45, 0.55)[-1:], "Unknown", id="one block has no halves: unknown"),
    ],
)
def test_trend(blocks: tuple[BlockRow, ...], trend: str) -> None:
    assert decide_trend(Health(), blocks) == trend


def test_a_steady_model_is_said_to_decline_one_time_in_forty() -> None:
    rng, trials = np.random.default_rng(4), 400
    wins = overlapping_targets(rng, 2000, 5, trials)
    trends = [decide_trend(Health(min_outcomes=100), health_look(row).blocks) for row in wins]
    assert "Unknown" not in trends
    assert binomtest(trends.count("Declining"), trials).proportion_ci(0.99).low <= 0.025
