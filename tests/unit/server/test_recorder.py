"""The queue between answers and the store: bounded, patient, and honest about what it loses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.unit.server.served import make_config

from perennial_server import recorder as module
from perennial_server.errors import StoreRefusedError, StoreUnavailableError
from perennial_server.metrics import Metrics
from perennial_server.recorder import Recorder
from perennial_server.records import Scored, join

AT = datetime(2024, 5, 1, tzinfo=UTC)


def scored(*ids: str, score: float = 0.5) -> Scored:
    n = len(ids)
    rows = np.full((n, 2), score)
    return Scored(list(ids), ["BTC"] * n, [AT] * n, rows, np.full(n, score), ["live"] * n)


class Store:
    """Takes rows, except the ones that it is told to refuse; may be down."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.tries = 0
        self.down = False
        self.refused: set[str] = set()
        self.broken = False

    async def write(self, scored: Scored) -> None:
        self.tries += 1
        await asyncio.sleep(0)
        if self.broken:
            raise ZeroDivisionError
        if self.down:
            raise StoreUnavailableError("connection refused")
        if self.refused & set(scored.ids):
            raise StoreRefusedError("out of range")
        self.taken += scored.ids


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    return Metrics(make_config(tmp_path, "sha256:" + "0" * 64))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.005)
    monkeypatch.setattr(module, "_BACK_OFF_SECONDS", (0.005,))


@asynccontextmanager
async def running(recorder: Recorder, seconds: float = 5.0) -> AsyncIterator[None]:
    task = asyncio.create_task(recorder.run())
    yield
    await recorder.close(task, seconds)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for is what the code under test does, without an event
            await asyncio.sleep(0.001)


def dropped(metrics: Metrics, reason: str) -> float | None:
    return metrics.registry.get_sample_value("perennial_server_records_dropped_total", {"reason": reason})


def queued(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("perennial_server_records_queued")


async def test_records_are_written_together_while_serving(metrics: Metrics) -> None:
    store = Store()
    recorder = Recorder(store, 100, metrics)
    async with running(recorder):
        recorder.offer(scored("b"))
        recorder.offer(scored("a", "c"))
        await until(lambda: len(store.taken) == 3)
    assert store.taken == ["a", "b", "c"]
    assert store.tries == 1
    assert queued(metrics) == 0


async def test_beyond_the_limit_records_are_dropped_and_counted(metrics: Metrics) -> None:
    store = Store()
    recorder = Recorder(store, 3, metrics)
    recorder.offer(scored("a", "b"))
    recorder.offer(scored("c", "d"))
    recorder.offer(scored("e"))
    assert queued(metrics) == 3
    async with running(recorder):
        pass
    assert store.taken == ["a", "b", "e"]
    assert dropped(metrics, "queue_full") == 2


async def test_room_comes_back_even_when_a_sample_was_scored_twice(metrics: Metrics) -> None:
    store = Store()
    recorder = Recorder(store, 4, metrics)
    async with running(recorder):
        for round_ in range(5):
            recorder.offer(scored("same", f"a{round_}"))
            recorder.offer(scored("same", f"b{round_}"))
            await until(lambda: queued(metrics) == 0)
    assert dropped(metrics, "queue_full") == 0


async def test_a_store_that_is_down_loses_nothing(metrics: Metrics) -> None:
    store = Store()
    store.down = True
    recorder = Recorder(store, 100, metrics)
    async with running(recorder):
        recorder.offer(scored("a"))
        await until(lambda: store.tries >= 5)
        recorder.offer(scored("b"))
        assert store.taken == []
        store.down = False
        await until(lambda: len(store.taken) == 2)
    assert (metrics.registry.get_sample_value("perennial_server_store_errors_total") or 0) >= 5


async def test_one_bad_row_does_not_hold_up_the_others(metrics: Metrics) -> None:
    store = Store()
    store.refused = {"g"}
    recorder = Recorder(store, 100, metrics)
    async with running(recorder):
        recorder.offer(scored(*"abcdefghijk"))
    assert sorted(store.taken) == list("abcdefhijk")
    assert dropped(metrics, "refused") == 1
    assert queued(metrics) == 0


async def test_series_that_some_requests_name_and_others_do_not_are_left_out(metrics: Metrics) -> None:
    store = Store()
    recorder = Recorder(store, 100, metrics)
    async with running(recorder):
        recorder.offer(scored("a"))
        recorder.offer(replace(scored("b", "c"), series=[]))
    assert store.taken == ["a", "b", "c"]
    assert join([replace(scored("b", "c"), series=[]), scored("a")]).series == ()


async def test_what_nobody_foresaw_costs_one_batch_and_is_counted(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store()
    recorder = Recorder(store, 100, metrics)
    async with running(recorder):
        store.broken = True
        recorder.offer(scored("a", "b"))
        recorder.offer(replace(scored("c"), rows=np.zeros((1, 3))))  # cannot be joined with the others
        await until(lambda: dropped(metrics, "failed") == 3)
        recorder.offer(scored("d"))
        await until(lambda: dropped(metrics, "failed") == 4)
        assert queued(metrics) == 0
        store.broken = False
        recorder.offer(scored("e"))
        await until(lambda: len(store.taken) == 1)
    assert store.taken == ["e"]
    assert "3 scored rows are not recorded" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_what_waits_at_the_end_is_written(metrics: Metrics) -> None:
    store = Store()
    store.down = True
    recorder = Recorder(store, 100, metrics)
    task = asyncio.create_task(recorder.run())
    recorder.offer(scored("a"))
    await until(lambda: store.tries > 0)
    closing = asyncio.create_task(recorder.close(task, 5))
    recorder.offer(scored("b"))
    store.down = False
    await closing
    assert store.taken == ["a", "b"]


async def test_what_cannot_be_written_by_the_end_is_counted(metrics: Metrics) -> None:
    store = Store()
    store.down = True
    recorder = Recorder(store, 100, metrics)
    async with running(recorder, 0.05):
        recorder.offer(scored("a", "b"))
        await until(lambda: store.tries > 0)
        recorder.offer(scored("c"))
    assert dropped(metrics, "shutdown") == 3


async def test_a_large_request_is_written_in_parts(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST_WRITE", 3)
    store = Store()
    recorder = Recorder(store, 100, metrics)
    async with running(recorder):
        recorder.offer(scored(*"abcdefghij"))
    assert store.taken == list("abcdefghij")
    assert store.tries == 4
    assert queued(metrics) == 0


def test_joining_keeps_the_first_of_a_sample_and_orders_by_id() -> None:
    batch = join([scored("b", score=0.1), scored("a", "b", score=0.9)])
    assert list(batch.ids) == ["a", "b"]
    assert batch.scores.tolist() == [0.9, 0.1]
    assert batch.rows.tolist() == [[0.9, 0.9], [0.1, 0.1]]


def test_halves_are_the_whole() -> None:
    batch = scored("a", "b", "c")
    first, second = batch.split()
    assert (first.ids, second.ids) == (["a"], ["b", "c"])
    assert (len(first.rows), len(second.rows)) == (1, 2)
