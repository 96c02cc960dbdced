"""What a warm worker is asked, a line of JSON a request, and what it answers, a line each.

A worker trains and scores as a Job and a server would, in a process that has its libraries loaded already. It reads
requests from standard input until that ends; its log goes to standard error.
"""

from typing import Literal

from pydantic import AwareDatetime

from perennial_contract.base import Document
from perennial_contract.task import ArtifactRef


class TrainRequest(Document):
    """One attempt at the task in a file."""

    kind: Literal["train"] = "train"
    task: str
    """Path of the TrainingTask."""
    samples: str
    """The samples URL: a recording's is ``file:///folder``."""
    now: AwareDatetime
    """The instant that the attempt believes it to be."""


class ScoreRequest(Document):
    """The scores of an artifact's model on rows of a recording."""

    kind: Literal["score"] = "score"
    artifact: ArtifactRef
    recording: str
    """Folder of the table."""
    first: int
    """The first row."""
    count: int
    output: str
    """The ``.npy`` file, (count,) float64, that the scores are written to."""


class WorkerAnswer(Document):
    """How a request ended."""

    exit_code: int
    """As a training Job's."""
    error: str | None = None
    seconds: float
    """By the clock on the wall."""
    cpu_seconds: float
    """Of the worker's process."""
