"""A load generator of its own process: kept connections, one request at a time on each, as fast as answers come."""

import asyncio
import itertools
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httptools
import uvloop

PLACE_OF_NUMBER = b"@" * 10
"""In a body: replaced by a number that no other request has, for ids."""
_numbers = itertools.count(os.getpid() % 10_000 * 1_000_000)


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent, and for how long."""

    port: int
    path: str
    body: bytes
    connections: int
    seconds: float

    @property
    def request(self) -> bytes:
        """The bytes of one request."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


class Connection(asyncio.Protocol):
    """Waits for whole answers, and notices when the server says goodbye."""

    def __init__(self) -> None:
        self.open = True
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.open = self.open and bool(self._parser.should_keep_alive())
        assert self._answer is not None
        self._answer.set_result(int(self._parser.get_status_code()))

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed before the answer"))

    async def exchange(self, request: bytes) -> int:
        """The answer's status."""
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()


async def _client(load: Load, until: float, seconds: list[float]) -> None:
    loop, template = asyncio.get_running_loop(), load.request
    connection: Connection | None = None
    while (begun := time.perf_counter()) < until:
        # Opening is part of what a request costs: a server that ends its connections pays for it here.
        if connection is None or not connection.open:
            if connection is not None:
                connection.close()
            _, connection = await loop.create_connection(Connection, "127.0.0.1", load.port)
        status = await connection.exchange(template.replace(PLACE_OF_NUMBER, b"%010d" % next(_numbers)))
        seconds.append(time.perf_counter() - begun)
        if status != 200:
            raise RuntimeError(f"answered {status}: a benchmark of refusals says nothing")
    if connection is not None:
        connection.close()


async def _run(load: Load) -> dict[str, float]:
    seconds: list[float] = []
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(load.connections):
            group.create_task(_client(load, begun + load.seconds, seconds))
    elapsed = time.perf_counter() - begun
    seconds.sort()
    return {
        "per_second": len(seconds) / elapsed,
        "p50_ms": seconds[len(seconds) // 2] * 1e3,
        "p99_ms": seconds[int(len(seconds) * 0.99)] * 1e3,
        "requests": len(seconds),
    }


def main() -> None:
    """Arguments: port, path, file with the body, connections, seconds. Prints one JSON object."""
    port, path, file, connections, seconds = sys.argv[1:]
    load = Load(int(port), path, Path(file).read_bytes(), int(connections), float(seconds))
    print(json.dumps(uvloop.run(_run(load))))


if __name__ == "__main__":
    main()
