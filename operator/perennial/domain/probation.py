"""Was it right to promote? The version before scores beside its successor, and its evidence may bring it back.

It is the canary's bet with the sides exchanged: the version before has to be shown better than the one that serves. So
a successor that is no worse is taken back with probability α at most, however often one looks.
"""

from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import Evidence
from perennial.domain.canary_evidence import threshold_of
from perennial.domain.rollout_draft import Draft
from perennial.domain.traffic import warm_previous


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


def heed_probation(draft: Draft) -> bool:
    """A promotion that evidence speaks against is taken back; what was rolled back comes out again only as another
    version, trained anew."""
    previous, evidence, stable = (
        warm_previous(draft.status, draft.world.now),
        draft.world.probation,
        draft.status.stable,
    )
    if previous is None or evidence is None or stable is None or draft.status.incoming:
        return False
    draft.set(previous=previous.model_copy(update={"evidence": evidence}))
    target, why = draft.world.version(previous.version, previous.uid), decide_rollback(draft.spec, evidence)
    if why is None or target is None or not target.servable:
        return False
    draft.end_canary("Superseded", "ChampionChanged", f"{stable.version}, its champion, is rolled back")
    draft.bring_in(target, "Rollback", f"{previous.version} serves again in place of {stable.version}: {why}")
    return True
