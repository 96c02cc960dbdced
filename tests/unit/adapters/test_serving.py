"""Counts of requests, from the very page that servers show."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import generate_latest
from tests.unit.server.served import make_config

from perennial.adapters.serving import observe_served, read_served
from perennial.domain.guard import Served
from perennial_server.metrics import Metrics


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    return Metrics(make_config(tmp_path, "sha256:" + "0" * 64))


def answer(metrics: Metrics, *seconds: float, **failures: int) -> None:
    for each in seconds:
        metrics.requests.labels(200).inc()
        metrics.seconds.observe(each)
    for code, count in failures.items():
        metrics.requests.labels(code.removeprefix("status_")).inc(count)


def page(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_answers_are_told_apart(metrics: Metrics) -> None:
    answer(metrics, 0.001, 0.3, 0.9, 1.1, 7.0, status_500=4, status_503=1, status_422=2, status_400=50)
    assert read_served(page(metrics), 1.0) == Served(failed=7, slow=2, in_time=3)


def test_a_limit_between_two_bounds_is_rounded_up(metrics: Metrics) -> None:
    answer(metrics, 0.3, 0.6)
    assert read_served(page(metrics), 0.26) == Served(slow=1, in_time=1)


def test_a_server_that_was_not_asked_yet(metrics: Metrics) -> None:
    assert read_served(page(metrics), 1.0) == Served()


@pytest.mark.parametrize("page", ["", "up 1\n", "<html>", 'perennial_server_request_seconds_bucket{le="x"} 1\n'])
def test_another_server_s_page_tells_nothing(page: str) -> None:
    assert read_served(page, 1.0) is None


@asynccontextmanager
async def pod(body: str, status: int = 200) -> AsyncIterator[int]:
    async def metrics_page(_: web.Request) -> web.Response:
        return web.Response(text=body, status=status)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics_page)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_pods_are_told_apart_and_one_that_does_not_answer_is_left_out(metrics: Metrics) -> None:
    answer(metrics, 0.1, status_500=2)
    async with pod(page(metrics)) as port:
        assert await observe_served(["127.0.0.1", "::1"], port, 1.0) == {"127.0.0.1": Served(failed=2, in_time=1)}


async def test_nothing_is_known_when_no_pod_tells() -> None:
    async with pod("broken", 500) as port:
        assert await observe_served(["127.0.0.1"], port, 1.0) == {}
    assert await observe_served([], 1, 1.0) == {}
