"""Warm processes that train and score, as many at a time as there are."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self

from perennial_contract.worker import ScoreRequest, TrainRequest, WorkerAnswer

_LONGEST_LINE = 2**20


class WorkerLostError(Exception):
    """A worker's process ended without an answer. One line that says where its log is."""


class WorkerPool:
    """Processes that answer one request at a time each."""

    def __init__(self, count: int, log: Path) -> None:
        self._count, self._log_path = count, log
        self._free: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()
        self._processes: list[asyncio.subprocess.Process] = []
        self._log: IO[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._log = self._log_path.open("ab")
        for _ in range(self._count):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "perennial_trainer.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=self._log,
                env=_environment(os.environ),
                limit=_LONGEST_LINE,
                start_new_session=True,  # Ctrl-C is for whoever asks: it lets a request end
            )
            self._processes.append(process)
            self._free.put_nowait(process)
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
        if self._log:
            self._log.close()

    async def ask(self, request: TrainRequest | ScoreRequest) -> WorkerAnswer:
        """The answer of the worker that is free first.

        Raises:
            WorkerLostError: its process ended.
        """
        process = await self._free.get()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(request.model_dump_json(by_alias=True).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
        except (BrokenPipeError, ConnectionResetError):
            line = b""
        if not line:
            raise WorkerLostError(f"a worker ended without an answer: {self._log_path} has its last words")
        self._free.put_nowait(process)
        return WorkerAnswer.model_validate_json(line)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """One thread each: they share the machine, and the same model comes out however many cores that has."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**given, **threads}
