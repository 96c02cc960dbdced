"""Simulations in parallel processes. What comes out depends on the seed alone, not on how many processes there are."""

import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Protocol
from zlib import crc32

import numpy as np
from tests.simulate.promise import Case, Finding, Promise, Tally

SEED = 20_261_126
_MINUTE = 60.0


class Watcher(Protocol):
    """Is told after each piece of work how much of all is done, from 0 to 1."""

    def __call__(self, done: float) -> None: ...


@dataclass(frozen=True)
class Batch:
    """One process's work for some seconds."""

    promise: str
    case: Case
    number: int
    runs: int

    @property
    def key(self) -> tuple[str, str]:
        return self.promise, self.case.name

    def seed(self, seed: int) -> int:
        words = [seed, crc32("/".join(self.key).encode()), self.number]
        return int(np.random.SeedSequence(words).generate_state(1)[0])


def batches_of(promises: tuple[Promise, ...], scale: float) -> list[Batch]:
    """All the work, mixed: so that the share that is done tells how long the rest takes."""
    work = []
    for promise in promises:
        for case in promise.cases:
            wanted = max(1, ceil(case.runs * scale))
            sizes = [min(case.batch, wanted - begun) for begun in range(0, wanted, case.batch)]
            work += [Batch(promise.name, case, number, runs) for number, runs in enumerate(sizes)]
    random.Random(0).shuffle(work)
    return work


def run(
    promises: tuple[Promise, ...],
    *,
    scale: float = 1.0,
    seed: int = SEED,
    executor: Executor,
    watcher: Watcher = lambda _: None,
) -> dict[str, list[Finding]]:
    """Findings by the promise's name, in the order of its cases."""
    work = batches_of(promises, scale)
    waiting = {executor.submit(batch.case.simulate, runs=batch.runs, seed=batch.seed(seed)): batch for batch in work}
    parts: dict[tuple[str, str], list[tuple[int, Tally]]] = {}
    try:
        for done, future in enumerate(as_completed(waiting), start=1):
            batch = waiting[future]
            parts.setdefault(batch.key, []).append((batch.number, future.result()))
            watcher(done / len(work))
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    return {
        promise.name: [Finding(case, _whole(parts[promise.name, case.name]).estimate()) for case in promise.cases]
        for promise in promises
    }


def _whole(parts: list[tuple[int, Tally]]) -> Tally:
    (_, total), *rest = sorted(parts, key=lambda part: part[0])
    for _, tally in rest:
        total = total + tally
    return total


def processes(workers: int) -> ProcessPoolExecutor:
    """Fresh ones: a fork would take over the threads that draw the progress bar."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def show_progress() -> AbstractContextManager[Watcher]:
    """A bar where there is a terminal, else a line a minute."""
    return _bar() if sys.stderr.isatty() else _lines()


@contextmanager
def _bar() -> Iterator[Watcher]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    left = (TextColumn("left"), TimeRemainingColumn())
    columns = (TextColumn("simulating"), BarColumn(None), TaskProgressColumn(), *left)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def _lines() -> Iterator[Watcher]:
    began = told = time.monotonic()

    def tell(done: float) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= _MINUTE:
            told = now
            left = (now - began) / done * (1 - done)
            print(f"{done:4.0%} done, about {ceil(left / _MINUTE)} min left", file=sys.stderr, flush=True)

    yield tell
