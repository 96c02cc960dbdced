"""ModelVersion: was it trained, and is it better than the champion?"""

from typing import Literal

from pydantic import AwareDatetime, Field

from perennial.api.base import Rule, Spec, Status
from perennial.api.retrain_policy import Priority, Promotion, Training, TriggerType
from perennial.api.shared import Artifacts, Condition, ModelName, ObjectName, Time
from perennial_contract.report import Evaluation
from perennial_contract.samples import Decision, SampleContract
from perennial_contract.task import Algorithm, ArtifactRef, Champion, RegimeRule

Phase = Literal["Pending", "Training", "Evaluated", "Canary", "Live", "Archived", "Rejected", "Failed", "Superseded"]
IN_FLIGHT: frozenset[Phase] = frozenset({"Pending", "Training", "Evaluated", "Canary"})
ENDED: frozenset[Phase] = frozenset({"Rejected", "Failed", "Superseded"})
DecisionName = Literal["Deploy", "Canary", "Keep"]


class Trigger(Spec):
    """Why this version exists."""

    type: TriggerType = "Manual"
    """What started it."""
    priority: Priority = "High"
    """Which trainings come first."""
    reason: str = Field(default="CreatedByHand", max_length=128)
    """The reason in one word, PascalCase."""
    message: str = Field(default="", max_length=4096)
    """The reason in one sentence, with the figures in it."""
    policy: ObjectName | None = None
    """The RetrainPolicy; absent when created by hand."""
    plan: str | None = Field(default=None, max_length=63)
    """The policy's plan that it was part of."""
    evidence_until: AwareDatetime | None = None
    """Outcomes up to this time were part of the reason: the same evidence never triggers twice."""


class ModelVersionSpec(Spec):
    """Intent, immutable. `modelDeployment` alone is a manual retrain."""

    cel_rules = (Rule("self == oldSelf", "spec is immutable: create another ModelVersion"),)

    model_deployment: ModelName
    """The model, in the same namespace."""
    trigger: Trigger = Trigger()
    training: Training = Training()
    promotion: Promotion = Promotion()
    artifact: ArtifactRef | None = None
    """Set: bring your own model. It is scored on the holdout, not trained."""


class Resolved(Status):
    """Everything that the Job was started with, so that a rollback serves what was trained."""

    revision: int
    algorithm: Algorithm
    samples: SampleContract
    recorded_by: Literal["Server", "Client"] = "Server"
    decision: Decision
    artifacts: Artifacts
    training: Training
    promotion: Promotion
    regime: RegimeRule | None = None
    champion: Champion | None = None
    started_at: Time
    previous_holdout_until: Time | None = None
    """End of the holdout of the verdict before this one."""


class JobStatus(Status):
    """The training Job."""

    name: str
    attempt: int
    state: Literal["Running", "Succeeded", "Failed"] = "Running"
    started_at: Time | None = None
    finished_at: Time | None = None
    retry_at: Time | None = None
    message: str = ""


class DatasetStatus(Status):
    """The rows it was trained and compared on."""

    rows: int
    from_: Time = Field(alias="from")
    until: Time
    holdout_from: Time | None = None
    holdout_until: Time | None = None
    fingerprint: str


class ArtifactStatus(Status):
    """The archived files."""

    uri: str
    digest: str
    bytes: int | None = None


class Verdict(Status):
    """The decision, its machine reason, and one sentence with the figures in it."""

    decision: DecisionName
    reason: str
    message: str
    at: Time


class ModelVersionStatus(Status):
    """The durable record of one attempt."""

    observed_generation: int = 0
    phase: Phase | None = None
    spec_digest: str | None = None
    """SHA-256 of the spec at first sight: shows a mutation where CEL is not enforced."""
    resolved: Resolved | None = None
    job: JobStatus | None = None
    artifact: ArtifactStatus | None = None
    dataset: DatasetStatus | None = None
    evaluation: Evaluation | None = None
    verdict: Verdict | None = None
    approval: Literal["Approved", "Rejected"] | None = None
    """The annotation perennial.dev/approve or perennial.dev/reject, acknowledged."""
    acknowledged: dict[str, str] = Field(default_factory=dict)
    """One-shot annotations that were acted on, with their values."""
    training_seconds: float | None = None
    started_at: Time | None = None
    evaluated_at: Time | None = None
    finished_at: Time | None = None
    conditions: list[Condition] = Field(default_factory=list)
