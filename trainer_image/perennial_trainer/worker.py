"""A warm worker: trains and scores as a Job and a server would, one request a line, until standard input ends."""

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from pydantic import TypeAdapter

from perennial_contract.artifacts import ArtifactError
from perennial_contract.task import EXIT_DONE, EXIT_TASK_WRONG, ArtifactRef, TrainingTask
from perennial_contract.worker import ScoreRequest, TrainRequest, WorkerAnswer
from perennial_trainer.ensemble import Ensemble
from perennial_trainer.errors import EXIT_TRANSIENT, TrainingError
from perennial_trainer.existing import fetch_model
from perennial_trainer.instants import to_micros
from perennial_trainer.progress import log
from perennial_trainer.reading import FloatArray
from perennial_trainer.recorded import RecordedTable, open_table
from perennial_trainer.sequences import any_fault
from perennial_trainer.training import run_task

Request = TrainRequest | ScoreRequest
_REQUESTS: TypeAdapter[Request] = TypeAdapter(Request)
_KEPT_MODELS = 4


class Worker:
    """Answers one request after the other; models that are scored again and again stay loaded."""

    def __init__(self) -> None:
        self._models: dict[ArtifactRef, tuple[Ensemble, list[str]]] = {}

    def answer(self, line: str) -> WorkerAnswer:
        """Does what a line asks for; whatever goes wrong is an exit code and one line."""
        wall, cpu = time.perf_counter(), time.process_time()
        code, error = _guarded(lambda: self._do(_REQUESTS.validate_json(line)))
        return WorkerAnswer(
            exit_code=code,
            error=error,
            seconds=round(time.perf_counter() - wall, 3),
            cpu_seconds=round(time.process_time() - cpu, 3),
        )

    def _do(self, request: Request) -> None:
        match request:
            case TrainRequest():
                task = TrainingTask.model_validate_json(Path(request.task).read_bytes())
                run_task(task, request.samples, lambda: request.now)
            case ScoreRequest():
                self._score(request)

    def _score(self, request: ScoreRequest) -> None:
        model, names = self._loaded(request.artifact)
        rows = slice(request.first, request.first + request.count)
        table = open_table(Path(request.recording))
        np.save(request.output, _score_rows(model, table, names, rows), allow_pickle=False)

    def _loaded(self, artifact: ArtifactRef) -> tuple[Ensemble, list[str]]:
        if artifact not in self._models:
            with tempfile.TemporaryDirectory(prefix="perennial-") as scratch:
                found = fetch_model(artifact, Path(scratch) / "model", "served model")
                self._models[artifact] = found.load(1), found.names
            while len(self._models) > _KEPT_MODELS:
                del self._models[next(iter(self._models))]
        return self._models[artifact]


def _score_rows(model: Ensemble, table: RecordedTable, names: list[str], rows: slice) -> FloatArray:
    """(n,); NaN where a server would refuse the row."""
    matrix = table.matrix(names, rows)
    delay = model.label_delay
    if delay is None:
        return model.score(matrix)
    past = table.past(names, rows, to_micros(delay))
    fine = ~any_fault(model.faults(past), len(matrix))
    scores = np.full(len(matrix), np.nan)
    scores[fine] = model.score(matrix[fine], past.part(fine))
    return scores


def _guarded(work: Callable[[], None]) -> tuple[int, str | None]:
    try:
        work()
    except TrainingError as error:
        return error.exit_code, _line(str(error))
    except ArtifactError as error:
        return EXIT_TASK_WRONG, _line(str(error))
    except Exception as error:  # noqa: BLE001 - whatever it was, who asked gets one line
        log.info("unexpected error", exc_info=True)
        return EXIT_TRANSIENT, _line(f"unexpected {type(error).__name__}: {error}")
    return EXIT_DONE, None


def _line(text: str) -> str:
    return " ".join(text.split())[:1000]


def main() -> int:
    """Until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries that print must not answer in our place
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    worker = Worker()
    for line in sys.stdin:
        answers.write(worker.answer(line).model_dump_json(by_alias=True, exclude_none=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
