"""Probes and metrics over HTTP."""

import asyncio
from typing import Protocol

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from perennial.adapters.metrics import Metrics
from perennial.settings import Settings


class Probed(Protocol):
    """Something that works, or does not."""

    settings: Settings
    metrics: Metrics

    @property
    def ready(self) -> bool: ...

    @property
    def alive(self) -> bool: ...


async def serve(operator: Probed) -> None:
    """`/healthz`, `/readyz` and `/metrics` until cancelled."""

    def answer(good: bool) -> web.Response:
        return web.Response(status=200 if good else 503, text="ok\n" if good else "not ok\n")

    async def healthz(_: web.Request) -> web.Response:
        return answer(operator.alive)

    async def readyz(_: web.Request) -> web.Response:
        return answer(operator.ready)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=operator.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=operator.settings.port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
