"""The market, replayed through the real endpoints: a request a bar and model, an outcome once its barrier is hit."""

import asyncio
import csv
import heapq
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import httpx
from tests.demo.timescale import FACTOR

from perennial_contract.samples import RESERVED_COLUMNS
from perennial_contract.serving import VERSION_HEADER


@dataclass(frozen=True)
class Bar:
    """One sample of the example."""

    id: str
    series: str
    at: datetime
    features: Mapping[str, float | None]
    target: int
    reward: float
    resolved_at: datetime


def read_bars(path: Path) -> list[Bar]:
    """The resolved samples of a file, oldest first."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["target"]]
    bars = [
        Bar(
            row["id"],
            row["series"],
            datetime.fromisoformat(row["at"]),
            {name: float(v) if v else None for name, v in row.items() if name not in RESERVED_COLUMNS},
            int(row["target"]),
            float(row["reward"]),
            datetime.fromisoformat(row["resolved_at"]),
        )
        for row in rows
    ]
    return sorted(bars, key=lambda bar: bar.at)


@dataclass
class Market:
    """A player of bars, and what came of them."""

    endpoints: Mapping[str, str]
    """Model → base URL for requests."""
    outcomes_url: str
    token: str
    bars: Sequence[Bar]
    """In quick time."""
    opens: datetime
    """The market's date of the first of them."""
    answered: Counter[str] = field(default_factory=Counter)
    """Answers by model."""
    versions: dict[str, Counter[str]] = field(default_factory=dict)
    """Answers by model and version's UID."""
    failed: Counter[str] = field(default_factory=Counter)
    """Requests without a good answer, by what happened."""
    outcomes: int = 0
    today: datetime | None = None
    """The market's date."""

    async def play(self, seconds: float) -> None:
        """Replay bars in quick time, for so long or until there are no more.

        A bar happens when it is sent: on a busy machine the market goes slower, and no outcome comes late for that.
        """
        first, opened = self.bars[0].at, time.monotonic()
        due: list[tuple[datetime, str, Bar]] = []
        pending: set[asyncio.Task[None]] = set()
        limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
        async with httpx.AsyncClient(timeout=10, limits=limits) as client:
            for bar, following in pairwise(self.bars):
                if time.monotonic() - opened > seconds:
                    break
                at = datetime.now(UTC)
                self.today = self.opens + (bar.at - first) * FACTOR
                heapq.heappush(due, (at + (bar.resolved_at - bar.at), bar.id, bar))
                for model in self.endpoints:
                    pending.add(task := asyncio.create_task(self._ask(client, model, bar, at)))
                    task.add_done_callback(pending.discard)
                known = []
                while due and due[0][0] <= datetime.now(UTC):
                    known.append(heapq.heappop(due)[2])
                if known:
                    pending.add(task := asyncio.create_task(self._tell(client, known)))
                    task.add_done_callback(pending.discard)
                await asyncio.sleep((at + (following.at - bar.at) - datetime.now(UTC)).total_seconds())
            await asyncio.sleep(timedelta(hours=24).total_seconds() / FACTOR)
            await self._tell(client, [bar for _, _, bar in due])
            await asyncio.gather(*pending)

    async def _ask(self, client: httpx.AsyncClient, model: str, bar: Bar, at: datetime) -> None:
        inputs = [
            {"name": "sample_id", "shape": [1], "datatype": "BYTES", "data": [bar.id]},
            {"name": "series", "shape": [1], "datatype": "BYTES", "data": [bar.series]},
            {"name": "at", "shape": [1], "datatype": "BYTES", "data": [at.isoformat()]},
            *(
                {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
                for name, value in bar.features.items()
            ),
        ]
        try:
            answer = await client.post(f"{self.endpoints[model]}/v2/models/{model}/infer", json={"inputs": inputs})
        except httpx.HTTPError as error:
            self.failed[type(error).__name__] += 1
            return
        if answer.status_code != httpx.codes.OK:
            self.failed[f"HTTP {answer.status_code}"] += 1
            return
        self.answered[model] += 1
        self.versions.setdefault(model, Counter())[answer.headers[VERSION_HEADER]] += 1

    async def _tell(self, client: httpx.AsyncClient, bars: Sequence[Bar]) -> None:
        if not bars:
            return
        outcomes = [{"id": bar.id, "target": bar.target, "reward": bar.reward} for bar in bars]
        try:
            answer = await client.post(
                f"{self.outcomes_url}/outcomes",
                json={"outcomes": outcomes},
                headers={"Authorization": f"Bearer {self.token}"},
            )
            answer.raise_for_status()
            self.outcomes += len(bars)
        except httpx.HTTPError as error:
            self.failed[f"outcomes: {type(error).__name__}"] += 1
