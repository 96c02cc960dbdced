"""A client under steady load: requests at fixed times whatever the answers take, and outcomes a moment later."""

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
from tests.e2e.market import FEATURES, Market

from perennial_contract.serving import VERSION_HEADER

CLIENTS = 8
"""Sessions that take turns: kube-proxy balances connections, so one alone would stay with one pod for long."""
TIMEOUT_SECONDS = 5.0
OUTCOME_DELAY_SECONDS = 1.0
OUTCOMES_EVERY_SECONDS = 0.3
_DRAWN = 1000


@dataclass(frozen=True)
class Endpoint:
    """Where a model answers."""

    model: str
    host: str
    token: str
    port: int = 8080
    outcomes_port: int = 8081

    @property
    def infer_url(self) -> str:
        return f"http://{self.host}:{self.port}/v2/models/{self.model}/infer"

    @property
    def outcomes_url(self) -> str:
        return f"http://{self.host}:{self.outcomes_port}/outcomes"


class Load:
    """Open loop: a slow answer does not make the next request late. Every request that gets no 200 is a failure."""

    def __init__(
        self, endpoint: Endpoint, market: Market, rate: float = 50.0, seed: int = 1_000, *, keep_alive: bool = True
    ) -> None:
        self._endpoint, self._rate, self._seed = endpoint, rate, seed
        self._keep_alive = keep_alive
        """False: a connection a request, so that each is balanced by itself."""
        self.market = market
        """What the outcomes are drawn from; may be replaced while it runs."""
        self.sent = 0
        self.failures: list[str] = []
        self.answers: Counter[str] = Counter()
        """By the UID of the version that answered."""
        self._waiting: deque[tuple[float, dict[str, Any]]] = deque()
        self._open: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._sessions: list[aiohttp.ClientSession] = []

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        self._sessions = [
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(force_close=not self._keep_alive))
            for _ in range(CLIENTS)
        ]
        self._tasks = [asyncio.create_task(self._request()), asyncio.create_task(self._tell_outcomes())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.gather(*self._open)
        for session in self._sessions:
            await session.close()
        print(
            f"{self.sent} requests, answered by {dict(self.answers)}, {len(self.failures)} failures",
            *self.failures[:20],
            sep="\n",
        )

    async def answering(self, seconds: float = 4.0) -> set[str]:
        """The UIDs of the versions that answer during the next seconds."""
        before = self.answers.copy()
        await asyncio.sleep(seconds)
        return set(self.answers - before)

    async def _request(self) -> None:
        started = time.monotonic()
        for number, (features, target, reward) in enumerate(self._rows()):
            await asyncio.sleep(max(0.0, started + number / self._rate - time.monotonic()))
            task = asyncio.create_task(self._infer(number, features, target, reward))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    def _rows(self) -> Iterator[tuple[list[float], int, float]]:
        """Rows of the market as it is when they are drawn."""
        for seed in itertools.count(self._seed):
            market = self.market
            rows = market.draw(_DRAWN, seed)
            for i in range(len(rows)):
                if market is not self.market:
                    break
                yield rows.features[i].tolist(), int(rows.target[i]), float(rows.reward[i])

    async def _infer(self, number: int, features: list[float], target: int, reward: float) -> None:
        sample, now = f"live-{self._seed}-{number}", datetime.now(UTC)
        tensors: dict[str, tuple[str, object]] = {
            "sample_id": ("BYTES", sample),
            "series": ("BYTES", "spot"),
            "at": ("BYTES", now.isoformat()),
        }
        tensors |= {name: ("FP64", value) for name, value in zip(FEATURES, features, strict=True)}
        body = {"inputs": [{"name": n, "shape": [1], "datatype": t, "data": [v]} for n, (t, v) in tensors.items()]}
        self.sent += 1
        try:
            session = self._sessions[number % CLIENTS]
            async with session.post(self._endpoint.infer_url, json=body) as answer:
                text = await answer.text()
                if answer.status != 200:
                    self.failures.append(f"{now:%H:%M:%S.%f} {sample}: {answer.status}: {text[:200]}")
                    return
                self.answers[answer.headers[VERSION_HEADER]] += 1
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.failures.append(f"{now:%H:%M:%S.%f} {sample}: {type(error).__name__}: {error}")
            return
        self._waiting.append(
            (time.monotonic() + OUTCOME_DELAY_SECONDS, {"id": sample, "target": target, "reward": reward})
        )

    async def _tell_outcomes(self) -> None:
        headers = {"authorization": f"Bearer {self._endpoint.token}"}
        while True:
            await asyncio.sleep(OUTCOMES_EVERY_SECONDS)
            due = []
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                due.append(self._waiting.popleft()[1])
            if not due:
                continue
            try:
                async with self._sessions[0].post(
                    self._endpoint.outcomes_url, json={"outcomes": due}, headers=headers
                ) as answer:
                    if answer.status != 200:
                        self.failures.append(f"outcomes: {answer.status}: {(await answer.text())[:200]}")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self.failures.append(f"outcomes: {type(error).__name__}: {error}")
