"""Is the model getting better or worse? Asked of the two halves of its window."""

from collections.abc import Sequence

from perennial.api.model_deployment import Health
from perennial.api.model_deployment_status import TrendState
from perennial.domain.blocks import Ratio, ratio_of
from perennial.domain.evidence import BlockRow
from perennial.domain.sliding import HYSTERESIS, sliding_level
from perennial.domain.statistics import two_proportion_z

TREND_CONFIDENCE = 0.975
"""Of each side, at least: the test looks both ways."""
HALVES_SLOPE = 3.0
"""As the window slides, outcomes leave it, come in, and change sides: the halves' difference forgets itself so fast."""


def decide_trend(spec: Health, blocks: Sequence[BlockRow], before: TrendState = "Unknown") -> TrendState:
    """Two-proportion test on effective counts; each half needs half of minOutcomes, else Unknown.

    A steady model is said to decline once in falseAlarmEvery at most, and to improve as seldom; what it was said to do
    ``before`` is over where the difference is no longer near that.
    The halves are of the time that has outcomes: a version younger than the window is not compared with a void.
    """
    if not blocks:
        return "Unknown"
    middle = (blocks[0].block + blocks[-1].block) / 2
    first = _win_rate([block for block in blocks if block.block <= middle])
    second = _win_rate([block for block in blocks if block.block > middle])
    if first is None or second is None:
        return "Unknown"
    counts = [half.effective(half.value * (1 - half.value)) for half in (first, second)]
    if min(counts) < spec.min_outcomes / 2:
        return "Unknown"
    z = two_proportion_z(first.value, counts[0], second.value, counts[1])
    level = sliding_level(spec.window / spec.false_alarm_every, slope=HALVES_SLOPE, confidence=TREND_CONFIDENCE)
    found: TrendState = "Improving" if z > 0 else "Declining"
    return found if abs(z) > level - HYSTERESIS * (before == found) else "Stable"


def _win_rate(blocks: Sequence[BlockRow]) -> Ratio | None:
    return ratio_of([b.block for b in blocks], [b.wins for b in blocks], [b.acted for b in blocks])
