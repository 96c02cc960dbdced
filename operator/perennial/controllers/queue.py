"""A keyed work queue: one reconcile a key at a time, asked for twice is done once, failures back off.

kopf watches and this runs what its events ask for: nothing is kept on the objects for it, so that a steady state
writes nothing (ADR 2).
"""

import asyncio
import heapq
import itertools
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NamedTuple

logger = logging.getLogger(__name__)


class Key(NamedTuple):
    """What is to be reconciled."""

    kind: str
    namespace: str
    name: str


Reconcile = Callable[[Key], Awaitable[timedelta | None]]
FIRST_RETRY, LAST_RETRY = 0.5, 60.0
JITTER = 0.1


class WorkQueue:
    """Keys that are due, and keys that are due later. `reconcile` returns when to look again without an event."""

    def __init__(self, reconcile: Reconcile, workers: int) -> None:
        self._reconcile, self._workers = reconcile, workers
        self._due: asyncio.Queue[Key] = asyncio.Queue()
        self._queued: set[Key] = set()
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._later: list[tuple[float, int, Key]] = []
        self._at: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self.beat = time.monotonic()
        """When the timer last turned: liveness."""

    def add(self, key: Key) -> None:
        """Reconcile soon; while it is running already, once more afterwards."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._due.put_nowait(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Reconcile by then at the latest; an earlier date stands."""
        at = time.monotonic() + seconds
        if self._at.get(key, at + 1) > at:
            self._at[key] = at
            heapq.heappush(self._later, (at, next(self._order), key))
            self._wake.set()

    @property
    def depth(self) -> int:
        """Keys that wait to be reconciled now."""
        return len(self._queued)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._turn())
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _turn(self) -> None:
        while True:
            self.beat = now = time.monotonic()
            while self._later and self._later[0][0] <= now:
                at, _, key = heapq.heappop(self._later)
                if self._at.get(key) == at:
                    del self._at[key]
                    self.add(key)
            wait = min(self._later[0][0] - now, 5.0) if self._later else 5.0
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), wait)
            except TimeoutError:
                continue

    async def _work(self) -> None:
        while True:
            key = await self._due.get()
            self._queued.discard(key)
            self._running.add(key)
            try:
                again = await self._reconcile(key)
                self._failures.pop(key, None)
                if again is not None:
                    self.add_after(key, again.total_seconds() * random.uniform(1, 1 + JITTER))  # noqa: S311 - jitter
            except Exception as error:  # noqa: BLE001 - whatever a reconcile raises, it is tried again
                self._fail(key, error)
            finally:
                self._running.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    def _fail(self, key: Key, error: Exception) -> None:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        wait = min(LAST_RETRY, FIRST_RETRY * 2 ** min(count - 1, 10))
        logger.warning("%s %s/%s: %s; again in %.1f s", key.kind, key.namespace, key.name, error, wait)
        logger.debug("traceback", exc_info=error)
        self.add_after(key, wait)
