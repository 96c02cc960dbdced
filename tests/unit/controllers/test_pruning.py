"""Which versions may go."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import ModelDeploymentStatus
from perennial.api.shared import TrackStatus
from perennial.controllers.objects import Version, parse_version
from perennial.controllers.pruning import choose_prunable

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SPEC = {
    "algorithm": {"name": "xgboost"},
    "samples": {
        "readUrlFrom": {"name": "s", "key": "r"},
        "writeUrlFrom": {"name": "s", "key": "w"},
        "labelDelay": "1h",
    },
}


def version(revision: int, phase: str = "Rejected", *, days: float = 30, holdout: str | None = None) -> Version:
    started = (NOW - timedelta(days=days)).isoformat()
    resolved: dict[str, Any] = {
        "revision": revision,
        "algorithm": {"name": "xgboost"},
        "samples": {"labelDelay": "1h"},
        "decision": {},
        "artifacts": {"claimName": "models"},
        "training": {},
        "promotion": {},
        "startedAt": started,
    }
    status: dict[str, Any] = {"phase": phase, "resolved": resolved, "startedAt": started}
    if holdout:
        digest = f"sha256:{'0' * 64}"
        resolved["champion"] = {"name": "m-v0", "uid": "0", "artifact": {"uri": "file:///a", "digest": digest}}
        times = {"from": started, "until": started, "holdoutFrom": started, "holdoutUntil": holdout}
        status["dataset"] = {"rows": 1, "fingerprint": digest, **times}
    metadata = {"name": f"m-v{revision}", "uid": f"u{revision}", "creationTimestamp": started}
    return parse_version({"metadata": metadata, "spec": {"modelDeployment": "m"}, "status": status})


OLD = "2025-12-01T00:00:00Z"
NEW = "2025-12-31T00:00:00Z"
CASES = [
    ("none beyond the limit", [version(i) for i in range(1, 4)], 3, []),
    ("the oldest beyond the limit", [version(i) for i in (3, 1, 5, 2, 4)], 2, [1, 2, 3]),
    ("what trains counts for nothing", [version(1), version(2, "Training"), version(3), version(4)], 2, [1]),
    ("not what the daily budget counts", [version(1, days=2), *(version(i, days=0.9) for i in (2, 3, 4))], 2, [1]),
    (
        "not the last one that did not fail",
        [version(1), version(2), *(version(i, "Failed") for i in (3, 4, 5))],
        2,
        [1, 3],
    ),
    (
        "not the one whose holdout reaches furthest",
        [version(1, holdout=OLD), version(2, holdout=NEW), *(version(i) for i in (3, 4, 5))],
        2,
        [1, 3],
    ),
    ("not what serves", [version(7, "Archived"), version(8), version(9), version(10)], 2, [8]),
]


@pytest.mark.parametrize(("versions", "limit", "go"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_which_versions_may_go(versions: list[Version], limit: int, go: list[int]) -> None:
    spec = ModelDeploymentSpec.model_validate({**SPEC, "versionHistoryLimit": limit})
    status = ModelDeploymentStatus(stable=TrackStatus(version="m-v7", uid="u7", weight=1))
    assert [v.name for v in choose_prunable(spec, status, versions, NOW)] == [f"m-v{i}" for i in go]
