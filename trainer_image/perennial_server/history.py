"""What stands before a row in its series, read from the sample store at the moment that it is asked for."""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence as Items
from datetime import datetime
from operator import itemgetter

import numpy as np
import orjson

from perennial_contract.recording import UNRESOLVED
from perennial_contract.report import Manifest
from perennial_contract.samples import SampleContract
from perennial_contract.sequence import Sequence
from perennial_server.database import Database
from perennial_server.errors import RequestError, StoreRefusedError, StoreUnavailableError
from perennial_server.instants import to_micros
from perennial_server.models import Matrix
from perennial_server.statements import history_statement
from perennial_server.windows import UNUSABLE, History

_MOST_VALUES = 1 << 20
"""Of the histories of one request."""
_PATIENCE_SECONDS = 10.0

_Row = tuple[int, int, float, list[float]]
"""at and known_at in µs, target (NaN: none), features."""


class Recent:
    """Rows that this process was sent: they may not be in the store yet when the next one looks back on them."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._rows: dict[str, deque[_Row]] = {}

    def add(self, series: Items[str], times: Items[datetime], rows: Matrix) -> None:
        """Keeps the newest of each series."""
        for name, time, row in zip(series, times, rows.tolist(), strict=True):
            kept = self._rows.setdefault(name, deque(maxlen=self._length))
            kept.append((to_micros(time), 0, np.nan, row))

    def of(self, series: str) -> Items[_Row]:
        """A series' rows; their targets are not known."""
        return self._rows.get(series, ())


class StoredHistory:
    """Reads the latest rows before each of a request's rows, in one query for all of them."""

    def __init__(self, database: Database, contract: SampleContract, manifest: Manifest, sequence: Sequence) -> None:
        self._database = database
        self._length = sequence.input_size
        self._delay = to_micros(sequence.label_delay)
        self._statement = history_statement(contract, manifest.features)
        self._recent = Recent(sequence.input_size)

    async def read(self, rows: Matrix, series: Items[str], times: Items[datetime]) -> History:
        """The history of rows whose series are among those trained on.

        Raises:
            RequestError: 422, a history is too short; 503, the store does not answer.
        """
        self._check_size(rows)
        # Rows of one request see each other, and those that came just now: the store has them a moment later.
        asked = [(name, to_micros(time)) for name, time in zip(series, times, strict=True)]
        fresh = {name: {row[0]: row for row in self._recent.of(name)} for name in series}
        for (name, at), values in zip(asked, rows.tolist(), strict=True):
            fresh[name][at] = (at, 0, np.nan, values)
        in_order = {name: [found[at] for at in sorted(found)] for name, found in fresh.items()}
        self._recent.add(series, times, rows)
        stored = await self._query(series, times)
        histories = [self._merge(row, name, at, stored[row], in_order[name]) for row, (name, at) in enumerate(asked)]
        return History(
            features=np.array([[values for *_, values in one] for one in histories], dtype=np.float64),
            at=np.array([[at for at, *_ in one] for one in histories], dtype=np.int64),
            known_at=np.array([[known for _, known, *_ in one] for one in histories], dtype=np.int64),
            targets=np.array([[target for _, _, target, _ in one] for one in histories], dtype=np.float64),
        )

    def _check_size(self, rows: Matrix) -> None:
        """All of it is in memory at once."""
        most = max(1, _MOST_VALUES // (self._length * rows.shape[1]))
        if len(rows) > most:
            raise RequestError(
                f"{len(rows)} rows that each look back on {self._length} are too many at once: send at most {most}"
            )

    async def _query(self, series: Items[str], times: Items[datetime]) -> list[list[_Row]]:
        """Newest first, for each row."""
        asked = [{"n": row, "s": name, "t": time} for row, (name, time) in enumerate(zip(series, times, strict=True))]
        found: list[list[_Row]] = [[] for _ in asked]
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), self._database.transaction() as connection:
                cursor = connection.cursor(binary=True)
                await cursor.execute(self._statement, (orjson.dumps(asked).decode(), self._length))
                for row, at, resolved, target, values in await cursor.fetchall():
                    known = max(UNRESOLVED if resolved is None else resolved, at + self._delay)
                    numbers = [np.nan if value is None else value for value in values]
                    found[row].append((at, known, np.nan if target is None else float(target), numbers))
        except TimeoutError:
            raise RequestError(
                f"the history was not read within {_PATIENCE_SECONDS:g} s: see that the samples have an index over "
                "series and at, as `perennial store init` makes it, and try again",
                503,
            ) from None
        except (StoreUnavailableError, StoreRefusedError) as error:
            raise RequestError(f"the history cannot be read, the sample store says: {error}: try again", 503) from None
        return found

    def _merge(self, row: int, series: str, at: int, stored: list[_Row], fresh: Items[_Row]) -> list[_Row]:
        """The newest ``length`` rows before ``at``, oldest first, as ``fresh`` is; what the store has is worth more."""
        before = fresh[: bisect_left(fresh, at, key=itemgetter(0))][-self._length :]
        merged = {one[0]: one for one in before} | {one[0]: one for one in stored}
        if len(merged) < self._length:
            raise RequestError(
                f"row {row}: series {series!r} has {len(merged)} rows before it, this model looks back on "
                f"{self._length}: wait until there are as many, or send tensor 'history'",
                UNUSABLE,
            )
        return [merged[time] for time in sorted(merged)[-self._length :]]
