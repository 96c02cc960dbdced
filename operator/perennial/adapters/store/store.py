"""The sample store as the operator sees it: asynchronous looks that never hold up the event loop."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, select

from perennial.adapters.store.checks import RecordedBy, check_series, check_tables
from perennial.adapters.store.drift import DriftQuestion, count_windows
from perennial.adapters.store.engine import (
    POOL_SIZE,
    POSTGRESQL,
    STATEMENT_TIMEOUT_SECONDS,
    open_engine,
    reading,
)
from perennial.adapters.store.errors import URL_FIELD
from perennial.adapters.store.queries import (
    build_counts_query,
    build_health_query,
    build_pairs_query,
    build_series_query,
)
from perennial.adapters.store.reading import read_health, read_pairs
from perennial.adapters.store.schema import reports_table
from perennial.domain.drift_evidence import DriftLook, Span
from perennial.domain.evidence import (
    HealthLook,
    PairLook,
    ReportRow,
    SampleCounts,
    SeriesLook,
    StoreUnavailable,
)
from perennial_contract.profile import ReferenceProfile
from perennial_contract.samples import Decision, SampleContract

T = TypeVar("T")
Observer = Callable[[str, float], None]
"""Told the kind of each look and how many seconds it took, whether it succeeded or not."""

_KEPT_ENGINES = 64
QUICK_SECONDS = 1.0
"""To be refused at once costs nothing; to wait for a database that is not there does."""
DOWN_SECONDS = 5.0
"""After such a wait it is left alone for so long: hundreds of looks must not wait for it one by one."""


def _unobserved(kind: str, seconds: float) -> None:
    """Nobody measures."""


class SqlSampleStore:
    """A `SampleStore` on one URL. Looks queue for a few threads: one connection each, none waits for the pool."""

    def __init__(
        self,
        url: str,
        *,
        drivers: tuple[str, ...] = (POSTGRESQL,),
        observer: Observer = _unobserved,
        statement_seconds: float = STATEMENT_TIMEOUT_SECONDS,
    ) -> None:
        self._engine = open_engine(url, drivers)
        self._statement_seconds = statement_seconds
        self._threads = ThreadPoolExecutor(max_workers=POOL_SIZE, thread_name_prefix="sample-store")
        self._observer = observer
        self._down: StoreUnavailable | None = None
        self._down_until = 0.0

    async def _look(self, kind: str, look: Callable[[Connection], T]) -> T:
        def work() -> T:
            if self._down and time.monotonic() < self._down_until:
                raise StoreUnavailable(self._down.field, self._down.value, self._down.fix)
            started = time.perf_counter()
            try:
                with reading(self._engine, self._statement_seconds) as connection:
                    return look(connection)
            except StoreUnavailable as error:
                if error.field == URL_FIELD and time.perf_counter() - started > QUICK_SECONDS:
                    self._down, self._down_until = error, time.monotonic() + DOWN_SECONDS
                raise
            finally:
                self._observer(kind, time.perf_counter() - started)

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def check(self, contract: SampleContract, recorded_by: RecordedBy = "Server") -> None:
        """Raises StoreMisconfigured when a table, column or key is missing, or a type cannot work."""
        await self._look("check", lambda connection: check_tables(connection, contract, recorded_by))

    async def observe_health(
        self,
        contract: SampleContract,
        decision: Decision,
        *,
        model: str,
        version: str,
        since: datetime,
        until: datetime,
        block_seconds: int,
        blocks_since: datetime | None = None,
    ) -> HealthLook:
        """How ``version`` (a ModelVersion's UID) of ``model`` (namespace/name) did on live requests."""
        query = build_health_query(
            contract,
            decision,
            model=model,
            version=version,
            since=since,
            until=until,
            block_seconds=block_seconds,
            blocks_since=blocks_since,
        )
        rows = await self._look("health", lambda connection: connection.execute(query).all())
        return read_health(rows, block_seconds)

    async def observe_pairs(
        self,
        contract: SampleContract,
        decision: Decision,
        *,
        model: str,
        stable: str,
        canary: str,
        since: datetime,
        step_since: datetime,
        until: datetime,
        block_seconds: int,
    ) -> PairLook:
        """How two versions did on the same samples since the canary began, and what the present step has seen."""
        query = build_pairs_query(
            contract,
            decision,
            model=model,
            stable=stable,
            canary=canary,
            since=since,
            step_since=step_since,
            until=until,
            block_seconds=block_seconds,
        )
        rows = await self._look("pairs", lambda connection: connection.execute(query).all())
        return read_pairs(rows, {"stable": stable, "canary": canary})

    async def observe_counts(self, contract: SampleContract, *, since: datetime, now: datetime) -> SampleCounts:
        """How many samples and outcomes there are, and how many outcomes belong to samples newer than ``since``."""
        query = build_counts_query(contract.table, contract.label_delay, since=since, now=now)
        row = await self._look("counts", lambda connection: connection.execute(query).one())
        return SampleCounts(**row._mapping, visible_until=now - contract.label_delay)

    async def observe_drift(
        self, contract: SampleContract, profile: ReferenceProfile, *, model: str, version: str, span: Span
    ) -> DriftLook:
        """The samples of some windows in the bins of a profile, and the version's live scores."""
        question = DriftQuestion(contract, profile, model, version, span)
        return await self._look("drift", lambda connection: count_windows(connection, question))

    async def observe_series(self, contract: SampleContract, column: str, *, until: datetime, limit: int) -> SeriesLook:
        """The newest ``limit`` timestamps at which a feature was known, and its mean over the series at each."""
        query = build_series_query(contract, column, until=until, limit=limit)

        def look(connection: Connection) -> Sequence[Row[Any]]:
            check_series(connection, contract.table, column)
            return connection.execute(query).all()

        rows = (await self._look("series", look))[::-1]
        return SeriesLook(
            at=tuple(row.at for row in rows),
            mean=tuple(float(row.mean) for row in rows),
            visible_until=until - contract.label_delay,
        )

    async def read_report(self, version_uid: str) -> ReportRow | None:
        """The trainer's report on a version; None until it has written one."""
        table = reports_table()
        query = select(table).where(table.c.version == version_uid)
        row = await self._look("report", lambda connection: connection.execute(query).one_or_none())
        return None if row is None else ReportRow(**row._mapping)

    def close(self) -> None:
        """Lets running looks end, then frees threads and connections."""
        self._threads.submit(self._engine.dispose)
        self._threads.shutdown(wait=False)


class SampleStores:
    """The stores by URL, so that models of one database share its connections."""

    def __init__(self, *, drivers: tuple[str, ...] = (POSTGRESQL,), observer: Observer = _unobserved) -> None:
        self._drivers, self._observer = drivers, observer
        self._stores: OrderedDict[str, SqlSampleStore] = OrderedDict()

    def at(self, url: str) -> SqlSampleStore:
        """The store of a URL; the one that was asked for longest ago is closed when there are too many.

        Raises:
            StoreMisconfigured: the URL cannot be used.
        """
        if (store := self._stores.get(url)) is None:
            store = self._stores[url] = SqlSampleStore(url, drivers=self._drivers, observer=self._observer)
        self._stores.move_to_end(url)
        while len(self._stores) > _KEPT_ENGINES:
            self._stores.popitem(last=False)[1].close()
        return store

    def close(self) -> None:
        """Closes them all."""
        while self._stores:
            self._stores.popitem()[1].close()
