"""What a version is trained with, fixed at the moment its first Job starts."""

from collections.abc import Sequence
from datetime import datetime

from perennial.adapters.cluster import SECRET
from perennial.api.model_version import ModelVersionStatus, Resolved
from perennial.controllers.context import Context
from perennial.controllers.objects import Model, Version
from perennial.resources import names
from perennial_contract.task import ArtifactRef, Champion, RegimeRule


class BlockedError(Exception):
    """A version cannot be trained as things stand: a reason and a sentence for its condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def resolve_version(
    context: Context, version: Version, model: Model | None, siblings: Sequence[Version], now: datetime
) -> Resolved:
    """Everything that the Job needs.

    Raises:
        BlockedError: something is missing; the message names it and the fix.
    """
    assert version.spec is not None
    wanted = version.spec.model_deployment
    if model is None:
        raise BlockedError("ModelDeploymentNotFound", f"spec.modelDeployment: {wanted}: does not exist: create it")
    spec = model.spec
    if spec is None:
        raise BlockedError("ModelDeploymentInvalid", f"spec.modelDeployment: {wanted}: {model.problem}")
    artifacts = spec.artifacts or context.settings.default_artifacts
    if artifacts is None:
        raise BlockedError(
            "ArtifactStoreMissing",
            f"spec.artifacts of {wanted} is not set and the operator has no default: set spec.artifacts.claimName",
        )
    reference = spec.samples.write_url_from
    secret = await context.cluster.get(SECRET, version.namespace, reference.name)
    if secret is None or reference.key not in secret.get("data", {}):
        raise BlockedError(
            "SecretMissing",
            f"spec.samples.writeUrlFrom of {wanted}: Secret {reference.name} or its key {reference.key!r} is missing: "
            "create it",
        )
    return Resolved(
        revision=next_revision(version, model, siblings),
        algorithm=spec.algorithm,
        samples=spec.samples.contract,
        recorded_by=spec.samples.recorded_by,
        decision=spec.decision,
        artifacts=artifacts,
        training=version.spec.training,
        promotion=version.spec.promotion,
        regime=RegimeRule(column=spec.regime.column, lookback=spec.regime.lookback) if spec.regime else None,
        champion=_champion(model, siblings),
        started_at=now,
        previous_holdout_until=_previous_holdout(siblings),
    )


def next_revision(version: Version, model: Model, siblings: Sequence[Version]) -> int:
    """The one in its name when that is still free, else the next; never reused."""
    others = [s for s in siblings if s.uid != version.uid]
    taken = {s.status.resolved.revision for s in others if s.status.resolved}
    named = names.revision_of(model.name, version.name)
    if named is not None and named not in taken and named > model.status.last_revision:
        return named
    return next_free_revision(model, others)


def next_free_revision(model: Model, versions: Sequence[Version]) -> int:
    """One more than any revision that ever was, and than any that a name reserves."""
    taken = [v.status.resolved.revision for v in versions if v.status.resolved]
    reserved = [names.revision_of(model.name, v.name) or 0 for v in versions]
    return max([model.status.last_revision, *taken, *reserved]) + 1


def _champion(model: Model, siblings: Sequence[Version]) -> Champion | None:
    stable = model.status.stable
    for sibling in siblings:
        if stable and sibling.uid == stable.uid and sibling.status.artifact:
            artifact = sibling.status.artifact
            return Champion(
                name=sibling.name, uid=sibling.uid, artifact=ArtifactRef(uri=artifact.uri, digest=artifact.digest)
            )
    return None


def _previous_holdout(siblings: Sequence[Version]) -> datetime | None:
    """End of the newest holdout that a challenger was judged on, or will be: one in training spends its error too."""
    ends = [end for s in siblings if (end := _holdout_end(s.status)) is not None]
    return max(ends, default=None)


def _holdout_end(status: ModelVersionStatus) -> datetime | None:
    resolved = status.resolved
    if resolved is None or resolved.champion is None:
        return None
    if status.dataset:
        return status.dataset.holdout_until
    return resolved.started_at - resolved.samples.label_delay if status.phase == "Training" else None
