"""Triggers, one row a case: what is known of a model, and the strongest reason to retrain it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.models import CREATED, DAY, EVIDENCE, HOUR, NOW, counts, health, model, policy, poor

from perennial.api.model_deployment_status import DriftState, DriftStatus, RegimeStatus
from perennial.api.model_version import Trigger
from perennial.domain.triggers import ModelView, decide_trigger, held_back

BEGUN = CREATED - 6 * HOUR
"""The policy's creation: its daily schedule was last due six hours ago."""
SCHEDULE = {"triggers": {"schedule": {"every": "24h"}}}
SAMPLES = {"triggers": {"newSamples": {"atLeast": 3000}}}
DRIFTS = {"triggers": {"drift": {}}}
REGIME = {"triggers": {"regime": {"sustainedFor": "3d"}}}
SECOND = timedelta(seconds=1)


def drift(state: DriftState) -> DriftStatus:
    """What the newest windows say."""
    return DriftStatus(state=state, reason="FeaturesDrifted", message="1 of 3 columns", evidence_until=NOW - HOUR)


def regime(lasted: timedelta, **changes: Any) -> RegimeStatus:
    """Trained on Calm, Turbulent for so long before the newest point."""
    usual = {
        "state": "Changed",
        "candidate": "Turbulent",
        "candidate_since": EVIDENCE - lasted,
        "trained_on": "Calm",
        "evidence_until": EVIDENCE,
        "version": "m-v1",
    }
    return RegimeStatus.model_validate(usual | changes)


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
    ("a regime that has lasted: medium", REGIME, model(regime=regime(3 * DAY)), ("Regime", "Medium", "RegimeChanged")),
    ("a regime that has lasted a second less", REGIME, model(regime=regime(3 * DAY - SECOND)), None),
    ("a regime that has lasted, and regimes are no trigger", {}, model(regime=regime(9 * DAY)), None),
    (
        "a regime that is no longer known never triggers",
        REGIME,
        model(regime=regime(9 * DAY, state="Unknown")),
        None,
    ),
    ("the regime that it was trained on", REGIME, model(regime=RegimeStatus(state="AsTrained")), None),
    (
        "a regime of which the last attempt knew that it had lasted, whatever came of it",
        REGIME,
        model(regime=regime(9 * DAY), last_evidence_until=EVIDENCE - 6 * DAY),
        None,
    ),
    (
        "a regime of which the last attempt knew that it had begun",
        REGIME,
        model(regime=regime(9 * DAY), last_evidence_until=EVIDENCE - 6 * DAY - SECOND),
        ("Regime", "Medium", "RegimeChanged"),
    ),
    (
        "a regime that has lasted, without outcomes to learn it from",
        REGIME,
        model(regime=regime(9 * DAY), counts=counts(199)),
        None,
    ),
    (
        "declining in another regime: health says more",
        {"triggers": {"health": {}, "regime": {}}},
        model(health=health("Healthy", trend="Declining"), regime=regime(9 * DAY)),
        ("Trend", "Medium", "TrendDeclining"),
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


def test_a_change_of_regime_is_told_with_both_regimes_and_rests_on_the_newest_point() -> None:
    found = decide_trigger(policy(**REGIME), model(regime=regime(4 * DAY)), BEGUN, NOW)
    assert found is not None
    assert found.evidence_until == EVIDENCE
    assert found.message == (
        "Turbulent began at 2026-02-25 07:00 UTC and has lasted 3d or longer without a return to Calm, "
        "which m-v1 was trained on"
    )


def test_a_change_that_was_tried_is_not_held_back_for_want_of_outcomes() -> None:
    tried = model(regime=regime(9 * DAY), last_evidence_until=EVIDENCE - DAY, counts=counts(0))
    assert held_back(policy(**REGIME), tried, BEGUN, NOW) is None


@given(attempt=st.integers(0, 40 * 24), later=st.integers(1, 40 * 24), sustained=st.integers(0, 20))
def test_one_change_starts_one_training_and_a_later_other_one_another(attempt: int, later: int, sustained: int) -> None:
    """However late the first attempt was, and however soon the next change came."""
    spec = policy(triggers={"regime": {"sustainedFor": f"{sustained}d"}})
    change = EVIDENCE - 60 * DAY
    seen = _seen(change, change + (attempt + 24 * sustained) * HOUR)
    first = decide_trigger(spec, model(regime=seen, last_evidence_until=change - HOUR), BEGUN, NOW)
    assert first is not None
    assert first.evidence_until is not None
    again = _seen(change, first.evidence_until + later * HOUR)
    assert decide_trigger(spec, model(regime=again, last_evidence_until=first.evidence_until), BEGUN, NOW) is None
    other_began = first.evidence_until + later * HOUR
    other = _seen(other_began, other_began + sustained * DAY, candidate="Normal")
    assert decide_trigger(spec, model(regime=other, last_evidence_until=first.evidence_until), BEGUN, NOW) is not None


def _seen(began: datetime, until: datetime, **changes: Any) -> RegimeStatus:
    return regime(timedelta(0), candidate_since=began, evidence_until=until, **changes)


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
