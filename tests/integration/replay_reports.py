"""Reports of replays, made by hand: everything that the page has to show."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from perennial.api.model_deployment_status import Interval
from perennial.replay.report import (
    Comparison,
    Counts,
    CurvePoint,
    Decision,
    FeatureDrift,
    Measured,
    ModelComparison,
    ModelReport,
    Performance,
    Report,
    Run,
    Settings,
    Stretch,
    TriggerReport,
    VersionReport,
    WinRateDifference,
)

BEGIN = datetime(2018, 2, 1, 5, 30, tzinfo=UTC)
DAY = timedelta(days=1)
MODEL = "default/btc"
POINTS = 120
"""Of a curve."""
CYCLE: tuple[Literal["Deploy", "Canary", "Keep"] | None, ...] = ("Deploy", "Keep", "Canary", "Keep", None, "Keep")
"""Verdicts of versions in turn; None: its training failed for good."""


def empty_report(**changes: Any) -> Report:
    """Nothing came of it: no versions, no answers."""
    model = ModelReport(
        name=MODEL,
        algorithm="xgboost",
        window="90d",
        counts=Counts(),
        with_retraining=Performance(),
        without_retraining=Performance(),
    )
    return _report([Run(name="quiet", policies=["default/book"], models=[model], decisions=[])], 10 * DAY, **changes)


def bare_report() -> Report:
    """Not even a model."""
    return _report([], 10 * DAY)


def full_report(versions: int = 12, *, span: timedelta = 600 * DAY, names: tuple[str, ...] = ("book",)) -> Report:
    """Runs of two models with everything in them; the second model's figures are unknown where they can be."""
    runs = [_run(name, versions, span) for name in names]
    cpu = {f"{run.name} {MODEL}": 48.125 for run in runs}
    measured = Measured(
        wall_seconds=197.1,
        waited_seconds=40.0,
        training_cpu_seconds=cpu,
        scoring_cpu_seconds={},
        peak_memory_mib=168.14,
    )
    return _report(runs, span, measured=measured, comparison=_comparison(names) if len(names) == 2 else None)


def _report(runs: list[Run], span: timedelta, **changes: Any) -> Report:
    settings = Settings(
        from_=BEGIN, until=BEGIN + span, training_duration="15m", look_every="3h", cost=0.0005, speed_up_training=1
    )
    found = Report(
        complete=True,
        simulated_until=BEGIN + span,
        settings=settings,
        samples={"samples": 19931},
        assumptions=["Outcomes do not depend on what the models did."],
        without_effect=[],
        runs=runs,
        measured=Measured(
            wall_seconds=1, waited_seconds=0, training_cpu_seconds={}, scoring_cpu_seconds={}, peak_memory_mib=100
        ),
    )
    return found.model_copy(update=changes)


def _run(name: str, versions: int, span: timedelta) -> Run:
    decisions = [Decision(at=BEGIN, kind="Plan", reason="PlanMade", message="plan-1: btc (NoVersion)")]
    models = [_model(MODEL, versions, span, decisions), _model("default/eth", 0, span, decisions)]
    decisions.sort(key=lambda decision: decision.at)
    return Run(name=name, policies=["default/book"], models=models, decisions=decisions)


def _model(name: str, versions: int, span: timedelta, decisions: list[Decision]) -> ModelReport:
    step = span / max(1, versions + 1)
    found = [_version(name, number, BEGIN + number * step) for number in range(1, versions + 1)]
    for version in found:
        decisions.extend(_told(name, version))
    stable = _stable(found, BEGIN + span, decisions, name)
    canary = [part for version in found if version.decision == "Canary" for part in _canary(version, step)]
    known = {"with_retraining": _performance(0.5137), "without_retraining": _performance(0.5201)} if versions else {}
    rollbacks = sum(int(b.version[5:]) < int(a.version[5:]) for a, b in pairwise(stable))
    return ModelReport(
        name=name,
        algorithm="xgboost",
        window="90d",
        counts=Counts(
            retrains=versions,
            deploys=sum(version.decision == "Deploy" for version in found),
            canaries=sum(version.decision == "Canary" for version in found),
            keeps=sum(version.decision == "Keep" for version in found),
            failures=sum(version.phase == "Failed" for version in found),
            promotions=len(stable),
            rollbacks=rollbacks,
        ),
        with_retraining=known.get("with_retraining", Performance()),
        without_retraining=known.get("without_retraining", Performance()),
        difference=_difference() if versions else None,
        curve=[_point(number, span) for number in range(POINTS) if number % 40] if versions else [],
        stable=stable,
        canary=canary,
        versions=found,
        drift=[_look(number, span / 60) for number in range(1, 60)] if versions else [],
    )


def _version(model: str, number: int, at: datetime) -> VersionReport:
    decision = CYCLE[(number - 1) % len(CYCLE)]
    judged: dict[str, Any] = {}
    if decision:
        judged = {
            "decision": decision,
            "reason": {"Deploy": "BetterByMoreThanDeployThreshold", "Canary": "BetterButUncertain"}.get(
                decision, "NotBetterEnough"
            ),
            "lift": 0.0123456 * (number % 5 - 2),
            "lower_bound": -0.0440662,
            "probability_better": 0.8825,
        }
    return VersionReport(
        name=f"{model.split('/')[1]}-v{number}",
        created_at=at,
        trigger=TriggerReport(
            type="Missing" if number == 1 else "Schedule" if number % 2 else "Health",
            priority="Low",
            reason="NoVersion" if number == 1 else "ScheduleDue" if number % 2 else "HealthDegraded",
            message=f"why {number}",
        ),
        phase={"Deploy": "Archived", None: "Failed"}.get(decision, "Rejected"),
        message=f"lift +3.9% on {number} of 2665 holdout rows",
        effective_outcomes=728.838,
        training_rows=10000 + number,
        **judged,
    )


def _told(model: str, version: VersionReport) -> list[Decision]:
    """What is told of a version: its trigger, its training, and what came of it."""
    at, soon = version.created_at, version.created_at + timedelta(minutes=15)
    about: dict[str, Any] = {"model": model, "version": version.name}
    told = [
        Decision(at=at, kind="Trigger", reason=version.trigger.reason, message=version.trigger.message, **about),
        Decision(at=at, kind="Training", reason="TrainingStarted", message=f"{version.name} trains", **about),
    ]
    if version.decision is None:
        message = f"{version.name} failed for good after 2 attempts: killed"
        told.append(Decision(at=soon, kind="Training", reason="OutOfMemory", message=message, warning=True, **about))
        return told
    verdict = f"Verdict{version.decision}"
    told.append(Decision(at=soon, kind="Verdict", reason=verdict, message=version.message, **about))
    if version.decision == "Deploy":
        serves: dict[str, Any] = {"at": soon, "model": model, "kind": "Traffic", "message": f"{version.name} serves"}
        told.extend(Decision(reason=reason, **serves) for reason in ("Deploying", "Promoted"))
    if version.decision == "Canary":
        starts = f"{version.name} starts at weight 10%"
        told.append(Decision(at=soon, model=model, kind="Canary", reason="CanaryStarted", message=starts))
    return told


def _stable(found: list[VersionReport], until: datetime, decisions: list[Decision], model: str) -> list[Stretch]:
    """The versions that were deployed, and the first of them again at the end: a rollback."""
    deployed = [version for version in found if version.decision == "Deploy"]
    begins = [(version.name, version.created_at + timedelta(minutes=15)) for version in deployed]
    if len(begins) > 1:
        begins.append((begins[0][0], until - DAY))
        message = f"{begins[0][0]} was pinned"
        decisions.append(Decision(at=until - DAY, model=model, kind="Traffic", reason="Pinning", message=message))
    ends = [*(at for _, at in begins[1:]), until]
    return [
        Stretch(version=name, from_=at, until=end, weight=1.0) for (name, at), end in zip(begins, ends, strict=False)
    ]


def _canary(version: VersionReport, step: timedelta) -> list[Stretch]:
    begin = version.created_at + timedelta(minutes=15)
    return [
        Stretch(version=version.name, from_=begin, until=begin + step / 3, weight=0.1),
        Stretch(version=version.name, from_=begin + step / 3, until=begin + step / 2, weight=0.5),
    ]


def _interval(value: float, half: float) -> Interval:
    return Interval(value=value, lower=value - half, upper=value + half, outcomes=14184, effective_outcomes=2475.6)


def _performance(value: float) -> Performance:
    return Performance(
        win_rate=_interval(value, 0.0165), average_reward=0.000624906, total_reward=8.86367, brier=0.254465
    )


def _difference() -> WinRateDifference:
    return WinRateDifference(
        value=-0.00641568, lower=-0.0118494, upper=-0.000981926, outcomes=14184, effective_outcomes=4860.87, blocks=592
    )


def _point(number: int, span: timedelta) -> CurvePoint:
    swing = 0.04 * ((number % 17) / 17 - 0.5)
    return CurvePoint(
        at=BEGIN + span * (number + 1) / POINTS,
        with_retraining=_interval(0.52 + swing, 0.03),
        without_retraining=_interval(0.50 - swing, 0.04) if number > 20 else None,
    )


def _look(number: int, step: timedelta) -> FeatureDrift:
    feature, psi = ("ret_1", "volume")[number % 2], 0.02 * (number % 13)
    return FeatureDrift(at=BEGIN + number * step, feature=feature, psi=psi, drifted=psi > 0.2)


def _comparison(names: tuple[str, ...]) -> Comparison:
    both = {"first": _performance(0.5137), "second": _performance(0.5201)}
    model = ModelComparison(model=MODEL, difference=_difference(), **both)
    return Comparison(first=names[0], second=names[1], models=[model])
