"""The loop: time moves to the next instant at which something can change, and the controllers see to it."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from perennial.adapters.cluster import (
    DEPLOYMENT,
    JOB,
    MODEL_DEPLOYMENT,
    MODEL_VERSION,
    RETRAIN_POLICY,
    ConflictError,
    Kind,
    Object,
)
from perennial.adapters.metrics import Metrics
from perennial.adapters.recording import to_instant, to_micros
from perennial.controllers.context import Context
from perennial.controllers.jobs import note_lane
from perennial.controllers.objects import Model, parse_model, parse_policy, parse_version
from perennial.controllers.queue import Key
from perennial.controllers.reconciles import RECONCILES
from perennial.controllers.relations import Relations
from perennial.replay.clock import Clock, looks_between
from perennial.replay.journal import Journal
from perennial.replay.node import Node
from perennial.replay.objects import SimulatedCluster
from perennial.replay.predictions import Predictions
from perennial.replay.reports import ReportFolder
from perennial.replay.store import RecordedStore
from perennial.replay.traffic import Traffic
from perennial.replay.workers import WorkerPool
from perennial.settings import Settings

_WATCHED = (MODEL_DEPLOYMENT, RETRAIN_POLICY, MODEL_VERSION, DEPLOYMENT, JOB)
_WAITING = ("Pending", "Training", "Evaluated")
"""Versions that wait for an instant: a retry, a lane, the end of an approval's time."""
MOST_STEPS = 10_000
"""Reconciles at one instant: more than that is a loop without an end."""


@dataclass(frozen=True, slots=True)
class Span:
    """What is simulated."""

    since: datetime
    until: datetime
    look_every: timedelta


class StuckError(Exception):
    """The controllers do not come to rest: a bug."""


class Simulation:
    """One policy book over one history."""

    def __init__(
        self,
        span: Span,
        models: Mapping[str, Predictions],
        workers: WorkerPool,
        work: Path,
        duration: Callable[[str], timedelta],
    ) -> None:
        self.span, self.models = span, models
        self.clock = Clock(span.since)
        self.cluster = SimulatedCluster(self.clock.now)
        self.journal = Journal(self.clock.now)
        self.cluster.listeners.append(self.journal.notice)
        self.node = Node(self.cluster, workers, work, duration, self.clock.now)
        self.traffic = Traffic(self.cluster, self.journal.versions, workers, self.node, work)
        store = RecordedStore(models, ReportFolder(work))
        settings = Settings(artifacts_claim="replay")
        self._context = Context(self.cluster, store, Metrics(), settings, self.clock.now)
        self._relations = Relations()
        self._queue: deque[Key] = deque()
        self._queued: set[Key] = set()
        visible = [p.visible_at[~np.isnan(p.history.target)] for p in models.values()]
        self._looks = looks_between(visible, span.since, span.until, span.look_every)
        self.cluster.listeners.append(self._notice)

    async def begin(self, objects: list[tuple[Kind, Object]]) -> None:
        """The objects are applied, and seen to for the first time."""
        for kind, body in objects:
            await self.cluster.create(kind, body["metadata"]["namespace"], body)
        await self._settle()

    async def run(self, progress: Callable[[datetime], None], stopped: Callable[[], bool]) -> bool:
        """To the end of the span; False when it was stopped before."""
        while (moment := await self._next()) is not None:
            if stopped():
                return False
            await self.step(moment)
            progress(moment)
        return True

    async def step(self, moment: datetime) -> None:
        """Time moves on, requests are answered on the way, and whoever has something to do does it."""
        before = self.clock.now()
        for model in await self._list_models():
            await self.traffic.serve(model, self.models[f"{model.namespace}/{model.name}"], before, moment)
        self.clock.set(moment)
        self._forget_looks()
        await self.node.advance()
        for kind in (MODEL_VERSION, MODEL_DEPLOYMENT, RETRAIN_POLICY):
            for body in await self.cluster.list(kind, None):
                if kind is not MODEL_VERSION or body.get("status", {}).get("phase") in _WAITING:
                    self._add(Key(kind.kind, body["metadata"]["namespace"], body["metadata"]["name"]))
        await self._settle()

    async def _next(self) -> datetime | None:
        """The next instant: an outcome to look at, a Job's end, or a scheduled time."""
        now = self.clock.now()
        position = int(np.searchsorted(self._looks, to_micros(now), "right"))
        look = to_instant(int(self._looks[position])) if position < len(self._looks) else None
        policies = [parse_policy(body) for body in await self.cluster.list(RETRAIN_POLICY, None)]
        times = [look, self.node.next_end, *(policy.status.next_schedule_time for policy in policies)]
        return min((time for time in times if time is not None and now < time <= self.span.until), default=None)

    def _forget_looks(self) -> None:
        """Every step looks anew, so that a run that was taken up again goes on as it would have."""
        context = self._context
        for kept in (context.monitored, context.canary_looks, context.probations, context.counted):
            kept.clear()

    async def _settle(self) -> None:
        for _ in range(MOST_STEPS):
            if not self._queue:
                await asyncio.sleep(0)
                return
            key = self._pop()
            try:
                again = await RECONCILES[key.kind](self._context, key)
            except ConflictError:
                again = timedelta(0)
            if again == timedelta(0):
                self._add(key)
        raise StuckError(f"the controllers do not come to rest at {self.clock.now()}")

    def _pop(self) -> Key:
        """Plans are made of what has come to rest: policies wait until nobody else is left."""
        key = next((key for key in self._queue if key.kind != RETRAIN_POLICY.kind), self._queue[0])
        self._queue.remove(key)
        self._queued.discard(key)
        return key

    def _notice(self, kind: Kind, body: Object, gone: bool) -> None:
        if kind in _WATCHED:
            for key in self._relations.concerned(kind, body, gone=gone):
                self._add(key)

    def _add(self, key: Key) -> None:
        if key.kind in RECONCILES and key not in self._queued:
            self._queued.add(key)
            self._queue.append(key)

    async def _list_models(self) -> list[Model]:
        return [parse_model(body) for body in await self.cluster.list(MODEL_DEPLOYMENT, None)]

    def resume(self, now: datetime) -> None:
        """Goes on with objects that were restored."""
        self.clock.set(now)
        for kind, body in list(self.cluster.all()):
            if kind in _WATCHED:
                list(self._relations.concerned(kind, body, gone=False))
            if kind is MODEL_VERSION:
                version = parse_version(body)
                note_lane(self._context, version, version.status)
        self.node.resume()
