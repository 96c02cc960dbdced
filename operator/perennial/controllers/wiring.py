"""kopf watches; its events name what is to be reconciled, and a work queue does it.

No kopf handler keeps state on an object, so kopf writes nothing: no finalizer, no annotation, no progress (ADR 2).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import kopf
from pydantic import ValidationError

from perennial.adapters.cluster import (
    DEPLOYMENT,
    JOB,
    MODEL_DEPLOYMENT,
    MODEL_VERSION,
    RETRAIN_POLICY,
    Cluster,
    ConflictError,
    Kind,
)
from perennial.adapters.metrics import Metrics
from perennial.adapters.store.store import SampleStores
from perennial.api import API_VERSION, GROUP, VERSION
from perennial.controllers.context import Context, utc_now
from perennial.controllers.jobs import note_lane
from perennial.controllers.objects import parse_version
from perennial.controllers.queue import Key, WorkQueue
from perennial.controllers.reconciles import RECONCILES
from perennial.controllers.relations import Relations
from perennial.controllers.web import serve
from perennial.resources import names
from perennial.settings import Settings

Object = dict[str, Any]
AT_ONCE = timedelta(seconds=0.1)


WATCHED = (MODEL_DEPLOYMENT, RETRAIN_POLICY, MODEL_VERSION)


class NotInstalledError(Exception):
    """The CRDs are not there."""


async def check_installed() -> None:
    """kopf looks for the CRDs once: an operator that starts before them would be deaf for good, and ready.

    Raises:
        NotInstalledError: the API server does not have them.
        ClusterError: it does not answer.
    """
    cluster = await Cluster.connect(lambda _: None)
    try:
        missing = {kind.plural for kind in WATCHED} - await cluster.discover(API_VERSION)
    finally:
        await cluster.close()
    if missing:
        raise NotInstalledError(f"no {', '.join(sorted(missing))} in {API_VERSION}: apply the CRDs (manifests/crds)")


class Operator:
    """One process' worth of controllers."""

    def __init__(self, settings: Settings, now: Callable[[], datetime] = utc_now) -> None:
        self.settings, self._now = settings, now
        self.metrics = Metrics()
        self.queue = WorkQueue(self._reconcile, settings.workers)
        self._context: Context | None = None
        self._open = contextlib.AsyncExitStack()
        self._relations = Relations()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect, answer probes, and begin to work."""
        seconds = self.metrics.store_seconds
        stores = SampleStores(observer=lambda look, took: seconds.labels(look).observe(took))
        requests = self.metrics.requests
        cluster = await Cluster.connect(lambda method: requests.labels(method).inc())
        self._open.push_async_callback(cluster.close)
        self._open.callback(stores.close)
        self._context = Context(cluster, stores, self.metrics, self.settings, self._now)
        for namespace in self.settings.namespaces or (None,):
            await self._recount(namespace)
        self._tasks = [asyncio.create_task(self.queue.run()), asyncio.create_task(serve(self))]

    async def _recount(self, namespace: str | None) -> None:
        """What trains already counts against the limits before the first plan is made."""
        assert self._context is not None
        for body in await self._context.cluster.list(MODEL_VERSION, namespace):
            with contextlib.suppress(ValidationError):  # of a status from elsewhere: it is no reason not to start
                version = parse_version(body)
                note_lane(self._context, version, version.status)

    async def stop(self) -> None:
        """End the work; what was half done is done again by the next process."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._open.aclose()

    @property
    def ready(self) -> bool:
        """Whether it works."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def alive(self) -> bool:
        """Whether the queue's timer still turns."""
        return self.ready and time.monotonic() - self.queue.beat < 60

    async def _reconcile(self, key: Key) -> timedelta | None:
        assert self._context is not None
        started = time.perf_counter()
        try:
            return await RECONCILES[key.kind](self._context, key)
        except ConflictError:
            return AT_ONCE  # somebody wrote in between: no fault of anyone's, observe again
        except Exception:
            self.metrics.errors.labels(key.kind).inc()
            raise
        finally:
            self.metrics.reconcile.labels(key.kind).observe(time.perf_counter() - started)

    def notice(self, kind: Kind, event: Object) -> None:
        """An object changed: reconcile it, and whoever decides from it."""
        body, gone = event["object"], event["type"] == "DELETED"
        for key in list(self._relations.concerned(kind, body, gone=gone)):
            self.queue.add(key)
        if gone and self._context:
            self._context.forget(body["metadata"]["uid"])


def wire(operator: Operator, registry: kopf.OperatorRegistry) -> None:
    """Register the watches."""

    @kopf.on.login(registry=registry)
    async def _login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)

    @kopf.on.startup(registry=registry)
    async def _start(settings: kopf.OperatorSettings, **_: object) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.queueing.idle_timeout = 0.1
        settings.networking.error_backoffs = (1, 2, 3, 5, 8, 13, 21, 34, 55)
        await operator.start()

    @kopf.on.cleanup(registry=registry)
    async def _stop(**_: object) -> None:
        await operator.stop()

    def watch(kind: Kind) -> Callable[..., Any]:
        async def noticed(event: Object, **_: object) -> None:
            operator.notice(kind, event)

        return noticed

    for kind in WATCHED:
        kopf.on.event(GROUP, VERSION, kind.plural, id=kind.plural, registry=registry)(watch(kind))
    ours = {names.MODEL: kopf.PRESENT}
    for kind in (DEPLOYMENT, JOB):
        group, version = kind.api_version.split("/")
        kopf.on.event(group, version, kind.plural, id=kind.plural, labels=ours, registry=registry)(watch(kind))
