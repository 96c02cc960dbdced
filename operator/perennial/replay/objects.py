"""An API server's answers without one: the objects of a replay, and who hears of their changes.

An object that was handed out is never changed afterwards: a write puts another one in its place.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from perennial.adapters.cluster import EVENT, ConflictError, Kind, NotFoundError, Object
from perennial.controllers.objects import Unchanging
from perennial.domain.selector import matches, parse_query

Listener = Callable[[Kind, Object, bool], None]
"""Told the kind, the object as it is now, and whether it is gone."""
_NAMES = uuid.UUID("5ad2e3c0-4c2f-4f0e-9b57-6d1f3f0f8a11")


class SimulatedCluster:
    """Objects by kind, namespace and name."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._objects: dict[Kind, dict[tuple[str, str], Object]] = {}
        self._number = 0
        self.listeners: list[Listener] = []

    def all(self) -> Iterator[tuple[Kind, Object]]:
        """Every object, in the order in which names came to be."""
        for kind, found in self._objects.items():
            for body in found.values():
                yield kind, body

    def restore(self, number: int, objects: list[tuple[Kind, Object]]) -> None:
        """The objects of a run that was interrupted; nobody is told."""
        self._number = number
        for kind, body in objects:
            self._of(kind)[_key(body)] = Unchanging(body)

    @property
    def number(self) -> int:
        """Of the last write."""
        return self._number

    def find(self, kind: Kind, namespace: str, name: str) -> Object:
        """An object that is there."""
        return self._of(kind)[namespace, name]

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """See `Objects`."""
        return self._of(kind).get((namespace, name))

    async def list(
        self, kind: Kind, namespace: str | None, selector: str | Mapping[str, str] = "", *, latest: bool = False
    ) -> list[Object]:
        """See `Objects`; nothing here is ever a moment old."""
        found = (b for (at, _), b in self._of(kind).items() if namespace in (None, at))
        if isinstance(selector, Mapping):
            return [body for body in found if selector.items() <= _labels(body).items()]
        query = parse_query(selector)
        return [body for body in found if matches(query, _labels(body))]

    async def create(self, kind: Kind, namespace: str, body: Object) -> bool:
        """See `Objects`. Events are told of and not kept."""
        if kind is EVENT:
            self._tell(kind, body, gone=False)
            return True
        key = (namespace, str(body["metadata"]["name"]))
        if key in self._of(kind):
            return False
        self._store(kind, namespace, body)
        return True

    async def apply(self, kind: Kind, namespace: str, body: Object) -> Object:
        """See `Objects`."""
        old = self._of(kind).get((namespace, body["metadata"]["name"]), {})
        return self._store(kind, namespace, _merged(old, body))

    async def patch(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """See `Objects`."""
        old = self._of(kind).get((namespace, name))
        if old is None:
            raise NotFoundError(404, f"{kind.plural} {name} not found")
        expected = body.get("metadata", {}).get("resourceVersion")
        if expected not in (None, old["metadata"]["resourceVersion"]):
            raise ConflictError(409, name)
        return self._store(kind, namespace, _merged(old, body))

    async def replace_status(self, kind: Kind, observed: Object, status: Object) -> Object:
        """See `Objects`."""
        namespace, name = _key(observed)
        stored = self._of(kind).get((namespace, name))
        if stored is None:
            raise NotFoundError(404, f"{kind.plural} {name} not found")
        if stored["metadata"]["resourceVersion"] != observed["metadata"]["resourceVersion"]:
            raise ConflictError(409, name)
        return self.put_status(kind, stored, status)

    def put_status(self, kind: Kind, stored: Object, status: Object) -> Object:
        """What a kubelet or a controller of Kubernetes itself writes."""
        return self._store(kind, stored["metadata"]["namespace"], {**stored, "status": status})

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str | None = None) -> None:
        """See `Objects`."""
        found = self._of(kind).get((namespace, name))
        if found is None or uid not in (None, found["metadata"]["uid"]):
            return
        del self._of(kind)[namespace, name]
        self._tell(kind, found, gone=True)
        gone = found["metadata"]["uid"]
        for of, body in list(self.all()):
            if any(owner["uid"] == gone for owner in body["metadata"].get("ownerReferences") or []):
                await self.delete(of, *_key(body))

    def _of(self, kind: Kind) -> dict[tuple[str, str], Object]:
        return self._objects.setdefault(kind, {})

    def _store(self, kind: Kind, namespace: str, body: Object) -> Object:
        self._number += 1
        name = str(body["metadata"]["name"])
        first: Object = {
            "namespace": namespace,
            "uid": str(uuid.uuid5(_NAMES, f"{kind.kind}/{namespace}/{name}/{self._number}")),
            "generation": 1,
            "creationTimestamp": self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        metadata = {**first, **body["metadata"], "resourceVersion": str(self._number)}
        own: Object = {"apiVersion": kind.api_version, "kind": kind.kind}
        stored = Unchanging({**own, **body, "metadata": metadata})
        self._of(kind)[namespace, name] = stored
        self._tell(kind, stored, gone=False)
        return stored

    def _tell(self, kind: Kind, body: Object, *, gone: bool) -> None:
        for listener in self.listeners:
            listener(kind, body, gone)


def _key(body: Object) -> tuple[str, str]:
    return str(body["metadata"]["namespace"]), str(body["metadata"]["name"])


def _labels(body: Object) -> Mapping[str, str]:
    return body["metadata"].get("labels") or {}


def _merged(old: Any, changes: Any) -> Any:
    """RFC 7386: objects are merged, all else is replaced, null removes."""
    if not isinstance(changes, dict):
        return changes
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result
