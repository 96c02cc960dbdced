"""Was it right to promote? The version before scores beside its successor, and its evidence may bring it back.

It is the canary's bet with the sides exchanged: the version before has to be shown better than the one that serves. So
a successor that is no worse is taken back with probability α at most, however often one looks.
"""

from datetime import datetime

from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import Evidence, ModelDeploymentStatus, PreviousStatus
from perennial.domain.canary_evidence import threshold_of


def warm_previous(status: ModelDeploymentStatus, now: datetime) -> PreviousStatus | None:
    """The version before, for as long as it scores beside the stable one."""
    previous = status.previous
    return previous if previous and previous.warm_until and now < previous.warm_until else None


def decide_rollback(spec: ModelDeploymentSpec, evidence: Evidence) -> str | None:
    """Why the version before should serve again, in one sentence with the figures; None: it should not, so far.

    Args:
        evidence: of the version before against the stable one, since it was replaced.
    """
    threshold = threshold_of(spec.canary)
    if evidence.e_value < threshold or evidence.effective_pairs < spec.rollback.min_pairs:
        return None
    mean = f"{evidence.utility_difference:+.3f}" if evidence.utility_difference is not None else "unknown"
    return (
        f"utility difference {mean} on {evidence.effective_pairs:.0f} effective pairs ({evidence.pairs} in "
        f"{evidence.blocks} complete blocks), evidence {evidence.e_value:.3g} that it was better, "
        f"the threshold is {threshold:.3g}"
    )
