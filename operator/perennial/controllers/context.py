"""What every controller works with, and the one way in which it writes status and tells of transitions."""

import asyncio
import base64
import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from perennial.adapters.cluster import EVENT, SECRET, ClusterError, Kind, Objects
from perennial.adapters.metrics import Metrics
from perennial.api.base import Status
from perennial.api.model_deployment_status import DriftStatus, Evidence
from perennial.api.shared import SecretKeyRef
from perennial.controllers.lanes import Lanes
from perennial.domain.canary import CanaryLook
from perennial.domain.evidence import SampleCounts, StoreError, StoreMisconfigured
from perennial.domain.guard import Watch
from perennial.domain.rollout_draft import Transition
from perennial.domain.sample_store import SampleStore
from perennial.settings import Settings
from perennial_contract.profile import ReferenceProfile

Object = dict[str, Any]
logger = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The operator's only clock."""
    return datetime.now(UTC)


L = TypeVar("L")


@dataclass(frozen=True, slots=True)
class Kept(Generic[L]):
    """A look into the store that serves for a while."""

    asked: tuple[object, ...]
    at: datetime
    look: L


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not made: a reason and a sentence for the condition of whom it was to be made for."""

    reason: str
    message: str


class Stores(Protocol):
    """The sample stores by URL."""

    def at(self, url: str) -> SampleStore:
        """The store of a URL.

        Raises:
            StoreMisconfigured: the URL cannot be used.
        """
        ...


@dataclass(slots=True)
class Context:
    """Adapters and settings. What is remembered here is a cache: losing it costs a look, nothing else."""

    cluster: Objects
    stores: Stores
    metrics: Metrics
    settings: Settings
    now: Callable[[], datetime] = utc_now
    monitored: dict[str, datetime] = field(default_factory=dict)
    """When the monitors last looked at a model, by UID."""
    canary_looks: dict[str, Kept[CanaryLook | StoreError | None]] = field(default_factory=dict)
    """The last look at a model's canary, by the model's UID."""
    probations: dict[str, Kept[Evidence | None]] = field(default_factory=dict)
    """The last look at the version before a model's stable one, by the model's UID."""
    profiles: dict[str, ReferenceProfile] = field(default_factory=dict)
    """Reference profiles, by the ModelVersion's UID."""
    drifts: dict[str, Kept[DriftStatus]] = field(default_factory=dict)
    """What the newest windows said of a model's features, by the model's UID."""
    watched: dict[str, Watch] = field(default_factory=dict)
    """The requests of a model's canary so far, by the model's UID."""
    counted: dict[str, Kept[SampleCounts | None]] = field(default_factory=dict)
    """The last count of a model's samples, by the model's UID."""
    refused: dict[str, Refusal] = field(default_factory=dict)
    """Why an object could not be made, by the UID of whom it was to be made for."""
    resolving: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a version takes a revision: two at once would take the same."""
    taken: set[tuple[str, str]] = field(default_factory=set)
    """(namespace, name) of versions that have the name which a plan wanted, and that no model owns."""
    lanes: Lanes = field(default_factory=Lanes)
    """Who trains; who is stalled or backs off holds no lane."""

    async def store_at(self, namespace: str, field_name: str, ref: SecretKeyRef) -> SampleStore:
        """The sample store behind a Secret's key.

        Raises:
            StoreMisconfigured: the Secret, the key or the URL cannot be used.
        """
        return self.stores.at(await self.read_secret(namespace, field_name, ref))

    async def read_secret(self, namespace: str, field_name: str, ref: SecretKeyRef) -> str:
        """A Secret's value; it goes into no log, event or status.

        Raises:
            StoreMisconfigured: there is no such Secret or key.
        """
        secret = await self.cluster.get(SECRET, namespace, ref.name)
        if secret is None:
            raise StoreMisconfigured(field_name, f"Secret {ref.name}", f"is missing: create it in {namespace}")
        value = secret.get("data", {}).get(ref.key)
        if value is None:
            raise StoreMisconfigured(field_name, f"Secret {ref.name}", f"has no key {ref.key!r}: add it")
        try:
            return base64.b64decode(value).decode().strip()
        except UnicodeDecodeError:
            raise StoreMisconfigured(
                field_name, f"Secret {ref.name}", f"holds no text at {ref.key!r}: write a URL"
            ) from None

    def note_refusal(self, uid: str, refusal: Refusal | None) -> bool:
        """Keep it for the condition that tells of it; whether there is news to tell."""
        news = self.refused.get(uid) != refusal
        if refusal is None:
            self.refused.pop(uid, None)
        else:
            self.refused[uid] = refusal
        return news

    def forget(self, uid: str) -> None:
        """The object is gone."""
        caches = (self.monitored, self.canary_looks, self.probations, self.profiles, self.drifts)
        for kept in (*caches, self.watched, self.counted, self.refused):
            kept.pop(uid, None)

    async def write_status(self, kind: Kind, observed: Object, status: Status) -> Object:
        """Write the status if it differs from what was read; returns the object as it is now."""
        wanted = status.to_dict()
        if wanted == observed.get("status", {}):
            return observed
        return await self.cluster.replace_status(kind, observed, wanted)

    async def tell(self, kind: Kind, about: Object, transitions: Iterable[Transition]) -> None:
        """Events, after the status that they tell of was written; nothing fails for want of one."""
        for transition in transitions:
            event = _event(kind, about, transition, self.now())
            try:
                await self.cluster.create(EVENT, event["metadata"]["namespace"], event)
            except ClusterError as error:
                logger.warning("no event %s on %s: %s", transition.reason, event["metadata"]["name"], error)


def _event(kind: Kind, about: Object, transition: Transition, now: datetime) -> Object:
    metadata = about["metadata"]
    told = f"{metadata['uid']} {metadata.get('resourceVersion')} {transition}"
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name']}.{hashlib.sha256(told.encode()).hexdigest()[:16]}",
            "namespace": metadata["namespace"],
        },
        "involvedObject": {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "type": "Warning" if transition.warning else "Normal",
        "reason": transition.reason,
        "message": transition.message[:1000],
        "source": {"component": "perennial"},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
