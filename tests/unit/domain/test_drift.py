"""Drift by whole windows: what is said, of how many windows, and when nothing can be said."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perennial.api.model_deployment import Drift
from perennial.api.model_deployment_status import DriftStatus
from perennial.domain.drift import decide_drift, level_of
from perennial.domain.drift_evidence import ColumnCounts, DriftLook, DriftWindow, Span, complete_windows
from perennial_contract.profile import FeatureProfile, ReferenceProfile, ScoreProfile

DAY = timedelta(days=1)
TRAINED = datetime(1970, 1, 1, tzinfo=UTC) + 100 * DAY
SPEC = Drift(window=10 * DAY, false_alarm_every=100 * DAY)
SPAN = Span(10, 2, 864_000)
"""The first window begins where the training data ended."""
EVEN = (100,) * 10
SHIFTED = (10, 10, 20, 40, 60, 80, 120, 160, 200, 300)
SLIGHTLY = (90, 95, 95, 100, 100, 100, 100, 105, 105, 110)


def feature(name: str, effective: float = 5000.0, **changes: Any) -> FeatureProfile:
    base: dict[str, Any] = {
        "edges": tuple(float(i) for i in range(9)),
        "shares": (0.1,) * 10,
        "effective_rows": (effective,) * 10,
        "degrees_of_freedom": 1000,
        "missing_rate": 0.02,
        "missing_effective_rows": effective,
        "low": -1,
        "high": 10,
    }
    return FeatureProfile(name=name, **(base | changes))


SCORES = ScoreProfile(
    edges=(0.4, 0.5, 0.6),
    shares=(0.25,) * 4,
    effective_rows=(1000.0,) * 4,
    degrees_of_freedom=500,
    rows=1000,
    mean_scores=(0.3, 0.45, 0.55, 0.7),
    target_shares=(0.3, 0.45, 0.55, 0.7),
)


def profile(*features: FeatureProfile, scores: ScoreProfile | None = None) -> ReferenceProfile:
    return ReferenceProfile(
        rows=5000, from_=TRAINED - 50 * DAY, until=TRAINED - timedelta(hours=1), features=features, scores=scores
    )


def counts(name: str, bins: Sequence[int] = EVEN, missing: int = 20, outside: int = 0) -> ColumnCounts:
    return ColumnCounts(name, tuple(bins), missing, outside)


def window(number: int, *columns: ColumnCounts, scores: Sequence[int] = ()) -> DriftWindow:
    rows = sum(columns[0].bins) + columns[0].missing
    begins = SPAN.start_of(number)
    return DriftWindow(number, rows, begins, begins + SPEC.window - timedelta(minutes=1), columns, tuple(scores))


def decide(known: ReferenceProfile | None, *windows: DriftWindow, spec: Drift = SPEC, span: Span = SPAN) -> DriftStatus:
    return decide_drift(spec, known, DriftLook(windows), span, "m-v1")


X = profile(feature("x"), feature("y"))
"""Two features; 5000 training rows in 50 days."""


def both(x: Sequence[int]) -> tuple[ColumnCounts, ColumnCounts]:
    return counts("x", x), counts("y")


def test_the_same_feature_in_every_window_is_drift() -> None:
    status = decide(X, window(10, *both(SHIFTED)), window(11, *both(SHIFTED)))
    assert (status.state, status.reason) == ("Drifting", "FeaturesDrifted")
    assert "1 of 2 columns in 2 windows of 10d: x PSI 0." in status.message
    assert [(f.name, f.sign) for f in status.features] == [("x", "PSI"), ("y", None)]
    assert (status.window_from, status.window_until) == (SPAN.start_of(11), SPAN.until)
    assert status.evidence_until == SPAN.until


def test_in_the_newest_window_alone_it_is_suspected() -> None:
    assert decide(X, window(10, *both(EVEN)), window(11, *both(SHIFTED))).state == "Suspected"


def test_in_the_older_window_alone_it_is_over() -> None:
    assert decide(X, window(10, *both(SHIFTED)), window(11, *both(EVEN))).state == "None"


def test_another_feature_in_each_window_is_no_drift_yet() -> None:
    older = window(10, counts("x", SHIFTED), counts("y"))
    assert decide(X, older, window(11, counts("x"), counts("y", SHIFTED))).state == "Suspected"


def test_a_small_shift_is_none_however_sure_it_is() -> None:
    many = tuple(1000 * count for count in SLIGHTLY)
    columns = (counts("x", many, 20_000), counts("y", [100_000] * 10, 20_000))
    assert decide(X, window(10, *columns), window(11, *columns)).state == "None"


def test_a_large_psi_of_few_effective_rows_is_none() -> None:
    """600 rows that are worth 40: a PSI of 0.3 is what such rows show by themselves."""
    dependent = profile(feature("x", effective=333.0))
    columns = counts("x", (20, 40, 60, 60, 60, 60, 60, 60, 80, 130), 0)
    status = decide(dependent, window(10, columns), window(11, columns))
    assert status.features[0].psi > 0.15
    assert status.state == "None"


@pytest.mark.parametrize("effective", [100.0, 249.0])
def test_too_few_effective_rows_are_unknown(effective: float) -> None:
    status = decide(profile(feature("x", effective=effective)), window(11, counts("x", [60] * 10, 0)))
    assert (status.state, status.reason) == ("Unknown", "NotEnoughEffectiveRows")
    assert "make drift.window longer" in status.message


def test_a_feature_that_is_never_missing_is_judged_by_what_its_values_are_worth() -> None:
    """A rate that never varied says nothing of how rows depend: of many training rows it is taken to be worth few."""
    status = decide(
        profile(feature("x", missing_rate=0, missing_effective_rows=50.0)), window(11, counts("x", SHIFTED))
    )
    assert (status.state, status.features[0].sign) == ("Suspected", "PSI")


def test_what_cannot_be_judged_is_counted_apart() -> None:
    known = profile(feature("x"), feature("y", effective=100.0))
    status = decide(known, window(11, *both(EVEN)))
    assert (status.state, status.judged, status.unjudged) == ("None", 1, 1)
    assert "1 not judged" in status.message


def test_missing_values_are_a_sign_of_their_own() -> None:
    columns = (counts("x", EVEN, missing=300), counts("y", EVEN, missing=300))
    status = decide(X, window(10, *columns), window(11, *columns))
    assert status.state == "Drifting"
    assert {f.sign for f in status.features} == {"MissingRate"}
    assert "x MissingRate 23%" in status.message


def test_values_that_training_never_saw_are_a_sign_of_their_own() -> None:
    columns = (counts("x", EVEN, outside=100), counts("y"))
    status = decide(X, window(10, *columns), window(11, *columns))
    assert [(f.name, f.sign) for f in status.features] == [("x", "OutOfRange"), ("y", None)]


def test_scores_are_shown_apart() -> None:
    known = profile(feature("x"), scores=SCORES)
    moved = [window(n, counts("x"), scores=(10, 40, 150, 800)) for n in (10, 11)]
    status = decide(known, *moved)
    assert status.state == "Drifting"
    assert status.scores is not None
    assert status.scores.psi > 0.25
    assert [f.name for f in status.features] == ["x"]
    assert "scores PSI" in status.message


def test_a_version_that_did_not_serve_has_no_scores() -> None:
    status = decide(profile(feature("x"), scores=SCORES), window(11, counts("x")))
    assert (status.state, status.scores, status.judged) == ("None", None, 1)


@pytest.mark.parametrize(
    ("known", "windows", "reason"),
    [
        (None, [window(11, *both(EVEN))], "NoProfile"),
        (X, [], "NotEnoughRows"),
        (X, [window(11, *both([40] * 10))], "NotEnoughRows"),
        (X.model_copy(update={"until": SPAN.start_of(11)}), [window(11, *both(SHIFTED))], "NoCompleteWindow"),
    ],
)
def test_what_is_not_known_is_unknown(known: ReferenceProfile | None, windows: list[DriftWindow], reason: str) -> None:
    status = decide(known, *windows)
    assert (status.state, status.reason) == ("Unknown", reason)
    assert status.message
    assert status.evidence_until is None


def test_one_window_after_training_can_only_be_suspected() -> None:
    known = X.model_copy(update={"until": SPAN.start_of(11) - timedelta(hours=1)})
    assert decide(known, window(10, *both(SHIFTED)), window(11, *both(SHIFTED))).state == "Suspected"


def test_one_window_is_enough_where_it_is_told_so() -> None:
    spec = SPEC.model_copy(update={"consecutive_windows": 1})
    assert decide(X, window(11, *both(SHIFTED)), spec=spec, span=Span(11, 1, 864_000)).state == "Drifting"


def test_a_feature_that_is_constant_or_was_never_there_is_judged_by_what_changes() -> None:
    constant = feature("c", edges=(), shares=(1.0,), effective_rows=(5000.0,), low=3, high=3)
    never = feature("n", edges=(), shares=(0.0,), effective_rows=(0.0,), low=None, high=None, missing_rate=1.0)
    known = profile(constant, never)
    same = (ColumnCounts("c", (1000,), 0, 0), ColumnCounts("n", (0,), 1000, 0))
    assert decide(known, window(10, *same), window(11, *same)).state == "None"
    moved = (ColumnCounts("c", (1000,), 0, 900), ColumnCounts("n", (1000,), 0, 0))
    status = decide(known, window(10, *moved), window(11, *moved))
    assert {(f.name, f.sign) for f in status.features} == {("c", "OutOfRange"), ("n", "MissingRate")}


def test_rows_that_come_faster_than_in_training_are_worth_no_more() -> None:
    """50 000 live rows in the time in which training had 1000 of them, each worth a tenth."""
    known = profile(feature("x", effective=500.0))
    bins = tuple(50 * count for count in (70, 80, 90, 100, 100, 100, 110, 110, 120, 120))
    slow = decide(known, window(11, counts("x", [count // 50 for count in bins], 0)))
    fast = decide(known, window(11, counts("x", bins, 0)))
    assert fast.features[0].q_value == pytest.approx(slow.features[0].q_value, rel=0.05)


def test_windows_are_those_that_ended_long_enough_ago() -> None:
    now = SPAN.until + timedelta(hours=5)
    assert complete_windows(SPEC, timedelta(hours=5), now) == SPAN
    assert complete_windows(SPEC, timedelta(hours=6), now) == replace(SPAN, first=9)
    assert complete_windows(SPEC, timedelta(hours=5), now - timedelta(seconds=1)) == replace(SPAN, first=9)


def test_the_chance_of_a_false_alarm_follows_from_how_often_one_may_be() -> None:
    assert level_of(Drift()) == pytest.approx(30 / 365)
    assert level_of(SPEC) == pytest.approx(0.1)
    assert level_of(Drift(window=100 * DAY, false_alarm_every=10 * DAY)) == 0.1
