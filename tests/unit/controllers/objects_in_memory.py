"""An API server's answers without one: objects in a dictionary. What needs a real one stands in tests/integration."""

import asyncio
import copy
import itertools
import re
from collections.abc import Mapping
from typing import Any, cast

from perennial.adapters.cluster import (
    MODEL_DEPLOYMENT,
    MODEL_VERSION,
    RETRAIN_POLICY,
    SECRET,
    Cluster,
    ConflictError,
    Kind,
)
from perennial.adapters.metrics import Metrics
from perennial.adapters.store.store import SampleStores
from perennial.controllers.context import Context
from perennial.settings import Settings

Object = dict[str, Any]
NS = "ns"


class ObjectsInMemory:
    """Get, list, create, apply, patch, replace and delete; whoever asks has to wait a turn, as over a network."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, str], Object] = {}
        self.calls: list[tuple[str, str, str]] = []
        """(verb, kind, name), in order."""
        self._numbers = itertools.count(1)

    def put(self, kind: Kind, name: str, *, labels: Mapping[str, str] | None = None, **body: Any) -> Object:
        """What a user or another controller made."""
        metadata: Object = {"name": name, "labels": dict(labels or {}), **body.pop("metadata", {})}
        self._store(kind, {"metadata": metadata, **body})
        return self.objects[kind, name]

    def named(self, kind: Kind) -> list[str]:
        """The names of all objects of a kind."""
        return sorted(name for of, name in self.objects if of is kind)

    async def get(self, kind: Kind, _: str, name: str) -> Object | None:
        await self._turn("get", kind, name)
        return copy.deepcopy(self.objects.get((kind, name)))

    async def list(
        self, kind: Kind, _: str | None, selector: str | Mapping[str, str] = "", *, latest: bool = False
    ) -> list[Object]:
        await self._turn("list", kind, "latest" if latest else "")
        found = [body for (of, _), body in self.objects.items() if of is kind]
        return copy.deepcopy([body for body in found if _selected(selector, body["metadata"].get("labels", {}))])

    async def create(self, kind: Kind, _: str, body: Object) -> bool:
        name = body["metadata"].get("name", f"{kind.kind}-{next(self._numbers)}")
        await self._turn("create", kind, name)
        if (kind, name) in self.objects:
            return False
        self._store(kind, {**body, "metadata": {**body["metadata"], "name": name}})
        return True

    async def apply(self, kind: Kind, _: str, body: Object) -> Object:
        name = body["metadata"]["name"]
        await self._turn("apply", kind, name)
        self._store(kind, {**self.objects.get((kind, name), {}), **body})
        return copy.deepcopy(self.objects[kind, name])

    async def patch(self, kind: Kind, _: str, name: str, body: Object) -> Object:
        await self._turn("patch", kind, name)
        old = self.objects[kind, name]
        given = {k: v for k, v in body.get("metadata", {}).items() if k != "resourceVersion"}
        self._store(kind, {**old, **body, "metadata": {**old["metadata"], **given}})
        return copy.deepcopy(self.objects[kind, name])

    async def replace_status(self, kind: Kind, observed: Object, status: Object) -> Object:
        name = observed["metadata"]["name"]
        await self._turn("status", kind, name)
        stored = self.objects[kind, name]
        if stored["metadata"]["resourceVersion"] != observed["metadata"]["resourceVersion"]:
            raise ConflictError(409, name)
        self._store(kind, {**stored, "status": status})
        return copy.deepcopy(self.objects[kind, name])

    async def delete(self, kind: Kind, _: str, name: str, uid: str | None = None) -> None:
        await self._turn("delete", kind, name)
        found = self.objects.get((kind, name))
        if found and uid in (None, found["metadata"]["uid"]):
            del self.objects[kind, name]

    async def _turn(self, verb: str, kind: Kind, name: str) -> None:
        await asyncio.sleep(0)
        self.calls.append((verb, kind.kind, name))

    def _store(self, kind: Kind, body: Object) -> None:
        body = copy.deepcopy(body)
        number = next(self._numbers)
        defaults = {
            "namespace": NS,
            "uid": f"uid-{number}",
            "generation": 1,
            "creationTimestamp": "2026-01-05T12:00:00Z",
        }
        body["metadata"] = {**defaults, **body["metadata"], "resourceVersion": str(number)}
        self.objects[kind, body["metadata"]["name"]] = {"apiVersion": kind.api_version, "kind": kind.kind, **body}


def _selected(selector: str | Mapping[str, str], labels: Mapping[str, str]) -> bool:
    if isinstance(selector, Mapping):
        return selector.items() <= labels.items()
    inside = re.fullmatch(r"(\S+) in \((.*)\)", selector)
    if inside:
        return labels.get(inside[1]) in inside[2].split(",")
    return not selector or dict(part.split("=") for part in selector.split(",")).items() <= labels.items()


def build_context(cluster: ObjectsInMemory, **settings: Any) -> Context:
    """What controllers work with; there is no database behind it."""
    given = {"artifacts_claim": "models", **settings}
    return Context(cast("Cluster", cluster), SampleStores(), Metrics(), Settings.model_validate(given))


def put_secret(cluster: ObjectsInMemory) -> None:
    """The Secret that `MODEL` names, with URLs that lead nowhere."""
    url = "c3FsaXRlOi8vL25vd2hlcmUvYXQvYWxs"
    cluster.put(SECRET, "store", data={"read": url, "write": url})


def put_policy(cluster: ObjectsInMemory, name: str = "p", **spec: Any) -> None:
    """A policy that selects every model with the label book=spot."""
    cluster.put(RETRAIN_POLICY, name, spec={"selector": {"matchLabels": {"book": "spot"}}, **spec})


MODEL: Object = {
    "algorithm": {"name": "xgboost"},
    "samples": {
        "readUrlFrom": {"name": "store", "key": "read"},
        "writeUrlFrom": {"name": "store", "key": "write"},
        "labelDelay": "1h",
    },
}


def untrained() -> ObjectsInMemory:
    """A model and a version of it that is to be trained."""
    found = ObjectsInMemory()
    put_secret(found)
    found.put(MODEL_DEPLOYMENT, "m", spec=MODEL)
    found.put(MODEL_VERSION, "m-v1", spec={"modelDeployment": "m"})
    return found
