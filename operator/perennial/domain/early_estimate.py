"""What win rate is to be expected of predictions whose outcomes are not there yet? A forecast, never evidence."""

from collections.abc import Sequence

import numpy as np

from perennial.api.model_deployment_status import EarlyEstimate
from perennial.domain.evidence import CalibrationBin
from perennial.domain.statistics import significant
from perennial_contract.profile import ScoreProfile
from perennial_contract.samples import Decision


def estimate_early(
    decision: Decision, bins: Sequence[CalibrationBin], profile: ScoreProfile | None
) -> EarlyEstimate | None:
    """Mean probability of a win over what is pending and acted on; None where there is nothing.

    A score's worth is interpolated between the profile's mean scores and the frequencies that came of them, bin by bin;
    without a profile it is the score itself. Long wins with that probability, short with the rest.

    Confidence-based performance estimation (NannyML; the idea: Guillory et al., "Predicting with confidence on unseen
    distributions", ICCV, 2021). It sees a fall that the scores admit to, and none that the model does not know of.
    """
    sides = [(b.pending_up, b.pending_up_sum, True) for b in bins if b.pending_up]
    if decision.rule == "Direction":
        sides += [(b.pending_down, b.pending_down_sum, False) for b in bins if b.pending_down]
    if not sides:
        return None
    counts, sums, long = (np.array(column, dtype=float) for column in zip(*sides, strict=True))
    worth = sums / counts
    calibrated = profile is not None and len(profile.mean_scores) > 0
    if profile is not None and calibrated:
        worth = np.interp(worth, profile.mean_scores, profile.target_shares)
    wins = counts @ np.where(long > 0, worth, 1 - worth)
    if not np.isfinite(wins):
        return None
    return EarlyEstimate(
        win_rate=significant(float(wins) / counts.sum()), predictions=int(counts.sum()), calibrated=calibrated
    )
