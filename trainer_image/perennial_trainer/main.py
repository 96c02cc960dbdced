"""``perennial-train``: one attempt at one ModelVersion, told by a file; its exit code says whether to try again."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

# Threads that spin while they wait double the time on a busy node. Read when OpenMP loads, so before any library does.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from pydantic import ValidationError

from perennial_contract.artifacts import ArtifactError
from perennial_contract.report import JobSummary
from perennial_contract.task import EXIT_DONE, EXIT_TASK_WRONG, SAMPLES_URL_PATH, TASK_PATH, ArtifactRef, TrainingTask
from perennial_trainer.errors import EXIT_TRANSIENT, TaskWrong, TrainingError
from perennial_trainer.progress import log, start_log
from perennial_trainer.training import run_task

TERMINATION_LOG = "/dev/termination-log"
_MAX_ERROR = 1_000  # characters; Kubernetes keeps 4 KiB of a termination message


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 try again, 2 the task is wrong, 3 the data is not enough."""
    parser = argparse.ArgumentParser(prog="perennial-train", description="Trains and evaluates one ModelVersion.")
    parser.add_argument("--task", type=Path, default=Path(TASK_PATH), metavar="FILE", help="the TrainingTask as JSON")
    parser.add_argument(
        "--samples-url-file", type=Path, default=Path(SAMPLES_URL_PATH), metavar="FILE", help="holds an SQLAlchemy URL"
    )
    parser.add_argument(
        "--termination-log", type=Path, default=Path(TERMINATION_LOG), metavar="FILE", help="gets the summary, if there"
    )
    arguments = parser.parse_args(argv)
    start_log()
    signal.signal(signal.SIGTERM, _stop)
    code, summary = _attempt(arguments.task, arguments.samples_url_file)
    if summary.error:
        print(summary.error, file=sys.stderr)
    _leave(summary, arguments.termination_log)
    return code


def _stop(*_: object) -> None:
    """As a container's first process we would not even notice a SIGTERM, and a deleted Job would linger for 30 s."""
    sys.exit(EXIT_TRANSIENT)


def _attempt(task_file: Path, url_file: Path) -> tuple[int, JobSummary]:
    try:
        return EXIT_DONE, JobSummary(artifact=_run(task_file, url_file))
    except TrainingError as error:
        return error.exit_code, _failed(str(error))
    except ArtifactError as error:
        return EXIT_TASK_WRONG, _failed(str(error))
    except Exception as error:  # noqa: BLE001 - whatever it was, the operator gets one line and may try again
        log.info("unexpected error", exc_info=True)
        return EXIT_TRANSIENT, _failed(f"unexpected {type(error).__name__}: {error}")


def _run(task_file: Path, url_file: Path) -> ArtifactRef:
    task = _read_task(_read(task_file, "task"))
    url = _read(url_file, "samples URL").strip()
    version = task.version
    log.info("%s/%s: %s for %s", version.namespace, version.name, task.algorithm.name, version.model)
    return run_task(task, url, lambda: datetime.now(UTC))


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise TaskWrong(f"{what}: {path}: {reason}; mount the file or name another one") from None


def _read_task(text: str) -> TrainingTask:
    try:
        return TrainingTask.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "document"
        said = first["msg"].removeprefix("Value error, ")
        raise TaskWrong(f"task: {field}: {said}") from None


def _failed(error: str) -> JobSummary:
    return JobSummary(error=" ".join(error.split())[:_MAX_ERROR])


def _leave(summary: JobSummary, path: Path) -> None:
    """Kubernetes makes the file; elsewhere there is none, and none is made."""
    if path.exists():
        path.write_text(summary.to_json())


if __name__ == "__main__":
    sys.exit(main())
