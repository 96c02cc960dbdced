"""Which policy governs a model."""

from collections.abc import Iterable, Mapping

from perennial.controllers.objects import Policy
from perennial.domain.selector import matches


def governing_policy(policies: Iterable[Policy], labels: Mapping[str, str]) -> Policy | None:
    """Of the valid policies that match a model's labels, the oldest (of one instant the first by name).

    None: nobody retrains it.
    """
    matching = (p for p in policies if p.spec is not None and not p.deleting and matches(p.spec.selector, labels))
    return min(matching, key=lambda policy: (policy.created_at, policy.name), default=None)
