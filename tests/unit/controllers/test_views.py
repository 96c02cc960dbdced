"""What Pods and Jobs look like to the operator."""

from datetime import UTC, datetime
from typing import Any

import pytest

from perennial.controllers.objects import view_job, view_pods
from perennial.domain.traffic import PodsView
from perennial.domain.version import JobView

Object = dict[str, Any]
START, END = "2026-01-05T12:00:00Z", "2026-01-05T12:01:00Z"
STARTED, ENDED = datetime(2026, 1, 5, 12, tzinfo=UTC), datetime(2026, 1, 5, 12, 1, tzinfo=UTC)


def deployment(track: str, ready: int, version: str = "m-v1") -> Object:
    labels = {"perennial.dev/version": version, "perennial.dev/track": track}
    return {"metadata": {"labels": labels, "generation": 1}, "status": {"readyReplicas": ready}}


def pod(container: Object, *, track: str | None = "live", **metadata: str) -> Object:
    labels = {"perennial.dev/version": "m-v1"} | ({"perennial.dev/track": track} if track else {})
    return {"metadata": {"labels": labels, **metadata}, "status": {"containerStatuses": [container]}}


def waiting(reason: str, **last: object) -> Object:
    return {"ready": False, "state": {"waiting": {"reason": reason}}, "lastState": {"terminated": last} if last else {}}


def terminated(code: int, said: str = "", restarts: int = 0, **last: object) -> Object:
    ended = {"exitCode": code, "reason": "Error", "message": said}
    before = {"terminated": last} if last else {}
    return {"ready": False, "restartCount": restarts, "state": {"terminated": ended}, "lastState": before}


def running(restarts: int, *, ready: bool, **last: object) -> Object:
    state = {"running": {"startedAt": END}}
    return {"ready": ready, "restartCount": restarts, "state": state, "lastState": {"terminated": last}}


def evicted(*containers: Object) -> Object:
    found = pod({})
    status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    return {**found, "status": {**status, "containerStatuses": list(containers)}}


def test_ready_pods_are_counted_by_version_and_track() -> None:
    found = view_pods([deployment("live", 2), deployment("shadow", 1), deployment("live", 3, "m-v2")], [])
    assert found == {"m-v1": PodsView(2, 1), "m-v2": PodsView(3, 0)}


def test_a_deployment_without_status_has_no_ready_pod() -> None:
    bare = deployment("live", 0)
    bare["status"] = {}
    assert view_pods([bare], []) == {"m-v1": PodsView()}


BROKEN = [
    ("a crash loop", pod(waiting("CrashLoopBackOff", exitCode=1)), "fails (CrashLoopBackOff, exit code 1)"),
    (
        "last words",
        pod(waiting("CrashLoopBackOff", exitCode=1, message="a\nmodel.ubj: digest is wrong\n")),
        "fails (CrashLoopBackOff, exit code 1): model.ubj: digest is wrong",
    ),
    ("a container that cannot be made", pod(waiting("CreateContainerError")), "fails (CreateContainerError)"),
    (
        "why it cannot be made",
        pod({"state": {"waiting": {"reason": "InvalidImageName", "message": "couldn't parse image"}}}),
        "fails (InvalidImageName): couldn't parse image",
    ),
    ("a crash loop between restarts", pod(terminated(137, restarts=1, exitCode=1)), "fails (Error, exit code 137)"),
    (
        "the last words of a crash loop between restarts",
        pod(terminated(1, "digest is wrong", restarts=1, exitCode=1, message="before")),
        "fails (Error, exit code 1): digest is wrong",
    ),
    (
        "a crash loop that fell silent",
        pod(terminated(1, restarts=1, exitCode=1, message="digest is wrong")),
        "fails (Error, exit code 1): digest is wrong",
    ),
    ("one exit", pod(terminated(137)), None),
    ("a clean exit after a restart", pod(terminated(0, restarts=1, exitCode=1)), None),
    ("a container that came up after its node did", pod(running(1, ready=False, exitCode=255)), None),
    ("a container that loads again after it crashed twice", pod(running(2, ready=False, exitCode=1)), None),
    ("a container that is made anew after its node", pod(waiting("ContainerCreating", exitCode=255)), None),
    ("a pod that was evicted", evicted(terminated(137, restarts=1, exitCode=137)), None),
    ("a pod that was evicted in a crash loop", evicted(waiting("CrashLoopBackOff", exitCode=1)), None),
    ("a pod that was evicted before it began", evicted(), None),
    ("an image that is being pulled", pod(waiting("ImagePullBackOff")), None),
    ("a container that is being made", pod(waiting("ContainerCreating")), None),
    ("a clean exit", pod(terminated(0)), None),
    ("a restart that has recovered", pod({"ready": True, "lastState": {"terminated": {"exitCode": 1}}}), None),
    ("a pod that goes anyway", pod(terminated(143, restarts=1), deletionTimestamp=END), None),
    ("a pod of the version's training", pod(terminated(1, restarts=1), track=None), None),
]


@pytest.mark.parametrize(("found", "said"), [c[1:] for c in BROKEN], ids=[c[0] for c in BROKEN])
def test_a_failing_pod_is_told_from_one_that_is_not(found: Object, said: str | None) -> None:
    view = view_pods([deployment("live", 0)], [found])["m-v1"]
    assert view.broken == said


def job(condition: str | None = None, **fields: str) -> Object:
    status: Object = {"startTime": START}
    if condition == "Complete":
        status["completionTime"] = END
    if condition:
        status["conditions"] = [{"type": condition, "status": "True", "lastTransitionTime": END, **fields}]
    return {"status": status}


FAILED = {"reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}
LATE = {"reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"}
JOBS = [
    ("none", None, [], JobView("Missing")),
    ("made a moment ago", {}, [], JobView("Running")),
    ("running", job(), [], JobView("Running", started_at=STARTED)),
    ("done", job("Complete"), [], JobView("Succeeded", "", 0, "", STARTED, ENDED)),
    (
        "failed with the trainer's summary",
        job("Failed", **FAILED),
        [pod(terminated(3, '{"error": "holdout: 12 rows, 500 are needed"}'))],
        JobView("Failed", "", 3, "holdout: 12 rows, 500 are needed", STARTED, ENDED),
    ),
    (
        "failed with something else's last words",
        job("Failed", **FAILED),
        [pod(terminated(1, "Traceback\nMemoryError\n"))],
        JobView("Failed", "", 1, "Traceback\nMemoryError", STARTED, ENDED),
    ),
    (
        "failed and its pod is gone",
        job("Failed", **FAILED),
        [],
        JobView("Failed", "", None, FAILED["message"], STARTED, ENDED),
    ),
    (
        "stopped at its deadline: what the killed pod says is of no account",
        job("Failed", **LATE),
        [pod(terminated(143, "terminated"))],
        JobView("Failed", "DeadlineExceeded", None, LATE["message"], STARTED, ENDED),
    ),
]


@pytest.mark.parametrize(("body", "pods", "view"), [c[1:] for c in JOBS], ids=[c[0] for c in JOBS])
def test_a_job_and_what_its_container_said_last(body: Object | None, pods: list[Object], view: JobView) -> None:
    assert view_job(body, pods) == view
