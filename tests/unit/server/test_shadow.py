"""Forwarding: to whom, how much, and never at the expense of an answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.unit.server.served import make_config

from perennial_server import client as client_module
from perennial_server import shadow
from perennial_server.client import PeerClient, PeerError, Reply
from perennial_server.metrics import Metrics
from perennial_server.shadow import Forwarder


@dataclass
class FakePeer:
    """An HTTP server that says which version it is, and keeps what it is sent."""

    version: str | None = "uid-2"
    status: int = 200
    keep_alive: bool = True
    silent: bool = False
    garbage: bool = False
    looks: int = 0
    connections: int = 0
    received: list[tuple[str | None, bytes]] = field(default_factory=list)
    base: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if head.startswith("POST /v2/models/ensemble/infer "):
            self.received.append((headers.get("perennial-forwarded"), body))
        else:
            assert head.startswith("GET /v2/models/ensemble ")
            self.looks += 1
        if self.silent:
            await reader.read()
            return False
        version = f"perennial-version: {self.version}\r\n" if self.version else ""
        close = "" if self.keep_alive else "connection: close\r\n"
        status = f"HTTP/1.1 {self.status} Whatever\r\n" if not self.garbage else "SMTP at your service\r\n"
        writer.write(f"{status}{version}{close}content-length: 2\r\n\r\n{{}}".encode())
        await writer.drain()
        return self.keep_alive


@asynccontextmanager
async def listening(peer: FakePeer) -> AsyncIterator[FakePeer]:
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()


@dataclass
class Setup:
    forwarder: Forwarder
    metrics: Metrics

    def count(self, result: str) -> float | None:
        return self.metrics.registry.get_sample_value("perennial_server_forwards_total", {"result": result})


@asynccontextmanager
async def forwarding(*peers: str, drain: float = 5) -> AsyncIterator[Setup]:
    config = make_config(Path("/nowhere"), "sha256:" + "0" * 64, peers=list(peers))
    metrics = Metrics(config)
    forwarder = Forwarder(config, metrics)
    forwarder.start()
    yield Setup(forwarder, metrics)
    await forwarder.close(drain)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in sockets, without an event
            await asyncio.sleep(0.002)


async def offer_until_received(setup: Setup, peer: FakePeer, body: bytes = b"{}") -> None:
    """Until the peer is known there is nobody to forward to."""
    async with asyncio.timeout(10):
        while not peer.received:
            setup.forwarder.offer(body)
            await asyncio.sleep(0.002)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(client_module, "_ANSWER_SECONDS", 0.3)


async def test_another_version_gets_the_very_bytes_and_is_told_from_whom() -> None:
    async with listening(FakePeer()) as peer, forwarding(peer.base) as setup:
        await until(lambda: peer.looks)
        await offer_until_received(setup, peer, b"{1}")
    assert set(peer.received) == {("uid-1", b"{1}")}
    assert setup.count("paired") == len(peer.received)


async def test_the_own_version_gets_nothing() -> None:
    async with listening(FakePeer("uid-1")) as peer, forwarding(peer.base) as setup:
        await until(lambda: peer.looks >= 2)
        setup.forwarder.offer(b"{}")
    assert peer.received == []


async def test_only_the_peer_that_differs_gets_it() -> None:
    async with (
        listening(FakePeer("uid-1")) as same,
        listening(FakePeer()) as other,
        forwarding(same.base, other.base) as setup,
    ):
        await offer_until_received(setup, other)
    assert same.received == []


async def test_a_peer_that_is_not_there_costs_nothing_and_is_found_when_it_comes() -> None:
    async with listening(FakePeer()) as peer:
        base = peer.base
    async with forwarding(base) as setup:
        for _ in range(100):
            setup.forwarder.offer(b"{}")
        assert [setup.count(result) for result in ("paired", "failed", "dropped")] == [0, 0, 0]
        server = await asyncio.start_server(peer.serve, "127.0.0.1", int(base.rpartition(":")[2]))
        await offer_until_received(setup, peer)
        server.close()


async def test_a_peer_that_changes_its_version_to_the_own_is_left_alone() -> None:
    async with listening(FakePeer()) as peer, forwarding(peer.base) as setup:
        await offer_until_received(setup, peer)
        peer.version = "uid-1"
        looks = peer.looks
        await until(lambda: peer.looks > looks + 1)
        before = len(peer.received)
        setup.forwarder.offer(b"{}")
    assert len(peer.received) == before


async def test_what_waits_is_bounded_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "QUEUE_REQUESTS", 10)
    async with listening(FakePeer()) as peer, forwarding(peer.base, drain=0) as setup:
        await offer_until_received(setup, peer)
        peer.silent = True
        for _ in range(50):
            setup.forwarder.offer(b"{}")
        assert (setup.count("dropped") or 0) >= 36  # ten wait, four are on their way
        dropped, paired = setup.count("dropped") or 0, setup.count("paired") or 0
        assert dropped < 50 + paired
    assert (setup.count("dropped") or 0) > dropped  # what waited when time was up is counted as well


async def test_bytes_that_wait_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "QUEUE_BYTES", 100)
    async with listening(FakePeer()) as peer, forwarding(peer.base) as setup:
        await offer_until_received(setup, peer)
        setup.forwarder.offer(b" " * 101)
        assert setup.count("dropped") == 1


async def test_a_refusal_is_a_failure_and_counted() -> None:
    async with listening(FakePeer(status=503)) as peer, forwarding(peer.base) as setup:
        await offer_until_received(setup, peer)
    assert (setup.count("failed"), setup.count("paired")) == (len(peer.received), 0)


async def test_closing_sends_what_is_left() -> None:
    async with listening(FakePeer()) as peer, forwarding(peer.base) as setup:
        await offer_until_received(setup, peer)
        before = len(peer.received)
        for _ in range(30):
            setup.forwarder.offer(b"{more}")
    assert len(peer.received) >= before + 30
    assert setup.count("dropped") == 0


async def test_connections_are_kept_and_given_up_when_the_peer_says_so() -> None:
    async with listening(FakePeer()) as peer:
        client = PeerClient(peer.base)
        for _ in range(3):
            assert await client.post("/v2/models/ensemble/infer", ("x", "y"), b"{}") == Reply(200, "uid-2")
        assert peer.connections == 1
        peer.keep_alive = False
        for _ in range(3):
            assert await client.post("/v2/models/ensemble/infer", ("x", "y"), b"{}") == Reply(200, "uid-2")
        assert peer.connections == 3
        client.close()


async def test_a_kept_connection_that_has_died_is_replaced() -> None:
    async with listening(FakePeer(keep_alive=False)) as peer:
        client = PeerClient(peer.base)
        peer.keep_alive = True
        await client.post("/v2/models/ensemble/infer", ("x", "y"), b"{}")
        peer.garbage = True
        with pytest.raises(PeerError, match="not HTTP"):
            await client.post("/v2/models/ensemble/infer", ("x", "y"), b"{}")
        assert peer.connections == 2
        peer.garbage = False
        assert (await client.post("/v2/models/ensemble/infer", ("x", "y"), b"{}")).status == 200
        client.close()


async def test_a_peer_that_does_not_answer_is_not_waited_for() -> None:
    async with listening(FakePeer(silent=True)) as peer:
        with pytest.raises(PeerError):
            await PeerClient(peer.base).get("/v2/models/ensemble")
