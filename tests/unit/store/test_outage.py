"""A database that takes connections and says nothing: the worst kind of outage, since every look waits for it."""

import asyncio
import socket
import time
from datetime import timedelta

from perennial.adapters.store.store import SqlSampleStore
from perennial.domain.evidence import StoreUnavailable
from perennial_contract.samples import SampleContract

CONTRACT = SampleContract(label_delay=timedelta(seconds=1))


async def test_many_looks_wait_once_for_a_database_that_does_not_answer() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(64)
        # 2 s is the shortest wait that libpq knows
        store = SqlSampleStore(f"postgresql+psycopg://u:p@127.0.0.1:{mute.getsockname()[1]}/d?connect_timeout=2")
        started = time.monotonic()
        found = await asyncio.gather(*(store.check(CONTRACT) for _ in range(30)), return_exceptions=True)
        store.close()
    assert time.monotonic() - started < 6, "30 looks over 3 connections would wait for 20 s"
    assert all(isinstance(error, StoreUnavailable) for error in found)
