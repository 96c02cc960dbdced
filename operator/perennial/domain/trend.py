"""Is the model getting better or worse? Asked of the two halves of its window."""

from collections.abc import Sequence

from perennial.api.model_deployment import Health
from perennial.api.model_deployment_status import TrendState
from perennial.domain.blocks import Ratio, ratio_of
from perennial.domain.evidence import BlockRow
from perennial.domain.statistics import normal_quantile, two_proportion_z

TREND_CONFIDENCE = 0.975
"""Of each side: the test looks both ways."""


def decide_trend(spec: Health, blocks: Sequence[BlockRow]) -> TrendState:
    """Two-proportion test on effective counts; each half needs half of minOutcomes, else Unknown.

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
    if abs(z) <= normal_quantile(TREND_CONFIDENCE):
        return "Stable"
    return "Improving" if z > 0 else "Declining"


def _win_rate(blocks: Sequence[BlockRow]) -> Ratio | None:
    return ratio_of([b.block for b in blocks], [b.wins for b in blocks], [b.acted for b in blocks])
