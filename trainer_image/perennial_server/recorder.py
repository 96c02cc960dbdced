"""Records what was answered, in batches and off the request path."""

import asyncio
import contextlib
import logging
from collections import deque
from typing import Protocol

from perennial_server.errors import StoreRefusedError, StoreUnavailableError
from perennial_server.metrics import Metrics
from perennial_server.records import Scored, join

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.2
FLUSH_ROWS = 1_000
_LARGEST_WRITE = 2 * FLUSH_ROWS
"""A request may be larger than a flush; encoding too many rows at once would hold up answers."""
_BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)


class RecordStore(Protocol):
    """Where records go."""

    async def write(self, scored: Scored) -> None:
        """Inserts all of them or none.

        Raises:
            StoreUnavailableError: later it may work.
            StoreRefusedError: it never will, because of at least one of the rows.
        """


class Recorder:
    """A bounded queue and the task that empties it. What has no room is dropped and counted, never waited for."""

    def __init__(self, store: RecordStore, limit: int, metrics: Metrics) -> None:
        self._store = store
        self._limit = limit
        self._metrics = metrics
        self._waiting: deque[Scored] = deque()
        self._rows = 0
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()

    def offer(self, scored: Scored) -> None:
        """Takes the rows if there is room. Never waits, never fails."""
        if self._rows + len(scored) > self._limit:
            self._metrics.dropped.labels("queue_full").inc(len(scored))
            return
        self._waiting.append(scored)
        self._count(len(scored))
        if self._rows >= FLUSH_ROWS:
            self._wake.set()

    async def run(self) -> None:
        """Writes until closed and empty."""
        while not self._closing.is_set() or self._waiting:
            if not self._closing.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), FLUSH_SECONDS)
            self._wake.clear()
            while self._waiting:
                try:
                    await self._write(self._take())
                except Exception:  # noqa: BLE001 - whatever it was costs one batch, not the server
                    self._drop_taken()

    async def close(self, task: asyncio.Task[None], seconds: float) -> None:
        """Lets the task write what is left, for so long; then the rest is dropped and counted."""
        self._closing.set()
        self._wake.set()
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if done:
            task.result()
            return
        task.cancel()
        await asyncio.wait({task})
        self._metrics.dropped.labels("shutdown").inc(self._rows)
        logger.error("the store did not take %d scored rows before the end: they are lost", self._rows)

    def _take(self) -> Scored:
        """The oldest requests, about a batch of rows; a sample that was scored twice among them is one record."""
        taken, rows = [], 0
        while self._waiting and rows < FLUSH_ROWS:
            taken.append(self._waiting.popleft())
            rows += len(taken[-1])
        batch = join(taken)
        self._count(len(batch) - rows)
        return batch

    async def _write(self, scored: Scored) -> None:
        """Tries until the store has taken or refused every row."""
        pending = [scored]
        tries = 0
        while pending:
            batch = pending.pop()
            if len(batch) > _LARGEST_WRITE:
                pending += reversed(batch.split())
                continue
            try:
                await self._store.write(batch)
            except StoreUnavailableError as error:
                pending.append(batch)
                await self._back_off(tries, error)
                tries += 1
                continue
            except StoreRefusedError as error:
                if len(batch) > 1:
                    pending += reversed(batch.split())
                    continue
                self._metrics.dropped.labels("refused").inc()
                logger.error("sample %r is not recorded: %s", batch.ids[0], error)
            tries = 0
            self._count(-len(batch))

    def _drop_taken(self) -> None:
        """Counts as lost what was taken from the queue and neither written nor refused."""
        lost = self._rows - sum(map(len, self._waiting))
        self._metrics.dropped.labels("failed").inc(lost)
        self._count(-lost)
        logger.exception("%d scored rows are not recorded", lost)

    async def _back_off(self, tries: int, error: Exception) -> None:
        self._metrics.store_errors.inc()
        if tries in (0, 10) or tries % 100 == 0:
            logger.warning("the store does not take records (%d rows wait): %s", self._rows, error)
        delay = _BACK_OFF_SECONDS[min(tries, len(_BACK_OFF_SECONDS) - 1)]
        if self._closing.is_set():
            await asyncio.sleep(_BACK_OFF_SECONDS[0])
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), delay)

    def _count(self, rows: int) -> None:
        self._rows += rows
        self._metrics.queued.set(self._rows)
