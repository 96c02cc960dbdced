"""What becomes of a version: each case is a status, what is seen, and what must follow from it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perennial.api.model_deployment_status import CanaryStatus, IncomingStatus, ModelDeploymentStatus, Outcome
from perennial.api.model_version import JobStatus, ModelVersionSpec, ModelVersionStatus, Resolved, Verdict
from perennial.api.shared import TrackStatus
from perennial.domain.version import (
    A_LANE,
    JobView,
    Trained,
    Untrusted,
    VersionDecision,
    VersionFacts,
    attempt_name,
    decide_version,
    starts_attempt,
)
from perennial_contract.report import Dataset, Evaluation, Feature, ModelScore, TrainingReport
from perennial_contract.task import ArtifactRef

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
A_WHILE = timedelta(minutes=5)
SPEC = ModelVersionSpec(model_deployment="m")
BY_APPROVAL = ModelVersionSpec.model_validate(
    {"modelDeployment": "m", "promotion": {"approval": "Required", "approvalTimeout": "1h"}}
)
RESOLVED = Resolved.model_validate(
    {
        "revision": 1,
        "algorithm": {"name": "xgboost"},
        "samples": {"labelDelay": "1h"},
        "decision": {},
        "artifacts": {"claimName": "models"},
        "training": {"retries": 1, "retryBackoff": "1h", "timeout": "30m"},
        "promotion": {},
        "startedAt": NOW,
    }
)
DIGEST = f"sha256:{'0' * 64}"
SCORE = ModelScore(
    version="m-v1", acted=10, wins=6, brier=0.2, mean_score=0.5, score_spread=0.1, long_share=0.5, finite=True
)
REPORT = TrainingReport(
    version="u1",
    dataset=Dataset(
        rows=100,
        from_=NOW,
        until=NOW,
        training_rows=80,
        purged_rows=0,
        holdout_rows=20,
        holdout_from=NOW,
        holdout_until=NOW,
        fingerprint=DIGEST,
    ),
    evaluation=Evaluation(challenger=SCORE, outcomes=20, effective_outcomes=20.0, blocks=10, block_length=2),
    features=(Feature(name="f"),),
    seconds_loading=1,
    seconds_training=1,
    seconds_scoring=1,
)
TRAINED = Trained(REPORT, ArtifactRef(uri="file:///artifacts/a", digest=DIGEST), 100)
NO_REPORT = Untrusted("ReportMissing", "the Job left no row")
DONE = JobView("Succeeded", "", 0, "", NOW - A_WHILE, NOW)
FACTS = VersionFacts(now=NOW, uid="u1")


def failed(exit_code: int | None = 1, reason: str = "", said: str = "") -> JobView:
    return JobView("Failed", reason, exit_code, said, NOW - A_WHILE, NOW)


def training(attempt: int = 1, **job: Any) -> ModelVersionStatus:
    started = JobStatus.model_validate({"name": f"m-v1-a{attempt}", "attempt": attempt, "startedAt": NOW, **job})
    return ModelVersionStatus(phase="Training", resolved=RESOLVED, job=started)


def phase(name: str, **changes: Any) -> ModelVersionStatus:
    verdict = Verdict(decision="Deploy", reason="NoChampion", message="it is", at=NOW)
    evaluated = training(state="Succeeded").model_copy(update={"phase": name, "verdict": verdict, "evaluated_at": NOW})
    return evaluated.model_copy(update=changes)


STABLE = TrackStatus(version="m-v1", uid="u1", weight=1.0)
OTHER = TrackStatus(version="m-v9", uid="u9", weight=1.0)
CANARY = CanaryStatus(version="m-v1", uid="u1", started_at=NOW, step_started_at=NOW)
INCOMING = IncomingStatus(version="m-v1", uid="u1", reason="Deploy", since=NOW)


def ended(name: str) -> Outcome:
    return Outcome.model_validate({"version": "m-v1", "uid": "u1", "phase": name, "reason": "R", "at": NOW})


def rollout(**status: Any) -> VersionFacts:
    return replace(FACTS, rollout=ModelDeploymentStatus(**{"stable": OTHER, **status}))


def after(job: JobView, report: Trained | Untrusted | None = NO_REPORT) -> VersionFacts:
    return replace(FACTS, job=job, trained=report)


def coming(reason: str) -> VersionFacts:
    return rollout(incoming=INCOMING.model_copy(update={"reason": reason}))


def decide(
    status: ModelVersionStatus, facts: VersionFacts, spec: ModelVersionSpec = SPEC, decision: str = "Deploy"
) -> VersionDecision:
    verdict = Verdict.model_validate({"decision": decision, "reason": "R", "message": "because", "at": NOW})
    return decide_version("m-v1", spec, status, facts, lambda *_: verdict)


FOLLOWS = [
    # what,                                     status,                 facts,                  phase,       tells
    ("nothing to start with", ModelVersionStatus(), FACTS, "Pending", []),
    ("still nothing to start with", ModelVersionStatus(phase="Pending"), FACTS, "Pending", []),
    ("all is there", ModelVersionStatus(), replace(FACTS, resolved=RESOLVED), "Training", ["TrainingStarted"]),
    ("its Job is not made yet", training(), FACTS, "Training", []),
    ("its Job runs", training(), after(JobView("Running"), None), "Training", []),
    ("done, and the store does not answer", training(), after(DONE, None), "Training", []),
    ("done", training(), after(DONE, TRAINED), "Evaluated", ["VerdictDeploy"]),
    ("failed after its row", training(), after(failed(), TRAINED), "Evaluated", ["VerdictDeploy"]),
    ("done without a row", training(), after(DONE), "Training", ["ReportMissing"]),
    ("done without a row once too often", training(2), after(DONE), "Failed", ["ReportMissing"]),
    ("failed", training(), after(failed()), "Training", ["TrainingFailed"]),
    ("failed once too often", training(2), after(failed()), "Failed", ["TrainingFailed"]),
    ("a wrong task", training(), after(failed(2)), "Failed", ["TaskWrong"]),
    ("not enough data", training(), after(failed(3)), "Failed", ["NotEnoughData"]),
    ("too slow", training(), after(failed(None, "DeadlineExceeded")), "Training", ["DeadlineExceeded"]),
    ("backing off", training(state="Failed", retryAt=NOW + A_WHILE), FACTS, "Training", []),
    ("backed off", training(state="Failed", retryAt=NOW), FACTS, "Training", ["TrainingRetried"]),
    ("evaluated, and nothing moves", phase("Evaluated"), rollout(), "Evaluated", []),
    ("evaluated, and its model is gone", phase("Evaluated"), FACTS, "Evaluated", []),
    ("its pods are being made", phase("Evaluated"), coming("Deploy"), "Evaluated", []),
    ("in a canary", phase("Evaluated"), rollout(canary=CANARY), "Canary", []),
    ("promoted from a canary, pods not ready", phase("Canary"), coming("Promote"), "Canary", []),
    ("it serves", phase("Evaluated"), rollout(stable=STABLE), "Live", []),
    ("it serves after its canary", phase("Canary"), rollout(stable=STABLE), "Live", []),
    ("a rollout that was refused", phase("Evaluated"), rollout(outcomes=[ended("Superseded")]), "Superseded", []),
    ("a canary that did worse", phase("Canary"), rollout(outcomes=[ended("Rejected")]), "Rejected", []),
    ("another one took over", phase("Live"), rollout(outcomes=[ended("Archived")]), "Archived", []),
    ("another one took over long ago", phase("Live"), rollout(), "Archived", []),
    ("pinned, pods not ready", phase("Archived"), coming("Pin"), "Archived", []),
    ("pinned, and it serves again", phase("Archived"), rollout(stable=STABLE), "Live", []),
    ("an old rejection", phase("Rejected"), rollout(), "Rejected", []),
    ("a failure", phase("Failed"), rollout(), "Failed", []),
]  # fmt: skip


@pytest.mark.parametrize(("status", "facts", "follows", "tells"), [c[1:] for c in FOLLOWS], ids=[c[0] for c in FOLLOWS])
def test_what_follows(status: ModelVersionStatus, facts: VersionFacts, follows: str, tells: list[str]) -> None:
    decision = decide(status, facts)
    assert decision.status.phase == follows
    assert [transition.reason for transition in decision.transitions] == tells
    again = decide(decision.status, facts)
    assert again.status == decision.status, "decided again on the same facts"
    assert again.transitions == ()


APPROVAL = [
    ("nobody said a thing", FACTS, "Evaluated", None, []),
    ("approved", replace(FACTS, asked="approve"), "Evaluated", "Approved", ["Approved"]),
    ("rejected", replace(FACTS, asked="reject"), "Rejected", "Rejected", ["RejectedByHand"]),
    ("in time's last moment", replace(FACTS, now=NOW + timedelta(minutes=59)), "Evaluated", None, []),
    ("too late", replace(FACTS, now=NOW + timedelta(hours=1)), "Superseded", None, ["ApprovalTimedOut"]),
    ("it serves already: pinned meanwhile", rollout(stable=STABLE), "Live", None, []),
]


@pytest.mark.parametrize(
    ("facts", "follows", "approval", "tells"), [c[1:] for c in APPROVAL], ids=[c[0] for c in APPROVAL]
)
def test_a_verdict_that_waits_for_approval(
    facts: VersionFacts, follows: str, approval: str | None, tells: list[str]
) -> None:
    decision = decide(phase("Evaluated"), facts, BY_APPROVAL)
    assert (decision.status.phase, decision.status.approval) == (follows, approval)
    assert [transition.reason for transition in decision.transitions] == tells


def test_an_approval_lasts_beyond_the_timeout() -> None:
    late = replace(FACTS, now=NOW + timedelta(days=1))
    assert decide(phase("Evaluated", approval="Approved"), late, BY_APPROVAL).status.phase == "Evaluated"


def test_a_verdict_keeps_a_version_out_at_once() -> None:
    decision = decide(training(), replace(FACTS, job=DONE, trained=TRAINED), decision="Keep")
    assert (decision.status.phase, decision.status.finished_at) == ("Rejected", NOW)
    assert decision.transitions[0].message == "m-v1: because"


def test_what_a_version_was_trained_on_and_with_is_recorded() -> None:
    status = decide(training(), replace(FACTS, job=DONE, trained=TRAINED)).status
    assert status.artifact is not None
    assert (status.artifact.digest, status.artifact.bytes) == (DIGEST, 100)
    assert status.dataset is not None
    assert status.dataset.rows == 100
    assert status.training_seconds == 300
    assert status.evaluation == REPORT.evaluation
    assert status.job is not None
    assert status.job.state == "Succeeded"


@pytest.mark.parametrize(
    ("attempt", "wait"), [(1, timedelta(hours=1)), (2, timedelta(hours=2)), (3, timedelta(hours=4))]
)
def test_each_back_off_is_twice_the_one_before(attempt: int, wait: timedelta) -> None:
    patient = RESOLVED.model_copy(update={"training": RESOLVED.training.model_copy(update={"retries": 9})})
    status = training(attempt).model_copy(update={"resolved": patient})
    decision = decide(status, replace(FACTS, job=failed(), trained=NO_REPORT))
    assert decision.status.job is not None
    assert decision.status.job.retry_at == NOW + wait
    assert decision.look_again == wait


def test_the_next_attempt_is_another_job() -> None:
    status = decide(training(state="Failed", retryAt=NOW), FACTS).status
    assert status.job is not None
    assert (status.job.name, status.job.attempt, status.job.state) == (attempt_name("m-v1", 2), 2, "Running")


SAID = [
    (failed(1, said="out of memory"), "out of memory"),
    (failed(137), "m-v1-a1 failed (TrainingFailed, exit code 137)"),
    (
        failed(None, "DeadlineExceeded", "Job was active longer than specified deadline"),
        "m-v1-a1 was stopped at training.timeout (30m): raise it, or shorten training.dataWindow",
    ),
    (DONE, "the Job left no row"),
]


@pytest.mark.parametrize(("job", "said"), SAID)
def test_a_failure_says_what_happened(job: JobView, said: str) -> None:
    status = decide(training(), replace(FACTS, job=job, trained=NO_REPORT)).status
    assert status.job is not None
    assert status.job.message == said


@pytest.mark.parametrize(
    ("since", "again"),
    [
        (timedelta(0), timedelta(minutes=1)),
        (timedelta(minutes=29, seconds=50), timedelta(seconds=15)),
        (timedelta(hours=1), timedelta(seconds=5)),
    ],
)
def test_a_job_is_looked_at_more_often_from_its_deadline_on(since: timedelta, again: timedelta) -> None:
    facts = replace(FACTS, job=JobView("Running"), now=NOW + since)
    assert decide(training(), facts).look_again == again


def test_without_room_neither_a_first_nor_another_attempt_starts() -> None:
    crowded = replace(FACTS, resolved=RESOLVED, crowded=True)
    first = decide(ModelVersionStatus(), crowded)
    assert (first.status.phase, first.status.job, first.look_again) == ("Pending", None, A_LANE)
    backed_off = training(state="Failed", retryAt=NOW)
    assert decide(backed_off, crowded) == VersionDecision(backed_off, (), A_LANE)


@pytest.mark.parametrize(
    ("status", "starts"),
    [
        (ModelVersionStatus(), True),
        (ModelVersionStatus(phase="Pending"), True),
        (training(), False),
        (training(state="Failed", retryAt=NOW + A_WHILE), False),
        (training(state="Failed", retryAt=NOW), True),
        (phase("Failed"), False),
        (phase("Evaluated"), False),
    ],
)
def test_who_would_start_an_attempt_now(status: ModelVersionStatus, starts: bool) -> None:
    assert starts_attempt(status, NOW) is starts


def test_whoever_waits_looks_again_without_an_event() -> None:
    for status, facts in (
        (ModelVersionStatus(), FACTS),
        (training(), replace(FACTS, job=JobView("Running"))),
        (training(), replace(FACTS, job=DONE)),
        (training(state="Failed", retryAt=NOW + A_WHILE), FACTS),
    ):
        assert decide(status, facts).look_again is not None
    assert decide(phase("Evaluated"), FACTS, BY_APPROVAL).look_again == timedelta(hours=1)
    assert decide(phase("Live"), rollout(stable=STABLE)).look_again is None
