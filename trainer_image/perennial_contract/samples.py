"""The sample store's names: what the tables and columns are called, and which names a resource may use."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from perennial_contract.base import Document
from perennial_contract.durations import PositiveDuration

IDENTIFIER_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER_PATTERN, max_length=63)]

# `samples`: one row a sample. An outcome may arrive before its sample, so all but `id` may be null for a while.
SAMPLE_COLUMNS = ("id", "series", "at", "target", "reward", "resolved_at")
# `predictions`: key (model, version, sample_id), first write wins.
PREDICTION_COLUMNS = ("model", "version", "sample_id", "track", "score", "at")
# `model_reports`: one row a version, written by the trainer as the last thing before it ends.
REPORTS_TABLE = "model_reports"
REPORT_COLUMNS = ("version", "model", "created_at", "digest", "manifest", "report", "profile")

RESERVED_COLUMNS = frozenset(SAMPLE_COLUMNS)

Track = Literal["live", "shadow"]
Dtype = Literal["float64", "float32", "int64", "bool"]
"""Of a feature, in the model's own table of inputs."""


class Decision(Document):
    """How a score becomes an action, and when the action has won."""

    rule: Literal["Direction", "Selection"] = "Direction"
    """Direction: always acts, long when score ≥ threshold, else short. Selection: acts only when score ≥ threshold."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """The score, P(target = 1), from which the model goes long (Direction) or acts (Selection)."""


class SampleContract(Document):
    """Where samples stand and what a row means. The URL is never part of it: it comes from a Secret."""

    table: Identifier = "samples"
    """Table or view of the samples."""
    predictions_table: Identifier = "predictions"
    """Table of the recorded scores."""
    features: tuple[Identifier, ...] = ()
    """Feature columns; empty: every numeric column that is not reserved."""
    label_delay: PositiveDuration
    """How long an outcome takes; also the embargo between training rows and holdout rows."""
    outcomes: Literal["All", "Acted"] = "All"
    """Whether samples that the model did not act on get outcomes too."""

    @field_validator("features")
    @classmethod
    def _features_are_features(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        seen: set[str] = set()
        for name in names:
            if name in RESERVED_COLUMNS:
                raise ValueError(f"{name!r} is a reserved column, not a feature: remove it")
            if name in seen:
                raise ValueError(f"{name!r} is listed twice: list each feature once")
            seen.add(name)
        return names
