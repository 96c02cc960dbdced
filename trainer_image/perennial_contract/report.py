"""What a training Job leaves: a row in ``model_reports``, the artifact's files, a summary as termination message."""

from typing import Literal

from pydantic import AwareDatetime, Field

from perennial_contract.base import Document
from perennial_contract.samples import Dtype
from perennial_contract.task import AlgorithmName, ArtifactRef

MANIFEST_FILE = "manifest.json"
REPORT_FILE = "report.json"
PROFILE_FILE = "profile.json"


class Feature(Document):
    """A feature column and its type in the model's own table of inputs."""

    name: str
    dtype: Dtype = "float64"


class ModelScore(Document):
    """One model on the holdout."""

    version: str
    """The ModelVersion's name."""
    acted: int
    wins: int
    win_rate: float | None = None
    """Wins / acted; absent when the model never acted."""
    average_reward: float | None = None
    """Mean reward of the rows acted on; absent when no row has a reward."""
    brier: float
    mean_score: float
    score_spread: float
    """Standard deviation of the scores: 0 is a model that says the same of every row."""
    long_share: float
    """Share of rows with score ≥ threshold."""
    finite: bool
    """Whether every score was a finite number in 0..1."""


class Evaluation(Document):
    """Champion and challenger on the same rows."""

    challenger: ModelScore
    champion: ModelScore | None = None
    lift: float | None = None
    """WinRate: (challenger − champion) / max(champion, 0.05). AverageReward: difference / SD of the rewards."""
    lower_bound: float | None = None
    """One-sided lower bound of the lift at 1 − alpha."""
    alpha: float | None = None
    """(1 − confidence) × freshShare: what was left to spend on this holdout."""
    fresh_share: float = Field(default=1.0, ge=0, le=1)
    """Share of holdout rows newer than the last verdict's holdout."""
    probability_better: float | None = None
    """Share of bootstrap draws with lift > 0."""
    brier_difference: float | None = None
    """Challenger − champion; negative is better."""
    outcomes: int
    """Holdout rows."""
    effective_outcomes: float
    """What the rows are worth as independent ones, by the variance of their block means."""
    blocks: int
    block_length: int
    """Timestamps a block of the bootstrap."""


class Dataset(Document):
    """The rows that were used, so that a run can be repeated and compared."""

    rows: int
    from_: AwareDatetime = Field(alias="from")
    until: AwareDatetime
    training_rows: int
    purged_rows: int
    """Training rows whose outcome was not known before the holdout began."""
    holdout_rows: int
    holdout_from: AwareDatetime
    holdout_until: AwareDatetime
    fingerprint: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class Lineage(Document):
    """What a warm start began from, or why there was none to begin from."""

    version: str
    """The champion's name."""
    digest: str
    """Of its artifact."""
    warm: bool
    """Whether the training did begin from it."""
    reason: str | None = None
    """Why it did not. One line."""


class TrainingReport(Document):
    """The trainer's account of one attempt."""

    schema_version: Literal[1] = 1
    version: str
    """The ModelVersion's UID."""
    dataset: Dataset
    evaluation: Evaluation
    features: tuple[Feature, ...]
    rounds: int | None = None
    """Boosting rounds, or steps, kept; of the longest member."""
    left_out_rows: int | None = None
    """Holdout rows that a model under comparison cannot score (their history is short, or has holes): in no figure."""
    parity: float | None = None
    """Largest difference between the artifact's scores and the training library's own on the holdout; absent where that
    library serves too."""
    lineage: Lineage | None = None
    """Set: a warm start was asked for."""
    seconds_loading: float
    seconds_training: float
    seconds_scoring: float


class FileDigest(Document):
    """One file of an artifact."""

    name: str
    bytes: int
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class Manifest(Document):
    """What an artifact is made of. It lists every other file; its own digest is the artifact's identity."""

    schema_version: Literal[1] = 1
    algorithm: AlgorithmName
    model_file: str
    member_files: tuple[str, ...] = ()
    """Of the other members of an ensemble: the score is the mean of them all."""
    features: tuple[Feature, ...]
    seed: int
    """Of the first member; each of the others has the next one."""
    fingerprint: str
    libraries: dict[str, str]
    files: tuple[FileDigest, ...]


class JobSummary(Document):
    """The Job's termination message, 4 KiB at most: a courtesy; the row in ``model_reports`` is what counts."""

    artifact: ArtifactRef | None = None
    error: str | None = None
    """One line: what is wrong, where, and what to do."""
