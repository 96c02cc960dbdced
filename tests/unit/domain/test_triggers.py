"""Triggers, one row a case: what is known of a model, and the strongest reason to retrain it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.domain.models import CREATED, DAY, EVIDENCE, HOUR, NOW, counts, health, model, policy, poor

from perennial.api.model_deployment_status import DriftState, DriftStatus
from perennial.api.model_version import Trigger
from perennial.domain.triggers import ModelView, decide_trigger, held_back

BEGUN = CREATED - 6 * HOUR
"""The policy's creation: its daily schedule was last due six hours ago."""
SCHEDULE = {"triggers": {"schedule": {"every": "24h"}}}
SAMPLES = {"triggers": {"newSamples": {"atLeast": 3000}}}
DRIFTS = {"triggers": {"drift": {}}}


def drift(state: DriftState) -> DriftStatus:
    """What the newest windows say."""
    return DriftStatus(state=state, reason="FeaturesDrifted", message="1 of 3 columns", evidence_until=NOW - HOUR)


CASES: list[tuple[str, dict[str, Any], ModelView, tuple[str, str, str] | None]] = [
    ("all is well: no reason", {}, model(), None),
    (
        "no version yet: urgent",
        {},
        model(versions_exist=False, has_stable=False, starts=(), last_evidence_until=None, health=None),
        ("Missing", "Urgent", "NoVersion"),
    ),
    ("versions, none of which serves: urgent", {}, model(has_stable=False), ("Missing", "Urgent", "NoStableVersion")),
    ("Critical: urgent", {}, model(health=health("Critical")), ("Health", "Urgent", "HealthCritical")),
    ("Degraded: high", {}, poor(), ("Health", "High", "HealthDegraded")),
    ("Unknown never triggers", {}, model(health=health("Unknown", trend="Declining")), None),
    ("never looked at never triggers", {}, model(health=None), None),
    ("Degraded, and health is no trigger", {"triggers": {}}, poor(), None),
    ("Degraded, and only Critical is one", {"triggers": {"health": {"states": ["Critical"]}}}, poor(), None),
    (
        "declining: medium",
        {},
        model(health=health("Healthy", 0.55, trend="Declining")),
        ("Trend", "Medium", "TrendDeclining"),
    ),
    ("improving is no reason", {}, model(health=health("Healthy", 0.55, trend="Improving")), None),
    ("declining, and health is no trigger", {"triggers": {}}, model(health=health("Healthy", trend="Declining")), None),
    (
        "Degraded and declining: the stronger",
        {},
        model(health=health("Degraded", trend="Declining")),
        ("Health", "High", "HealthDegraded"),
    ),
    ("drifting: medium", DRIFTS, model(drift=drift("Drifting")), ("Drift", "Medium", "FeaturesDrifted")),
    ("drifting, and drift is no trigger", {}, model(drift=drift("Drifting")), None),
    ("suspected is no reason", DRIFTS, model(drift=drift("Suspected")), None),
    ("drift that is unknown never triggers", DRIFTS, model(drift=drift("Unknown")), None),
    (
        "drifting on a window that an attempt has seen: it never fires twice",
        DRIFTS,
        model(drift=drift("Drifting"), last_evidence_until=NOW - HOUR),
        None,
    ),
    (
        "Degraded and drifting: one reason, the stronger",
        DRIFTS | {"triggers": {"health": {}, "drift": {}}},
        model(health=health("Degraded"), drift=drift("Drifting")),
        ("Health", "High", "HealthDegraded"),
    ),
    ("enough new samples: low", SAMPLES, model(), ("NewSamples", "Low", "NewSamples")),
    ("one sample less is not enough", SAMPLES, model(counts=counts(2999)), None),
    ("samples that cannot be counted are none", SAMPLES, model(counts=None), None),
    ("on schedule: low", SCHEDULE, model(), ("Schedule", "Low", "ScheduleDue")),
    ("on schedule, and trained since", SCHEDULE, model(starts=(NOW - HOUR,), last_evidence_until=NOW - DAY), None),
    ("on schedule, but created since", SCHEDULE, model(starts=(), created_at=NOW - HOUR), None),
    (
        "new samples and schedule: new samples say more",
        {"triggers": {"schedule": {"every": "24h"}, "newSamples": {"atLeast": 3000}}},
        model(),
        ("NewSamples", "Low", "NewSamples"),
    ),
    ("asked for by hand: high", {}, model(retrain_requested=True), ("Manual", "High", "RetrainRequested")),
    (
        "asked for by hand while Critical: as urgent as that",
        {},
        model(health=health("Critical"), retrain_requested=True),
        ("Manual", "Urgent", "RetrainRequested"),
    ),
    (
        "asked for by hand with nothing new: a person decides",
        {},
        model(retrain_requested=True, counts=counts(0)),
        ("Manual", "High", "RetrainRequested"),
    ),
    ("Degraded on outcomes that the last attempt has seen", {}, poor(counts=counts(199)), None),
    (
        "Degraded on as many new ones as health needs",
        {},
        poor(counts=counts(200)),
        ("Health", "High", "HealthDegraded"),
    ),
    (
        "Degraded on the evidence of the last attempt, while outcomes come in for samples that it never scored",
        {},
        poor(counts=counts(5000), last_evidence_until=EVIDENCE),
        None,
    ),
    ("Degraded, new outcomes cannot be counted", {}, poor(counts=None), None),
    (
        "Degraded, and there was no attempt before",
        {},
        poor(counts=counts(0), last_evidence_until=None),
        ("Health", "High", "HealthDegraded"),
    ),
    (
        "Degraded, and the last attempt failed: its evidence is not used up",
        {},
        poor(counts=counts(0), failures=1),
        ("Health", "High", "HealthDegraded"),
    ),
    (
        "no version serves, rejected on the same outcomes",
        {},
        model(has_stable=False, counts=counts(10)),
        None,
    ),
    (
        "the last attempt was compared with a version that serves no more: again, as before",
        {},
        model(superseded=Trigger(type="Schedule", priority="Low", reason="ScheduleDue"), counts=counts(0)),
        ("Schedule", "Low", "ChampionChanged"),
    ),
]


@pytest.mark.parametrize(("spec", "seen", "expected"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_trigger(spec: dict[str, Any], seen: ModelView, expected: tuple[str, str, str] | None) -> None:
    reason = decide_trigger(policy(**spec), seen, BEGUN, NOW)
    assert (reason and (reason.type, reason.priority, reason.reason)) == expected
    if reason:
        assert reason.message
        assert "\n" not in reason.message


def test_a_reason_carries_the_evidence_that_it_rests_on() -> None:
    on_health = decide_trigger(policy(), poor(), BEGUN, NOW)
    by_hand = decide_trigger(policy(), model(retrain_requested=True), BEGUN, NOW)
    assert on_health is not None
    assert by_hand is not None
    assert on_health.evidence_until == EVIDENCE
    assert on_health.message == "WinRateBelowMinimum: win rate 45.0%"
    assert by_hand.evidence_until == NOW - 5 * HOUR


def test_what_is_held_back_for_want_of_new_outcomes_is_known() -> None:
    waiting = held_back(policy(), poor(counts=counts(120)), BEGUN, NOW)
    assert waiting is not None
    assert waiting.reason == "HealthDegraded"
    assert held_back(policy(), poor(), BEGUN, NOW) is None
    assert held_back(policy(), model(counts=counts(0)), BEGUN, NOW) is None


def test_a_schedule_is_caught_up_once_however_many_times_were_missed() -> None:
    spec = policy(**SCHEDULE)
    asleep = model(starts=(NOW - 10 * DAY,))
    assert decide_trigger(spec, asleep, BEGUN, NOW) is not None
    trained = replace(asleep, starts=(NOW,))
    assert decide_trigger(spec, trained, BEGUN, NOW + timedelta(hours=17)) is None
    assert decide_trigger(spec, trained, BEGUN, NOW + timedelta(hours=18)) is not None
