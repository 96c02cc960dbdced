"""Waiting, one row a case: a wanted retrain, and what keeps it from starting."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.domain.models import CREATED, DAY, HOUR, NOW, in_flight, model, policy, poor

from perennial.api.model_deployment_status import IncomingStatus
from perennial.api.model_version import Trigger
from perennial.domain.rollout import PROGRESS_DEADLINE
from perennial.domain.triggers import ModelView, decide_trigger
from perennial.domain.waiting import decide_wait

CANARY, EVALUATED, PENDING = (in_flight("m-v2", phase) for phase in ("Canary", "Evaluated", "Pending"))
SCHEDULED = {"triggers": {"schedule": {"every": "24h"}}}
SIX = tuple(NOW - hours * HOUR for hours in (7, 8, 9, 10, 11, 23))
ALWAYS = {"limits": {"cooldown": "1h"}}


def coming_in(**changes: Any) -> ModelView:
    """A model whose first version was to serve ten minutes ago."""
    since = NOW - PROGRESS_DEADLINE - timedelta(seconds=1)
    given = {"version": "m-v2", "uid": "u2", "reason": "Deploy", "since": since, **changes}
    return model(has_stable=False, incoming=IncomingStatus.model_validate(given), in_flight=(EVALUATED,))


CASES: list[tuple[str, dict[str, Any], ModelView, str | None, datetime | None]] = [
    ("nothing in the way", {}, poor(), None, None),
    ("an older policy governs it", {}, poor(conflict="other"), "Conflict", None),
    ("the policy is suspended", {"suspend": True}, poor(), "Suspended", None),
    ("the policy only advises", {"mode": "Advisory"}, poor(), "Advisory", None),
    (
        "advice, too, says what is in the way",
        {"mode": "Advisory"},
        poor(starts=(NOW - HOUR,)),
        "CoolDown",
        NOW + 5 * HOUR,
    ),
    ("the model is pinned", {}, poor(pinned=True), "Pinned", None),
    ("pinned, and asked for by hand", {}, model(pinned=True, retrain_requested=True), None, None),
    ("a version is about to train", {}, poor(in_flight=(PENDING,)), "InFlight", None),
    ("a version awaits its rollout", {}, poor(in_flight=(EVALUATED,)), "InFlight", None),
    ("Degraded trains even during a canary", {}, poor(in_flight=(CANARY,)), None, None),
    ("and during one that another version awaits", {}, poor(in_flight=(EVALUATED, CANARY)), None, None),
    ("a canary, and a version that trains already", {}, poor(in_flight=(PENDING, CANARY)), "InFlight", None),
    ("a first version whose pods never came", {}, coming_in(), None, None),
    ("a first version whose pods may still come", {}, coming_in(since=NOW), "InFlight", None),
    ("a first version that waits for a pod more", {}, coming_in(ready_replicas=1), "InFlight", None),
    ("another version comes in", {}, coming_in(version="m-v1"), "InFlight", None),
    (
        "a version comes in beside one that serves",
        {},
        replace(coming_in(), has_stable=True, health=poor().health),
        "InFlight",
        None,
    ),
    ("a schedule waits for the canary", SCHEDULED, model(in_flight=(CANARY,)), "InFlight", None),
    ("the store does not answer", SCHEDULED, model(counts=None, last_evidence_until=None), "StoreUnavailable", None),
    ("in cool-down", {}, poor(starts=(NOW - HOUR,)), "CoolDown", NOW + 5 * HOUR),
    ("the cool-down is over at its end", {}, poor(starts=(NOW - 6 * HOUR,)), None, None),
    ("a manual retrain needs no cool-down", {}, model(starts=(NOW - HOUR,), retrain_requested=True), None, None),
    (
        "nor does one whose champion went away",
        {},
        model(starts=(NOW - HOUR,), superseded=Trigger(reason="HealthDegraded")),
        None,
        None,
    ),
    ("six trainings today", ALWAYS, poor(starts=SIX), "DailyBudget", NOW + HOUR),
    (
        "a manual retrain has a daily budget, too",
        {},
        model(starts=SIX, retrain_requested=True),
        "DailyBudget",
        NOW + HOUR,
    ),
    ("five trainings today", ALWAYS, poor(starts=SIX[:5]), None, None),
    ("six trainings, one of them yesterday", ALWAYS, poor(starts=(*SIX[:5], NOW - DAY)), None, None),
    ("backing off after failures", {}, poor(failures=2, retry_not_before=NOW + 2 * HOUR), "BackOff", NOW + 2 * HOUR),
    ("the back-off is over", {}, poor(failures=2, retry_not_before=NOW), None, None),
    (
        "of two rests the longer: back-off",
        {},
        poor(failures=1, retry_not_before=NOW + 9 * HOUR, starts=(NOW - HOUR,)),
        "BackOff",
        NOW + 9 * HOUR,
    ),
    (
        "of two rests the longer: cool-down",
        {},
        poor(failures=1, retry_not_before=NOW + HOUR, starts=(NOW - HOUR,)),
        "CoolDown",
        NOW + 5 * HOUR,
    ),
]


@pytest.mark.parametrize(
    ("spec", "seen", "waits_for", "not_before"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_wait(spec: dict[str, Any], seen: ModelView, waits_for: str | None, not_before: datetime | None) -> None:
    rules = policy(**spec)
    reason = decide_trigger(rules, seen, CREATED, NOW)
    assert reason is not None
    wait = decide_wait(rules, seen, reason, NOW)
    assert (wait.reason if wait else None, wait.not_before if wait else None) == (waits_for, not_before)
