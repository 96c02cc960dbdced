"""Names are taken by whoever comes first: what is not ours is neither written over nor read as ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from perennial.adapters.cluster import Kind, Objects
from perennial.controllers.objects import Object, belongs_to

NOT_GONE_YET = timedelta(seconds=2)
"""How soon a name may be free that an earlier owner's object still has."""
NAME_TAKEN = timedelta(seconds=30)
"""How soon to look whether a person has freed a name."""


class NameTakenError(Exception):
    """Something that is not ours has the name. One line that names it and the fix."""


class NotGoneYetError(Exception):
    """Something of an earlier owner of the same name has it, and goes by itself."""


@dataclass(frozen=True, slots=True)
class Owner:
    """For whom objects are made."""

    kind: Kind
    body: Object
    takes_in: Mapping[str, str] | None = None
    """Labels by which what it left behind (`kubectl delete --cascade=orphan`) is taken in again; None: nothing is."""

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.body["metadata"]["uid"])


async def find_own(cluster: Objects, kind: Kind, owner: Owner, name: str) -> Object | None:
    """The owner's own object of that name, or None when the name is free.

    Raises:
        NotGoneYetError: it was an earlier owner's, and will be collected.
        NameTakenError: it is somebody else's.
    """
    found = await cluster.get(kind, owner.body["metadata"]["namespace"], name)
    if found is None or belongs_to(found, owner.uid) or _left_behind(found, owner):
        return found
    owners = [(o["kind"], o["name"]) for o in found["metadata"].get("ownerReferences") or []]
    if "deletionTimestamp" in found["metadata"] or (owner.kind.kind, owner.name) in owners:
        raise NotGoneYetError(f"{kind.kind} {name} of an earlier {owner.kind.kind} {owner.name} is not gone yet")
    of = f" of {' '.join(owners[0])}" if owners else ""
    raise NameTakenError(
        f"{kind.kind} {name}{of} was not made for {owner.kind.kind} {owner.name}: "
        f"rename or delete it, or give the {owner.kind.kind} another name"
    )


def _left_behind(found: Object, owner: Owner) -> bool:
    metadata = found["metadata"]
    if owner.takes_in is None or metadata.get("ownerReferences") or "deletionTimestamp" in metadata:
        return False
    return owner.takes_in.items() <= (metadata.get("labels") or {}).items()
