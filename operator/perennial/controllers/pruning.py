"""Which versions may go: the oldest that ended, beyond the limit, and that nothing will be decided from."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import ModelDeploymentStatus
from perennial.api.model_version import ENDED
from perennial.controllers.objects import Version

REMEMBERED = timedelta(days=1)
"""The daily budget counts the trainings of so long."""


def choose_prunable(
    spec: ModelDeploymentSpec, status: ModelDeploymentStatus, versions: Iterable[Version], now: datetime
) -> list[Version]:
    """The oldest ended versions beyond `versionHistoryLimit`.

    Kept all the same: what serves, served last or is pinned; what the daily budget counts; the last that did not fail,
    whose evidence triggers nothing twice; the one with the newest holdout, on which the next verdict's α rests.
    """
    oldest_first = sorted(versions, key=_age)
    kept = {side.uid for side in (status.stable, status.canary, status.incoming, status.previous) if side}
    ended = [
        v
        for v in oldest_first
        if v.uid not in kept and v.name != spec.version and v.status.phase in (*ENDED, "Archived")
    ]
    beyond = ended[: max(0, len(ended) - spec.version_history_limit)]
    sound = [v for v in oldest_first if v.status.phase != "Failed"]
    needed = {v.uid for v in (*sound[-1:], *_last_judged(oldest_first))}
    return [v for v in beyond if v.uid not in needed and now - (v.status.started_at or v.created_at) >= REMEMBERED]


def _age(version: Version) -> tuple[int, datetime]:
    return version.status.resolved.revision if version.status.resolved else 0, version.created_at


def _last_judged(versions: Sequence[Version]) -> list[Version]:
    """Whose holdout reaches furthest, of those that were compared with a champion."""
    judged = [
        (v.status.dataset.holdout_until, v)
        for v in versions
        if v.status.dataset and v.status.dataset.holdout_until and v.status.resolved and v.status.resolved.champion
    ]
    return [max(judged, key=lambda each: each[0])[1]] if judged else []
