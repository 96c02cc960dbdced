"""The work queue: one reconcile a key at a time, asked for twice is done once, failures back off."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from perennial.controllers import queue as module
from perennial.controllers.queue import Key, WorkQueue

A, B = Key("ModelDeployment", "ns", "a"), Key("ModelDeployment", "ns", "b")


@asynccontextmanager
async def running(
    reconcile: Callable[[Key], Awaitable[timedelta | None]], workers: int = 4
) -> AsyncIterator[WorkQueue]:
    """A queue at work."""
    queue = WorkQueue(reconcile, workers)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Returns when the condition holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - any condition at all, there is no event to wait for
            await asyncio.sleep(0.001)


async def test_a_key_asked_for_twice_is_reconciled_once() -> None:
    seen: list[Key] = []

    async def reconcile(key: Key) -> None:
        seen.append(key)

    async with running(reconcile) as queue:
        for key in (A, A, B, A):
            queue.add(key)
        assert queue.depth == 2
        await until(lambda: queue.depth == 0 and len(seen) >= 2)
    assert sorted(seen) == [A, B]


async def test_a_key_is_never_reconciled_twice_at_a_time_and_once_more_when_asked_for_meanwhile() -> None:
    gate, started, at_a_time, most = asyncio.Event(), 0, 0, 0

    async def reconcile(key: Key) -> None:
        nonlocal started, at_a_time, most
        started += 1
        at_a_time += 1
        most = max(most, at_a_time)
        await gate.wait()
        at_a_time -= 1

    async with running(reconcile) as queue:
        queue.add(A)
        await until(lambda: started == 1)
        for _ in range(3):
            queue.add(A)
        gate.set()
        await until(lambda: started == 2 and at_a_time == 0)
        await asyncio.sleep(0)
    assert (started, most) == (2, 1)


async def test_keys_are_reconciled_side_by_side() -> None:
    together = asyncio.Barrier(2)

    async def reconcile(_: Key) -> None:
        await together.wait()

    async with running(reconcile) as queue, asyncio.timeout(5):
        queue.add(A)
        queue.add(B)
        await until(lambda: queue.depth == 0 and together.n_waiting == 0)


async def test_a_failing_key_is_tried_again_later_each_time_and_keeps_no_other_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY", 0.01)
    tries: dict[Key, list[float]] = {A: [], B: []}

    async def reconcile(key: Key) -> None:
        tries[key].append(asyncio.get_running_loop().time())
        if key == A and len(tries[A]) < 4:
            raise ValueError("no luck")

    async with running(reconcile) as queue:
        queue.add(A)
        queue.add(B)
        await until(lambda: len(tries[A]) == 4)
    waits = [later - earlier for earlier, later in zip(tries[A], tries[A][1:], strict=False)]
    assert all(wait >= least for wait, least in zip(waits, (0.01, 0.02, 0.04), strict=True))
    assert len(tries[B]) == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"ModelDeployment ns/a: no luck; again in {wait:.1f} s" for wait in (0.01, 0.02, 0.04)
    ]


async def test_the_wait_after_failures_is_forgotten_after_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(module, "LAST_RETRY", 0.02)
    tries = 0

    async def reconcile(_: Key) -> timedelta | None:
        nonlocal tries
        tries += 1
        if tries in (1, 2, 4):
            raise ValueError("no luck")
        return timedelta(0) if tries == 3 else None

    async with running(reconcile) as queue:
        queue.add(A)
        await until(lambda: tries == 5)


async def test_of_two_dates_the_earlier_stands() -> None:
    seen = 0

    async def reconcile(_: Key) -> None:
        nonlocal seen
        seen += 1

    async with running(reconcile) as queue:
        queue.add_after(A, 3600)
        queue.add_after(A, 0.01)
        queue.add_after(A, 3600)
        await until(lambda: seen == 1)


async def test_a_reconcile_may_ask_to_be_run_again() -> None:
    seen = 0

    async def reconcile(_: Key) -> timedelta | None:
        nonlocal seen
        seen += 1
        return timedelta(milliseconds=5) if seen < 3 else None

    async with running(reconcile) as queue:
        queue.add(A)
        await until(lambda: seen == 3)


async def test_the_beat_goes_on_while_there_is_nothing_to_do() -> None:
    async def reconcile(_: Key) -> None: ...

    async with running(reconcile) as queue:
        first = queue.beat
        queue.add_after(A, 0.01)
        await until(lambda: queue.beat > first)
