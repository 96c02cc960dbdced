"""Revisions: never given twice, and the one in a version's name when it is still free."""

from datetime import UTC, datetime
from typing import Any

import pytest

from perennial.controllers.objects import Model, Version, parse_model, parse_version
from perennial.controllers.resolve import _previous_holdout, next_free_revision, next_revision

RESOLVED: dict[str, Any] = {
    "algorithm": {"name": "xgboost"},
    "samples": {"labelDelay": "1h"},
    "decision": {},
    "artifacts": {"claimName": "models"},
    "training": {},
    "promotion": {},
    "startedAt": "2026-01-05T12:00:00Z",
}


def model(last_revision: int = 0) -> Model:
    return parse_model({"metadata": {"name": "m", "uid": "m"}, "status": {"lastRevision": last_revision}})


def version(name: str, revision: int | None = None) -> Version:
    status = {"resolved": {**RESOLVED, "revision": revision}} if revision else {}
    return parse_version({"metadata": {"name": name, "uid": name}, "spec": {"modelDeployment": "m"}, "status": status})


CASES = [
    ("the first", "m-v1", 0, [], 1),
    ("the first, without a number in its name", "m-x7k2p", 0, [], 1),
    ("the one in its name", "m-v5", 3, [("m-v3", 3)], 5),
    ("without a number, after the others", "m-x7k2p", 3, [("m-v3", 3)], 4),
    ("without a number, and not one that a name reserves", "m-x7k2p", 0, [("m-v1", None)], 2),
    ("a number that another took", "m-v2", 0, [("m-x7k2p", 2)], 3),
    ("a number that was pruned", "m-v2", 6, [], 7),
    ("two of the model's own kind beside one of another's", "m-v1", 0, [("m-v1-v9", None)], 1),
]


@pytest.mark.parametrize(("name", "last", "others", "revision"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_version_takes_a_revision(name: str, last: int, others: list[tuple[str, int | None]], revision: int) -> None:
    mine = version(name)
    siblings = [version(*other) for other in others]
    assert next_revision(mine, model(last), [*siblings, mine]) == revision


def test_the_next_free_one_is_above_all_that_ever_was() -> None:
    siblings = [version("m-v3", 3), version("m-v8"), version("m-x7k2p", 5)]
    assert next_free_revision(model(4), siblings) == 9
    assert next_free_revision(model(12), siblings) == 13


CHAMPION = {"name": "m-v1", "uid": "v1", "artifact": {"uri": "file:///artifacts/x", "digest": "sha256:" + "0" * 64}}
JUDGED = {
    "rows": 1000,
    "from": "2026-01-01T00:00:00Z",
    "until": "2026-01-04T00:00:00Z",
    "holdoutFrom": "2026-01-03T00:00:00Z",
    "holdoutUntil": "2026-01-04T00:00:00Z",
    "fingerprint": "sha256:0",
}
HOLDOUTS: list[tuple[str, list[dict[str, Any]], datetime | None]] = [
    ("nobody was judged", [{}], None),
    ("one was judged", [{"phase": "Rejected", "dataset": JUDGED}], datetime(2026, 1, 4, tzinfo=UTC)),
    (
        "one is being trained: it will be judged on what was known when it began",
        [{"phase": "Rejected", "dataset": JUDGED}, {"phase": "Training"}],
        datetime(2026, 1, 5, 11, tzinfo=UTC),
    ),
    ("one without a champion spends nothing", [{"phase": "Training", "champion": None}], None),
    ("one that failed was never judged", [{"phase": "Failed"}], None),
]


@pytest.mark.parametrize(("siblings", "end"), [c[1:] for c in HOLDOUTS], ids=[c[0] for c in HOLDOUTS])
def test_challengers_share_the_error_of_a_holdout(siblings: list[dict[str, Any]], end: datetime | None) -> None:
    versions = []
    for revision, status in enumerate(siblings, 2):
        resolved = {**RESOLVED, "revision": revision, "champion": status.get("champion", CHAMPION)}
        whole = {name: value for name, value in status.items() if name != "champion"}
        metadata = {"name": f"m-v{revision}", "uid": f"v{revision}"}
        whole |= {"resolved": resolved} if status else {}
        versions.append(parse_version({"metadata": metadata, "spec": {"modelDeployment": "m"}, "status": whole}))
    assert _previous_holdout(versions) == end
