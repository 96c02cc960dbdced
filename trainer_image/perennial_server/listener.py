"""HTTP on a port: uvicorn, with connections that end after a while and a stop that somebody else decides on."""

import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from perennial_server.errors import ConfigError

REQUESTS_PER_CONNECTION = 100
"""kube-proxy balances connections, not requests: whoever kept one would stay with one pod, whatever the weights."""
_KEEP_ALIVE_SECONDS = 75


class _Protocol(HttpToolsProtocol):
    """Announces the end of a connection in its last answer, so that no request is ever sent into a closed one."""

    is_stopping: Callable[[], bool]
    served = 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.served += 1
        if self.served >= REQUESTS_PER_CONNECTION or self.is_stopping():
            self.cycle.keep_alive = False


class Listener(uvicorn.Server):
    """A uvicorn server that leaves signals to the process and stops when `should_exit` is set."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def build_listener(app: ASGIApp, is_stopping: Callable[[], bool], stop_seconds: float) -> Listener:
    """A listener whose connections say goodbye from the moment that `is_stopping` is true."""
    protocol = type("Protocol", (_Protocol,), {"is_stopping": staticmethod(is_stopping)})
    return Listener(
        uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(stop_seconds)),
        )
    )


def open_port(host: str | None, port: int) -> socket.socket:
    """A socket bound to the port; on every address, of both families where there are two, when no host is given.

    Raises:
        ConfigError: the port is taken or not allowed.
    """
    try:
        if host is not None:
            return socket.create_server((host, port), backlog=2048)
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=2048)
        return socket.create_server(("", port), backlog=2048)
    except OSError as error:
        raise ConfigError(f"port {port}: {error.strerror}: choose another one") from None
