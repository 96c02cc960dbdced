"""Pairs without a mesh: what one version has answered, the other scores as well, afterwards and for the record only."""

import asyncio
import logging
import random

from perennial_contract.serving import FORWARDED_HEADER, ServerConfig
from perennial_server.client import PeerClient, PeerError, Reply
from perennial_server.metrics import Metrics

logger = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
"""How long a peer's version is believed."""
_LONGEST_LOOK_SECONDS = 10.0
QUEUE_REQUESTS = 1_000
QUEUE_BYTES = 32 * 1024 * 1024
_SENDERS = 4


class Peer:
    """One of the two Services: whose version is behind it, and what waits to be sent there.

    The version is looked up on its own schedule, so that a request finds it known; a peer that is not there costs one
    refused connection every few seconds.
    """

    def __init__(self, base: str, config: ServerConfig, metrics: Metrics) -> None:
        self._base = base
        self._own = config.version
        self._model_path = f"/v2/models/{config.name}"
        self._infer_path = f"{self._model_path}/infer"
        self._metrics = metrics
        self._version: str | None = None
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_REQUESTS)
        self._bytes = 0
        self._look_now = asyncio.Event()
        self.unsent = 0
        """Requests that wait or are on their way."""

    @property
    def is_other(self) -> bool:
        """Whether another version was seen there of late."""
        return self._version not in (None, self._own)

    def offer(self, body: bytes) -> None:
        """Takes the request if there is room. Never waits, never fails."""
        if self._waiting.full() or self._bytes + len(body) > QUEUE_BYTES:
            self._metrics.forwards.labels("dropped").inc()
            return
        self._waiting.put_nowait(body)
        self._bytes += len(body)
        self.unsent += 1

    async def drained(self) -> None:
        """Returns when nothing waits and nothing is on its way."""
        await self._waiting.join()

    async def watch(self) -> None:
        """Keeps the version current."""
        client = PeerClient(self._base)
        pause = LOOK_SECONDS
        while True:
            try:
                self._note((await client.get(self._model_path)).version)
                pause = LOOK_SECONDS
            except PeerError:
                self._note(None)
                pause = min(pause * 1.5, _LONGEST_LOOK_SECONDS)
            self._look_now.clear()
            try:
                async with asyncio.timeout(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - spreads load, hides nothing
                    await self._look_now.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(LOOK_SECONDS / 10)

    async def send(self) -> None:
        """Sends what waits, one request at a time; several of these run at once."""
        client = PeerClient(self._base)
        while True:
            body = await self._waiting.get()
            self._bytes -= len(body)
            try:
                reply = await client.post(self._infer_path, (FORWARDED_HEADER, self._own), body)
                self._metrics.forwards.labels(self._judge(reply)).inc()
            except PeerError as error:
                self._metrics.forwards.labels("failed").inc()
                logger.info("%s did not score a forwarded request: %s", self._base, error)
                self._look_now.set()
            self.unsent -= 1
            self._waiting.task_done()

    def _judge(self, reply: Reply) -> str:
        if reply.version is not None:
            self._note(reply.version)
        if reply.status != 200:
            return "failed"
        return "same" if reply.version == self._own else "paired"

    def _note(self, version: str | None) -> None:
        if version != self._version:
            logger.info("%s serves %s", self._base, version or "nothing")
        self._version = version


class Forwarder:
    """Forwards what was answered to every peer that serves another version."""

    def __init__(self, config: ServerConfig, metrics: Metrics) -> None:
        self._peers = [Peer(base, config, metrics) for base in config.peers]
        self._metrics = metrics
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Starts looking for peers and sending to them."""
        for peer in self._peers:
            self._tasks.append(asyncio.create_task(peer.watch()))
            self._tasks += [asyncio.create_task(peer.send()) for _ in range(_SENDERS)]

    def offer(self, body: bytes) -> None:
        """To be called with a request that was answered."""
        for peer in self._peers:
            if peer.is_other:
                peer.offer(body)

    async def close(self, seconds: float) -> None:
        """Sends what is left, for so long; then the rest is dropped and counted."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                for peer in self._peers:
                    await peer.drained()
        except TimeoutError:
            self._metrics.forwards.labels("dropped").inc(sum(peer.unsent for peer in self._peers))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
