"""Serving pods as the operator meets them: an address with a `/metrics` page."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest


class ServingPod:
    """A pod that answers at one of this machine's own addresses."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.asked = 0
        """How often its page was read."""
        registry = CollectorRegistry()
        self._requests = Counter("perennial_server_requests", "By code", ["code"], registry=registry)
        self._seconds = Histogram("perennial_server_request_seconds", "To the answer", registry=registry)
        pod = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pod.asked += 1
                page = generate_latest(registry)
                self.send_response(200)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer((address, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name=f"pod-{address}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, in_time: int, *, failed: int = 0, slow: int = 0) -> None:
        """Requests that were answered since."""
        for count, seconds in ((in_time, 0.01), (slow, 2.0)):
            for _ in range(count):
                self._requests.labels("200").inc()
                self._seconds.observe(seconds)
        self._requests.labels("500").inc(failed)
