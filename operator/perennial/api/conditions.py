"""Conditions that change only when something changed: a merge patch replaces the list, so it must come out the same."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from perennial.api.shared import Condition

ConditionStatus = Literal["True", "False", "Unknown"]
KStatus = Literal["Ready", "Reconciling", "Stalled"]


def find_condition(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """The condition of that type, if there is one."""
    return next((condition for condition in conditions if condition.type == type_), None)


def with_condition(
    conditions: Sequence[Condition],
    type_: str,
    status: ConditionStatus,
    reason: str,
    message: str,
    *,
    generation: int,
    now: datetime,
) -> list[Condition]:
    """The conditions with this one set, in its old place or at the end.

    ``lastTransitionTime`` stays unless ``status`` changes, so the list is equal to the old one when nothing changes.
    """
    before = find_condition(conditions, type_)
    kept = before is not None and before.status == status
    after = Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before and kept else now.replace(microsecond=0),
    )
    if before is None:
        return [*conditions, after]
    return [after if condition.type == type_ else condition for condition in conditions]


def without_condition(conditions: Sequence[Condition], *types: str) -> list[Condition]:
    """The conditions without those of these types."""
    return [condition for condition in conditions if condition.type not in types]


def with_kstatus(
    conditions: Sequence[Condition], state: KStatus, reason: str, message: str, *, generation: int, now: datetime
) -> list[Condition]:
    """The conditions by which ``kubectl wait``, Flux and Argo CD tell done, in progress and failed.

    ``Ready`` is always there and True in the state Ready alone; ``Reconciling`` and ``Stalled`` are there only while
    True, as kstatus wants it of conditions that mean something out of the ordinary.
    """
    ready: ConditionStatus = "True" if state == "Ready" else "False"
    result = with_condition(conditions, "Ready", ready, reason, message, generation=generation, now=now)
    result = without_condition(result, *({"Reconciling", "Stalled"} - {state}))
    return (
        result
        if state == "Ready"
        else with_condition(result, state, "True", reason, message, generation=generation, now=now)
    )
