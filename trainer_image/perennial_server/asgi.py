"""Bodies in and answers out, for handlers that stand below the framework as well as for those inside it."""

from collections.abc import Iterable

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Send

from perennial_server.errors import RequestError

Header = tuple[bytes, bytes]


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body.

    Raises:
        RequestError: 413, it is larger than the limit.
        ClientDisconnect: nobody waits for an answer any more.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise RequestError(f"the body is larger than {limit} bytes: send it in parts", 413)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def send_json(send: Send, status: int, body: bytes, headers: Iterable[Header]) -> None:
    """Answers with JSON that is rendered already."""
    length = str(len(body)).encode()
    fixed = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": body})


def render_error(message: str) -> bytes:
    """What every refusal looks like."""
    return orjson.dumps({"error": message})


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer of a handler inside the framework."""
    return Response(orjson.dumps(content), status, headers, "application/json")


async def explain_http_error(request: Request, error: Exception) -> Response:
    """The framework's own refusals (no such path, no such method) in the form of all others."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    return json_response({"error": message}, error.status_code, dict(error.headers or {}))
