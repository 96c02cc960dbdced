"""Five minutes without a database under a steady load, on a clock that runs ahead when there is nothing to do."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.server.served import make_config

from perennial_contract.serving import ServerConfig
from perennial_server.errors import StoreUnavailableError
from perennial_server.metrics import Metrics
from perennial_server.recorder import Recorder
from perennial_server.records import Scored

AT = datetime(2024, 5, 1, tzinfo=UTC)
REQUESTS_A_SECOND = 50
LIMIT = ServerConfig.model_fields["queue_limit"].default


class _Hurry(selectors.DefaultSelector):  # type: ignore[misc, valid-type] # whichever the platform has
    """Waits for nothing: what would have been waited is added to the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += max(timeout or 0.0, 0.0)
        return super().select(0)


def in_simulated_time(work: Coroutine[Any, Any, None]) -> None:
    selector = _Hurry()

    def make_loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.SelectorEventLoop(selector)
        loop.time = lambda: selector.now  # type: ignore[method-assign] # the one clock that asyncio asks
        return loop

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(work)


class _Store:
    """Down until told otherwise."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.tries = 0
        self.down = True

    async def write(self, scored: Scored) -> None:
        self.tries += 1
        await asyncio.sleep(0.05)
        if self.down:
            raise StoreUnavailableError("connection refused")
        self.taken += scored.ids


class _Traffic:
    """A recorder that is offered one row a request, and how many waited at most."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.store = _Store()
        self.recorder = Recorder(self.store, LIMIT, metrics)
        self.offered: list[str] = []
        self.most = 0.0

    async def flow(self, seconds: int) -> None:
        for _ in range(seconds * REQUESTS_A_SECOND):
            name = f"s{len(self.offered):06}"
            self.offered.append(name)
            self.recorder.offer(Scored([name], ["BTC"], [AT], np.zeros((1, 2)), np.array([0.5]), ["live"]))
            self.most = max(self.most, self.value("records_queued"))
            await asyncio.sleep(1 / REQUESTS_A_SECOND)

    def value(self, name: str, **labels: str) -> float:
        found = self.metrics.registry.get_sample_value(f"perennial_server_{name}", labels)
        assert found is not None
        return found

    def dropped(self) -> dict[str, float]:
        reasons = ("queue_full", "refused", "failed", "shutdown")
        return {reason: self.value("records_dropped_total", reason=reason) for reason in reasons}


@pytest.fixture
def traffic(tmp_path: Path) -> _Traffic:
    return _Traffic(Metrics(make_config(tmp_path, "sha256:" + "0" * 64)))


def test_five_minutes_without_a_database_lose_nothing(traffic: _Traffic) -> None:
    async def outage() -> None:
        task = asyncio.create_task(traffic.recorder.run())
        await traffic.flow(300)
        assert traffic.store.taken == []
        assert traffic.value("records_queued") == 300 * REQUESTS_A_SECOND
        assert 50 < traffic.store.tries < 100  # neither given up nor hammered
        traffic.store.down = False
        await traffic.flow(10)
        assert traffic.value("records_queued") < REQUESTS_A_SECOND  # caught up within seconds
        await traffic.recorder.close(task, 5)

    in_simulated_time(outage())
    assert traffic.store.taken == traffic.offered
    assert len(traffic.offered) == 310 * REQUESTS_A_SECOND
    assert traffic.most <= LIMIT
    assert traffic.dropped() == {"queue_full": 0, "refused": 0, "failed": 0, "shutdown": 0}


def test_an_outage_that_outlasts_the_queue_costs_what_has_no_room_and_no_more_memory(traffic: _Traffic) -> None:
    async def outage() -> None:
        task = asyncio.create_task(traffic.recorder.run())
        await traffic.flow(600)
        assert traffic.value("records_queued") == LIMIT
        traffic.store.down = False
        await traffic.recorder.close(task, 60)

    in_simulated_time(outage())
    lost = 600 * REQUESTS_A_SECOND - LIMIT
    assert traffic.most == LIMIT
    assert traffic.store.taken == traffic.offered[:LIMIT]
    assert traffic.dropped() == {"queue_full": lost, "refused": 0, "failed": 0, "shutdown": 0}
