"""Who has to look again when an object changes: its own controller, and those that decide from it."""

from collections.abc import Iterator, Mapping
from typing import Any

from perennial.adapters.cluster import MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY, Kind
from perennial.api import GROUP
from perennial.api.retrain_policy import Selector
from perennial.controllers.objects import parse_policy
from perennial.controllers.queue import Key
from perennial.domain.selector import matches

Object = dict[str, Any]
_SIDES = ("stable", "canary", "incoming", "previous")


class Relations:
    """What the events so far say of who depends on whom. Events that change nothing for others concern nobody else."""

    def __init__(self) -> None:
        self._selectors: dict[Key, Selector | None] = {}
        """Of the policies; None: an invalid one selects nothing."""
        self._labels: dict[Key, Mapping[str, str]] = {}
        """Of the models."""
        self._rollouts: dict[Key, frozenset[str]] = {}
        """The versions that a model's status speaks of, and as what."""
        self._blocked: dict[Key, Key] = {}
        """Versions that cannot be trained as things stand, and their models."""

    def concerned(self, kind: Kind, body: Object, *, gone: bool) -> Iterator[Key]:
        """The keys to reconcile now that the object is as it is, or gone."""
        metadata = body["metadata"]
        key = Key(kind.kind, metadata["namespace"], metadata["name"])
        if kind is RETRAIN_POLICY:
            yield from self._of_policy(key, body, gone)
        elif kind is MODEL_DEPLOYMENT:
            yield from self._of_model(key, body, gone)
        elif kind is MODEL_VERSION:
            yield from self._of_version(key, body, gone)
        else:
            yield from _owners(metadata)

    def _of_policy(self, key: Key, body: Object, gone: bool) -> Iterator[Key]:
        """Another selector may end a conflict between policies, or begin one."""
        yield key
        spec = parse_policy(body).spec
        before, now = self._selectors.get(key), spec.selector if spec else None
        if gone or key not in self._selectors or now != before:
            yield from (other for other in self._selectors if other.namespace == key.namespace)
        if gone:
            self._selectors.pop(key, None)
        else:
            self._selectors[key] = now

    def _of_model(self, key: Key, body: Object, gone: bool) -> Iterator[Key]:
        """A version's phase follows its model's status; a policy may have to plan anew."""
        yield key
        labels: Mapping[str, str] = body["metadata"].get("labels") or {}
        yield from self._governing(key.namespace, self._labels.get(key, labels), labels)
        yield from (version for version, model in self._blocked.items() if model == key)
        rollout = frozenset(_versions_in(body.get("status", {})))
        changed = rollout ^ self._rollouts.get(key, frozenset())
        yield from (Key(MODEL_VERSION.kind, key.namespace, said.split()[0]) for said in sorted(changed))
        if gone:
            self._labels.pop(key, None)
            self._rollouts.pop(key, None)
        else:
            self._labels[key], self._rollouts[key] = labels, rollout

    def _of_version(self, key: Key, body: Object, gone: bool) -> Iterator[Key]:
        """A model's rollout and a policy's plan follow the versions."""
        yield key
        model = Key(MODEL_DEPLOYMENT.kind, key.namespace, str(body["spec"].get("modelDeployment")))
        yield model
        if model in self._labels:
            yield from self._governing(key.namespace, self._labels[model])
        if is_stalled(body) and not gone:
            self._blocked[key] = model
        else:
            self._blocked.pop(key, None)

    def _governing(self, namespace: str, *labels: Mapping[str, str]) -> Iterator[Key]:
        for policy, selector in self._selectors.items():
            if policy.namespace == namespace and selector and any(matches(selector, each) for each in labels):
                yield policy


def is_stalled(body: Object) -> bool:
    """Whether its controller waits for a person."""
    return any(condition["type"] == "Stalled" for condition in body.get("status", {}).get("conditions", []))


def _versions_in(status: Object) -> Iterator[str]:
    for side in _SIDES:
        if side in status:
            yield f"{status[side]['version']} {side} {status[side].get('reason')}"
    for outcome in status.get("outcomes", []):
        yield f"{outcome['version']} {outcome['phase']} {outcome['at']}"


def _owners(metadata: Object) -> Iterator[Key]:
    for owner in metadata.get("ownerReferences", []):
        if owner["apiVersion"].startswith(f"{GROUP}/"):
            yield Key(owner["kind"], metadata["namespace"], owner["name"])
