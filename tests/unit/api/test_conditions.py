"""Conditions: the same again gives the same list, and kstatus sees one of three states."""

from datetime import UTC, datetime, timedelta

import pytest

from perennial.api.conditions import find_condition, with_condition, with_kstatus, without_condition
from perennial.api.shared import Condition

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, UTC)
LATER = NOW + timedelta(hours=1)
STATES = ("Ready", "Reconciling", "Stalled")


def test_a_new_condition_goes_to_the_end_with_whole_seconds() -> None:
    first = with_condition([], "Ready", "True", "Serving", "v1 serves", generation=3, now=NOW)
    both = with_condition(first, "Healthy", "Unknown", "TooFew", "12 of 200 outcomes", generation=3, now=NOW)
    assert [c.type for c in both] == ["Ready", "Healthy"]
    assert both[0].to_dict() == {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "v1 serves",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }


def test_the_same_again_gives_an_equal_list() -> None:
    before = with_condition([], "Ready", "True", "Serving", "v1 serves", generation=3, now=NOW)
    assert with_condition(before, "Ready", "True", "Serving", "v1 serves", generation=3, now=LATER) == before


def test_what_the_api_server_gives_back_is_equal_too() -> None:
    before = with_condition([], "Ready", "True", "Serving", "", generation=1, now=NOW)
    read = [Condition.model_validate(c.to_dict()) for c in before]
    assert with_condition(read, "Ready", "True", "Serving", "", generation=1, now=LATER) == read == before


def test_a_new_message_keeps_the_transition_time_and_the_place() -> None:
    before = with_condition([], "Ready", "True", "Serving", "v1 serves", generation=3, now=NOW)
    before = with_condition(before, "Healthy", "True", "Well", "", generation=3, now=NOW)
    after = with_condition(before, "Ready", "True", "Serving", "v2 serves", generation=4, now=LATER)
    assert [c.type for c in after] == ["Ready", "Healthy"]
    assert after[0].last_transition_time == before[0].last_transition_time
    assert (after[0].message, after[0].observed_generation) == ("v2 serves", 4)


def test_a_new_status_moves_the_transition_time() -> None:
    before = with_condition([], "Ready", "True", "Serving", "", generation=3, now=NOW)
    after = with_condition(before, "Ready", "False", "NoPods", "", generation=3, now=LATER)
    assert after[0].last_transition_time == LATER.replace(microsecond=0)


def test_conditions_are_found_and_removed_by_type() -> None:
    conditions = with_condition([], "Ready", "True", "Serving", "", generation=1, now=NOW)
    assert find_condition(conditions, "Ready") is conditions[0]
    assert find_condition(conditions, "Stalled") is None
    assert without_condition(conditions, "Ready", "Stalled") == []


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_kstatus_shows_one_state_whatever_was_before(before: str, after: str) -> None:
    first = with_kstatus([], before, "Before", "", generation=1, now=NOW)  # type: ignore[arg-type]  # parametrized over the literal
    second = with_kstatus(first, after, "After", "words", generation=2, now=LATER)  # type: ignore[arg-type]  # as above
    found = {c.type: c.status for c in second}
    expected = {"Ready": {"Ready": "True"}}.get(after, {"Ready": "False", after: "True"})
    assert found == expected
    assert {(c.reason, c.message, c.observed_generation) for c in second} == {("After", "words", 2)}
    assert with_kstatus(second, after, "After", "words", generation=2, now=LATER) == second  # type: ignore[arg-type]  # as above
