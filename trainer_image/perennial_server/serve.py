"""A server's life: everything is started, serves until it is told to stop, and leaves nothing behind."""

import asyncio
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp

from perennial_contract.report import Manifest
from perennial_contract.sequence import Sequence
from perennial_contract.serving import ServerConfig
from perennial_server.application import Application, Parts, State
from perennial_server.database import Database
from perennial_server.history import StoredHistory
from perennial_server.listener import Listener, build_listener, open_port
from perennial_server.metrics import Metrics
from perennial_server.models import Ensemble
from perennial_server.outcomes import build_outcomes_app
from perennial_server.protocol import inputs_of
from perennial_server.recorder import Recorder
from perennial_server.shadow import Forwarder
from perennial_server.store import PostgresOutcomes, PostgresRecords

logger = logging.getLogger(__name__)

_FAREWELL_SECONDS = 2.0
"""How long requests are still answered after the signal, for clients that have not heard yet."""
_OUTCOME_CONNECTIONS = 4
_HISTORY_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets by the way to read them: they may change while the server runs."""

    read_conninfo: Callable[[], str] | None
    """None: nothing is recorded, and no outcomes are taken."""
    read_token: Callable[[], str]


class Server:
    """All parts of one serving process."""

    def __init__(self, config: ServerConfig, manifest: Manifest, model: Ensemble, secrets: Secrets) -> None:
        self._config = config
        self._state = State()
        self._metrics = Metrics(config)
        self._databases: list[Database] = []
        self._recorder: Recorder | None = None
        self._forwarder: Forwarder | None = None
        self._history: StoredHistory | None = None
        self._apps: list[tuple[int, ASGIApp]] = []
        if secrets.read_conninfo is not None:
            self._add_recording(manifest, secrets.read_conninfo)
            if model.sequence is not None:
                self._add_history(manifest, model.sequence, secrets.read_conninfo)
            if config.outcomes_port is not None:
                self._add_outcomes(config.outcomes_port, secrets.read_conninfo, secrets.read_token)
        records, members = self._recorder is not None, len(model.members)
        inputs = inputs_of(config, manifest, records=records, window=model.sequence, members=members)
        parts = Parts(config, model, inputs, self._metrics, self._state, self._recorder, self._forwarder, self._history)
        self._apps.append((config.port, Application(parts)))

    def _add_recording(self, manifest: Manifest, read_conninfo: Callable[[], str]) -> None:
        read_conninfo()  # a secret that is missing is said now, not with the first record
        database = Database(read_conninfo, 1)
        self._databases.append(database)
        records = PostgresRecords(database, self._config, manifest, self._metrics)
        self._recorder = Recorder(records, self._config.queue_limit, self._metrics)
        if self._config.track == "live":
            self._forwarder = Forwarder(self._config, self._metrics)

    def _add_history(self, manifest: Manifest, sequence: Sequence, read_conninfo: Callable[[], str]) -> None:
        database = Database(read_conninfo, _HISTORY_CONNECTIONS)
        self._databases.append(database)
        self._history = StoredHistory(database, self._config.samples, manifest, sequence)

    def _add_outcomes(self, port: int, read_conninfo: Callable[[], str], read_token: Callable[[], str]) -> None:
        read_token()
        database = Database(read_conninfo, _OUTCOME_CONNECTIONS)
        self._databases.append(database)
        store = PostgresOutcomes(database, self._config.samples.table)
        self._apps.append((port, build_outcomes_app(store, read_token, self._metrics)))

    async def run(self, host: str | None) -> None:
        """Serves until SIGTERM or SIGINT, then for at most ``drain_seconds`` more."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        sockets = [open_port(host, port) for port, _ in self._apps]
        recording = asyncio.create_task(self._recorder.run()) if self._recorder else None
        if self._forwarder:
            self._forwarder.start()
        listeners = [self._build_listener(app) for _, app in self._apps]
        serving = [asyncio.create_task(one.serve([port])) for one, port in zip(listeners, sockets, strict=True)]
        self._metrics.ready.set(1)
        logger.info("%s serves on port %d", self._config.version_name, self._config.port)
        stopping = asyncio.create_task(stop.wait())
        parts = [*serving, *([recording] if recording else [])]
        await asyncio.wait([stopping, *parts], return_when=asyncio.FIRST_COMPLETED)
        # Whatever ended without having been told to has failed, and says so here.
        for part in parts:
            if part.done():
                part.result()
        await self._stop(listeners, serving, recording)

    def _build_listener(self, app: ASGIApp) -> Listener:
        return build_listener(app, lambda: not self._state.ready, self._config.drain_seconds / 2)

    async def _stop(
        self, listeners: list[Listener], serving: list[asyncio.Task[None]], recording: asyncio.Task[None] | None
    ) -> None:
        """First no new requests, then none in flight, then nothing waiting: within ``drain_seconds``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._config.drain_seconds
        self._state.ready = False
        self._metrics.ready.set(0)
        logger.info("stopping within %d s", self._config.drain_seconds)
        await asyncio.sleep(min(_FAREWELL_SECONDS, self._config.drain_seconds / 4))
        for listener in listeners:
            listener.should_exit = True
        await asyncio.gather(*serving)
        if self._forwarder:
            await self._forwarder.close((deadline - loop.time()) / 2)
        if self._recorder and recording:
            await self._recorder.close(recording, max(0.0, deadline - loop.time()))
        for database in self._databases:
            await database.close()
        logger.info("stopped")
