"""From what happened to the report of a run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from perennial.adapters.cluster import Object
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.controllers.objects import Version, parse_version
from perennial.replay.figures import Record, describe, difference_of, draw_curve
from perennial.replay.journal import Entry, Journal, Stay
from perennial.replay.report import (
    Counts,
    Decision,
    ModelReport,
    Run,
    Stretch,
    TriggerReport,
    VersionReport,
)
from perennial_contract.durations import format_duration

_KINDS: Mapping[str, str] = {
    "Trigger": "Trigger",
    "PlanMade": "Plan",
    "TrainingStarted": "Training",
    "TrainingRetried": "Training",
    "CanaryStarted": "Canary",
    "CanaryStep": "Canary",
    "CanaryInconclusive": "Canary",
    "Deploying": "Traffic",
    "Promoting": "Traffic",
    "Pinning": "Traffic",
    "RollingBack": "Traffic",
    "Promoted": "Traffic",
    "Approved": "Other",
    "RegimeCandidate": "Other",
    "Replaced": "Ended",
    "DriftDetected": "Other",
    "DriftEnded": "Other",
}


def build_run(
    name: str,
    journal: Journal,
    specs: Mapping[str, ModelDeploymentSpec],
    records: Mapping[str, tuple[Record, Record]],
    policies: list[str],
    cost: float,
    since: datetime,
    until: datetime,
) -> Run:
    """The report of one run."""
    return Run(
        name=name,
        policies=policies,
        models=[
            _build_model(model, spec, journal, records.get(model), cost, since, until)
            for model, spec in sorted(specs.items())
        ],
        decisions=[_decision(entry) for entry in journal.entries],
    )


def _build_model(
    model: str,
    spec: ModelDeploymentSpec,
    journal: Journal,
    records: tuple[Record, Record] | None,
    cost: float,
    since: datetime,
    until: datetime,
) -> ModelReport:
    versions = [parse_version(body) for body in journal.versions.values() if _model_of(body) == model]
    stable = journal.stable.get(model, [])
    figures: dict[str, Any] = {"with_retraining": {}, "without_retraining": {}}
    if records:
        with_, without = records
        figures = {
            "with_retraining": describe(with_, cost),
            "without_retraining": describe(without, cost),
            "difference": difference_of(with_, without),
            "curve": list(draw_curve(with_, without, spec.health.window, since, until)),
        }
    return ModelReport(
        name=model,
        algorithm=spec.algorithm.name,
        window=format_duration(spec.health.window),
        counts=_count(versions, stable),
        stable=_stretches(stable, until),
        canary=_stretches(journal.canaries.get(model, []), until),
        versions=[_version(version) for version in versions],
        drift=journal.drift.get(model, []),
        **figures,
    )


def _model_of(body: Object) -> str:
    return f"{body['metadata']['namespace']}/{body['spec']['modelDeployment']}"


def _count(versions: Sequence[Version], stable: list[Stay]) -> Counts:
    statuses = [version.status for version in versions]
    verdicts = Counter(status.verdict.decision for status in statuses if status.verdict)
    known = {v.name: v.status.resolved.revision for v in versions if v.status.resolved}
    revisions = [known[stay.version] for stay in stable if stay.version in known]
    return Counts(
        retrains=sum(status.started_at is not None for status in statuses),
        deploys=verdicts["Deploy"],
        canaries=verdicts["Canary"],
        keeps=verdicts["Keep"],
        failures=sum(status.phase == "Failed" for status in statuses),
        promotions=len(stable),
        rollbacks=sum(after < before for before, after in pairwise(revisions)),
    )


def _stretches(stays: Iterable[Stay], until: datetime) -> list[Stretch]:
    return [Stretch(version=s.version, from_=s.since, until=s.until or until, weight=s.weight) for s in stays]


def _version(version: Version) -> VersionReport:
    status, spec = version.status, version.spec
    assert spec is not None
    verdict, evaluation = status.verdict, status.evaluation
    job = status.job.message if status.job else ""
    return VersionReport(
        name=version.name,
        created_at=version.created_at,
        trigger=TriggerReport.model_validate(spec.trigger.model_dump(include=set(TriggerReport.model_fields))),
        phase=status.phase or "Pending",
        decision=verdict.decision if verdict else None,
        reason=verdict.reason if verdict else "",
        message=verdict.message if verdict else job,
        lift=evaluation.lift if evaluation else None,
        lower_bound=evaluation.lower_bound if evaluation else None,
        probability_better=evaluation.probability_better if evaluation else None,
        effective_outcomes=evaluation.effective_outcomes if evaluation else None,
        training_rows=status.dataset.rows if status.dataset else None,
    )


def _decision(entry: Entry) -> Decision:
    return Decision(
        at=entry.at,
        model=entry.model,
        version=entry.version,
        kind=_kind_of(entry),
        reason=entry.reason,
        message=entry.message,
        warning=entry.warning,
    )


def _kind_of(entry: Entry) -> Any:
    if entry.reason.startswith("Verdict"):
        return "Verdict"
    if entry.kind in _KINDS:
        return _KINDS[entry.kind]
    if entry.about == "ModelDeployment":
        return "Ended"
    return "Training" if entry.about == "ModelVersion" else "Other"
