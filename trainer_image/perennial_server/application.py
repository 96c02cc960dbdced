"""The serving port's application: inference below the framework, everything else inside it."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import TypeVar

import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from perennial_contract.samples import Track
from perennial_contract.serving import FORWARDED_HEADER, VERSION_HEADER, ServerConfig
from perennial_server.asgi import explain_http_error, json_response, read_body, render_error, send_json
from perennial_server.errors import RequestError
from perennial_server.history import StoredHistory
from perennial_server.metrics import Metrics
from perennial_server.models import Ensemble, Matrix, Windows
from perennial_server.past import HISTORY
from perennial_server.protocol import Batch, Inputs, describe_model, parse_request, render_answer
from perennial_server.recorder import Recorder
from perennial_server.records import Scored
from perennial_server.shadow import Forwarder
from perennial_server.windows import UNUSABLE, build_windows, check_series

logger = logging.getLogger(__name__)

_MAX_BYTES = 64 * 1024 * 1024
# Up to these sizes the work itself takes less than handing it to a thread and back would add to the others' waiting.
_INLINE_BYTES = 256 * 1024
_INLINE_VALUES = 16_384
_FORWARDED = FORWARDED_HEADER.encode()
T = TypeVar("T")


@dataclass(slots=True)
class State:
    """Whether requests are welcome."""

    ready: bool = True


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is put together from."""

    config: ServerConfig
    model: Ensemble
    inputs: Inputs
    metrics: Metrics
    state: State
    recorder: Recorder | None = None
    """None: nothing is recorded, as in a benchmark."""
    forwarder: Forwarder | None = None
    history: StoredHistory | None = None
    """Where a model that looks back reads what a client does not send; None: nowhere."""


class Application:
    """An ASGI application. The one path that counts is taken before routing, which would cost as much as its work."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._model_path = f"/v2/models/{parts.config.name}"
        self._infer_path = f"{self._model_path}/infer"
        self._version_header = (VERSION_HEADER.encode(), parts.config.version.encode())
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="scoring")
        self._framework = Starlette(
            routes=[
                Route("/v2", self._server),
                Route("/v2/health/live", self._live),
                Route("/v2/health/ready", self._ready),
                Route(self._model_path, self._metadata),
                Route(f"{self._model_path}/ready", self._ready),
                Route("/metrics", self._metrics_page),
            ],
            exception_handlers={HTTPException: explain_http_error},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == self._infer_path and scope["method"] == "POST":
            await self._infer(scope, receive, send)
        else:
            await self._framework(scope, receive, self._with_version(send))

    async def _infer(self, scope: Scope, receive: Receive, send: Send) -> None:
        metrics = self._parts.metrics
        sender = _sender_of(scope)
        try:
            body = await read_body(receive, _MAX_BYTES)
            started = time.perf_counter()
            status, answer = 200, await self._score(body, sender)
            metrics.seconds.observe(time.perf_counter() - started)
        except ClientDisconnect:
            return
        except RequestError as error:
            status, answer = error.status, render_error(str(error))
        except Exception:
            logger.exception("a request could not be answered")
            status, answer = 500, render_error("the server failed to answer: its log says why")
        metrics.requests.labels(status).inc()
        await send_json(send, status, answer, (self._version_header,))
        if status == 200 and sender is None and self._parts.forwarder is not None:
            self._parts.forwarder.offer(body)

    async def _score(self, body: bytes, sender: str | None) -> bytes:
        """The answer to a request, and its record on the way."""
        config, inputs, model = self._parts.config, self._parts.inputs, self._parts.model
        batch = await self._run(len(body) > _INLINE_BYTES, lambda: parse_request(body, inputs))
        try:
            windows = await self._windows(batch)
        except RequestError as error:
            # What it cannot score yet, the next row may look back on, and the next training may learn from.
            if error.status == UNUSABLE and sender != config.version:
                self._record(batch, np.full(len(batch.ids), np.nan), "shadow" if sender else config.track)
            raise
        large = batch.rows.size * (windows.targets.shape[1] if windows else 1) > _INLINE_VALUES
        scores, spread = await self._run(large, lambda: model.score(batch.rows, windows))
        if not ((scores >= 0) & (scores <= 1)).all():
            raise RequestError("the model gave a score that is no probability: nothing was recorded", 500)
        track: Track = "live" if sender is None and config.track == "live" else "shadow"
        self._parts.metrics.rows.labels(track).inc(len(scores))
        # A request that came back to its own version, as may happen while pods are replaced, must not become the
        # record of what was answered.
        if sender != config.version:
            self._record(batch, scores, track)
        return render_answer(config, batch, scores, spread)

    async def _windows(self, batch: Batch) -> Windows | None:
        """What a model that looks back sees of each row's past: from the request, or else from the store."""
        inputs, stored = self._parts.inputs, self._parts.history
        if inputs.window is None:
            return None
        check_series(batch.series, inputs.window)
        history = batch.history
        if history is None:
            if stored is None:
                raise RequestError(f"tensor {HISTORY!r} is missing: this server reads no sample store")
            history = await stored.read(batch.rows, batch.series, batch.times)
        window, past = inputs.window, history
        return await self._run(
            past.features.size > _INLINE_VALUES,
            lambda: build_windows(batch.rows, batch.series, batch.times, past, window, inputs.features),
        )

    def _record(self, batch: Batch, scores: Matrix, track: Track) -> None:
        if self._parts.recorder is not None:
            tracks = [track] * len(scores)
            self._parts.recorder.offer(Scored(batch.ids, batch.series, batch.times, batch.rows, scores, tracks))

    async def _run(self, large: bool, work: Callable[[], T]) -> T:
        """In a thread when it would keep the others waiting."""
        if large:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        return work()

    def _with_version(self, send: Send) -> Send:
        """Every answer says whose it is."""

        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], self._version_header]}
            await send(message)

        return send_with_version

    async def _server(self, request: Request) -> Response:
        return json_response({"name": "perennial", "version": installed_version("perennial"), "extensions": []})

    async def _live(self, request: Request) -> Response:
        return json_response({"live": True})

    async def _ready(self, request: Request) -> Response:
        ready = self._parts.state.ready
        return json_response({"ready": ready}, 200 if ready else 503)

    async def _metadata(self, request: Request) -> Response:
        return json_response(describe_model(self._parts.config, self._parts.inputs))

    async def _metrics_page(self, request: Request) -> Response:
        return Response(generate_latest(self._parts.metrics.registry), headers={"content-type": CONTENT_TYPE_LATEST})


def _sender_of(scope: Scope) -> str | None:
    """The version that forwarded the request; None when a client sent it."""
    for name, value in scope["headers"]:
        if name == _FORWARDED:
            return str(value, "latin-1")
    return None
