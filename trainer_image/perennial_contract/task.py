"""What a training Job is told to do: one file, mounted read-only at ``/etc/perennial/task.json``."""

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from perennial_contract.base import Document
from perennial_contract.durations import Duration
from perennial_contract.samples import Decision, Identifier, SampleContract

TASK_PATH = "/etc/perennial/task.json"
SAMPLES_URL_PATH = "/etc/perennial/secrets/samples-url"
"""A file that holds the SQLAlchemy URL: secrets come as files, never in the task."""
ARTIFACTS_MOUNT = "/artifacts"
"""Where a PVC is mounted; its store URL is then ``file:///artifacts``."""

EXIT_DONE = 0
EXIT_TASK_WRONG = 2
EXIT_NOT_ENOUGH_DATA = 3

AlgorithmName = Literal["xgboost", "lightgbm", "nhits", "patchtst"]
NEURAL: frozenset[AlgorithmName] = frozenset({"nhits", "patchtst"})
"""Those that are trained by an image of their own."""


class Algorithm(Document):
    """The model library and what it is told."""

    name: AlgorithmName
    """The library."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Passed to the library as they are."""
    members: int = Field(default=1, ge=1, le=32)
    """Models in the ensemble, each with a seed of its own: their mean is the score, their spread its uncertainty."""


class VersionRef(Document):
    """Who is being trained."""

    namespace: str
    model: str
    model_uid: str
    name: str
    """The ModelVersion's name, ``<model>-v<revision>``."""
    uid: str
    revision: int = Field(ge=1)

    @property
    def model_key(self) -> str:
        """The value of the column ``model``: namespace/name."""
        return f"{self.namespace}/{self.model}"

    @property
    def artifact_path(self) -> str:
        """The version's folder below the store's root."""
        return f"{self.namespace}/{self.model}-{self.model_uid}/v{self.revision}"

    @property
    def checkpoint_path(self) -> str:
        """The folder for what an interrupted attempt leaves to the next one; gone when the artifact is there."""
        return f"{self.artifact_path}.checkpoint"


class ArtifactRef(Document):
    """An immutable artifact. The digest is the SHA-256 of its ``manifest.json``, which holds those of all its files."""

    uri: str
    """``file:///artifacts/<path>`` or ``s3://bucket/prefix/<path>``."""
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    """The digest of its manifest."""


class Champion(Document):
    """The version to beat."""

    name: str
    uid: str
    artifact: ArtifactRef


class HoldoutRule(Document):
    """Which rows are kept out of training for the comparison: the newest ones."""

    share: float = Field(default=0.2, gt=0, lt=0.9)
    """Share of the window's rows."""
    min_rows: int = Field(default=500, ge=1)
    """Fewer holdout rows than this: the data is not enough."""


class Metric(Document):
    """What "better" means."""

    type: Literal["WinRate", "AverageReward", "Composite"] = "WinRate"
    """WinRate: relative lift of the win rate. AverageReward: lift in standard deviations of the holdout's reward."""
    weights: dict[str, float] | None = None
    """Composite only."""


class RegimeRule(Document):
    """Which series tells the market's regime."""

    column: Identifier
    """A numeric column known at `at`; for a panel its mean over the series counts."""
    lookback: int = Field(default=1000, ge=1000, le=100_000)
    """Timestamps that the operator filters at a look; a fit needs as many at least."""


class EvaluationRule(Document):
    """How the comparison is made; the verdict itself is the operator's."""

    metric: Metric = Metric()
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Confidence of the one-sided lower bound, before the correction for repeated looks at the same holdout."""
    previous_holdout_until: AwareDatetime | None = None
    """End of the last verdict's holdout: rows up to it have been looked at. α is scaled by the share of fresh rows."""


class TrainingTask(Document):
    """One attempt at one version. Deterministic: the same task on the same rows gives the same model and report."""

    schema_version: Literal[1] = 1
    version: VersionRef
    algorithm: Algorithm
    samples: SampleContract
    decision: Decision
    until: AwareDatetime
    """Rows with ``at`` ≤ until − labelDelay are used: what resolves early is a biased sample."""
    data_window: Duration
    """Rows with ``at`` ≥ until − dataWindow are used."""
    holdout: HoldoutRule = HoldoutRule()
    evaluation: EvaluationRule = EvaluationRule()
    regime: RegimeRule | None = None
    """Set: the profile holds the regimes of this series."""
    seed: int = Field(default=42, ge=0, lt=2**31)
    threads: int = Field(default=1, ge=1)
    store: str
    """The store's root: ``file:///artifacts`` or ``s3://bucket/prefix``, with credentials in ``AWS_*`` variables."""
    champion: Champion | None = None
    warm_start: bool = False
    """Training begins from the champion's weights or trees where its algorithm and features are the same."""
    brought: ArtifactRef | None = None
    """Set: nothing is trained; this artifact is verified and scored as the challenger (bring your own model)."""

    @property
    def visible_until(self) -> datetime:
        """The newest ``at`` whose outcome is due."""
        return self.until - self.samples.label_delay
