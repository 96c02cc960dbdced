"""Is the market still in the regime that the version was trained on? The state, the candidate, and since when."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.domain.regimes import HOUR, SPEC, START, at, look, path, profile

from perennial.api.model_deployment_status import RegimeStatus
from perennial.domain.evidence import SeriesLook
from perennial.domain.regime import decide_regime
from perennial_contract.profile import RegimeProfile, RegimeState

CALM = path(("Calm", 1500))
CHANGED = path(("Calm", 1200), ("Turbulent", 300), seed=1)


def decide(seen: SeriesLook | None, before: RegimeStatus | None = None, **fitted: Any) -> RegimeStatus:
    return decide_regime(SPEC, profile(**fitted), seen, "m-v1", before)


def test_in_the_regime_that_it_was_trained_on() -> None:
    found = decide(look(CALM))
    assert (found.state, found.reason, found.candidate, found.candidate_since) == ("AsTrained", "AsTrained", None, None)
    assert (found.trained_on, found.version, found.evidence_until) == ("Calm", "m-v1", at(1499))


def test_in_another_one_since_it_was_entered() -> None:
    found = decide(look(CHANGED))
    assert (found.state, found.reason) == ("Changed", "OtherRegime")
    assert (found.current, found.candidate) == ("Turbulent", "Turbulent")
    assert found.candidate_since is not None
    assert at(1200) <= found.candidate_since <= at(1210)
    assert found.probability == 1.0
    assert found.message == (
        f"ret_1 is in Turbulent (100%); Turbulent began at {found.candidate_since:%Y-%m-%d %H:%M} UTC, "
        "m-v1 was trained on Calm"
    )


def test_a_return_ends_the_candidate_and_another_one_takes_its_place() -> None:
    back = path(("Calm", 1200), ("Turbulent", 100), ("Calm", 200), seed=1)
    assert decide(look(back, 1290)).candidate == "Turbulent"
    assert decide(look(back)).candidate is None
    on = path(("Calm", 1200), ("Turbulent", 100), ("Normal", 200), seed=2)
    found = decide(look(on))
    assert found.candidate == "Normal"
    assert found.candidate_since is not None
    assert found.candidate_since >= at(1300)


def test_to_be_in_between_is_no_return() -> None:
    """Values that Normal explains a little better: it takes some to be sure."""
    held = decide(look(CHANGED))
    between = decide(look([*CHANGED, *[0.9] * 3]))
    assert between.current is None
    assert between.message.startswith("ret_1 is in between, ")
    assert (between.candidate, between.candidate_since) == (held.candidate, held.candidate_since)
    assert between.state == "Changed"


def test_where_two_others_take_turns_the_candidate_is_over() -> None:
    """Calm and Normal are hardly told apart here: it is in either of them, and surely not in Turbulent any more."""
    alike = tuple(
        RegimeState(name=name, mean=0.0, deviation=d)
        for name, d in (("Calm", 1.0), ("Normal", 1.05), ("Turbulent", 5.0))
    )
    points = path(("Normal", 1200), ("Turbulent", 100), ("Normal", 100), seed=1)
    fitted = {"states": alike, "transition": ((0.99, 0.005, 0.005), (0.005, 0.99, 0.005), (0.01, 0.01, 0.98))}
    assert decide(look(points, 1300), **fitted).candidate == "Turbulent"
    found = decide(look(points), **fitted)
    assert (found.current, found.candidate, found.state) == (None, None, "AsTrained")


def test_a_candidate_is_younger_than_the_data_of_the_version() -> None:
    """A version that was trained on Turbulent knew it, and one that was trained on Calm then calls it a change."""
    assert decide(look(CHANGED), until=at(1400), trained_on="Turbulent").candidate is None
    assert decide(look(CHANGED), until=at(1400), trained_on="Calm").candidate_since == at(1401)


UNKNOWN = [
    ("the store is down", None, {}, "StoreUnavailable", "the sample store does not answer: nothing is known"),
    (
        "another column",
        look(CALM),
        {"column": "ret_5"},
        "OtherColumn",
        "m-v1 knows the regimes of ret_5, not of ret_1: the next training fits them",
    ),
    (
        "too few points",
        look(CALM, lookback=999),
        {},
        "NotEnoughPoints",
        "999 timestamps with a ret_1, spec.regime.lookback needs 1000",
    ),
    ("no point", look([]), {}, "NotEnoughPoints", "0 timestamps with a ret_1, spec.regime.lookback needs 1000"),
    (
        "nothing new for longer than ever",
        replace(look(CALM), visible_until=at(1499) + timedelta(hours=3, seconds=1)),
        {},
        "SeriesEnded",
        "no ret_1 since 2026-03-04 12:00 UTC: 3 times as long as its longest pause before, 1h",
    ),
]


@pytest.mark.parametrize(
    ("seen", "fitted", "reason", "message"), [case[1:] for case in UNKNOWN], ids=[case[0] for case in UNKNOWN]
)
def test_what_is_not_known_is_unknown_with_its_reason(
    seen: SeriesLook | None, fitted: dict[str, Any], reason: str, message: str
) -> None:
    found = decide(seen, **fitted)
    assert (found.state, found.reason, found.message) == ("Unknown", reason, message)
    assert (found.current, found.probability) == (None, None)


def test_a_version_without_regimes_is_unknown() -> None:
    found = decide_regime(SPEC, None, look(CALM), "m-v1", None)
    assert (found.state, found.reason) == ("Unknown", "NotFitted")
    assert found.message == "m-v1 knows no regimes of ret_1: the next training fits them, given 1000 timestamps"


def test_a_series_with_nights_goes_on_over_night() -> None:
    """Eight points a day: sixteen hours without one are nothing new."""
    day = timedelta(days=1)
    times = tuple(START + day * (point // 8) + HOUR * (point % 8) for point in range(1000))
    night = SeriesLook(times, tuple(CALM[:1000]), times[-1] + timedelta(hours=40))
    assert decide(night, until=START - HOUR).state == "AsTrained"
    assert decide(replace(night, visible_until=times[-1] + 3 * day)).reason == "SeriesEnded"


def test_what_is_known_of_a_candidate_outlasts_an_outage_and_not_another_version() -> None:
    known = decide(look(CHANGED))
    away = decide(None, known)
    assert (away.state, away.current) == ("Unknown", None)
    assert (away.candidate, away.candidate_since) == (known.candidate, known.candidate_since)
    assert decide(look(CHANGED), away) == known
    other = decide_regime(SPEC, profile(), None, "m-v2", known)
    assert (other.candidate, other.candidate_since, other.trained_on) == (None, None, None)


def test_a_candidate_keeps_its_age_when_its_beginning_is_out_of_sight() -> None:
    """Looked at on and off for longer than a look reaches back: the change stays the same one."""
    long = path(("Calm", 1200), ("Turbulent", 3000), seed=4)
    status = decide(look(long, 1300))
    began = status.candidate_since
    assert began is not None
    for end in range(1300, len(long), 170):
        status = decide(look(long, end), status)
        assert (status.candidate, status.candidate_since) == ("Turbulent", began)
    late = decide(look(long)).candidate_since
    assert late is not None
    assert late > began, "without a memory it seems younger, never older"


def test_a_memory_that_does_not_reach_into_the_look_is_no_evidence() -> None:
    long = path(("Calm", 1200), ("Turbulent", 200), ("Calm", 1500), ("Turbulent", 1500), seed=5)
    old = decide(look(long, 1350))
    assert old.candidate == "Turbulent"
    found = decide(look(long), old)
    assert found.candidate_since is not None
    assert found.candidate_since >= at(2900)


FITTED = [profile(), profile(trained_on="Turbulent"), profile(until=at(500)), profile(until=at(9999))]


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 300), min_size=8, max_size=8),
    fitted=st.sampled_from(FITTED),
    ends=st.lists(st.integers(1000, 2400), min_size=1, max_size=5),
)
def test_looking_twice_is_looking_once_however_the_clock_runs(
    lengths: list[int], fitted: RegimeProfile, ends: list[int]
) -> None:
    spells = zip(("Calm", "Turbulent", "Normal", "Calm", "Normal", "Turbulent", "Calm", "Normal"), lengths, strict=True)
    points = path(("Calm", 1000), *spells)
    status: RegimeStatus | None = None
    for end in ends:
        seen = look(points, min(end, len(points)))
        status = decide_regime(SPEC, fitted, seen, "m-v1", status)
        assert decide_regime(SPEC, fitted, seen, "m-v1", status) == status
        assert status.candidate is None or status.candidate_since is not None
        if status.candidate_since is not None:
            assert fitted.until < status.candidate_since <= seen.at[-1]


@settings(max_examples=20, deadline=None)
@given(constant=st.sampled_from([0.0, 1.0, -7.5, 1e100]), trained=st.sampled_from(["Calm", "Normal", "Turbulent"]))
def test_a_constant_series_is_in_some_regime(constant: float, trained: str) -> None:
    found = decide(look([constant] * 1000), trained_on=trained)
    assert found.current in ("Calm", "Normal", "Turbulent")
    assert (found.candidate is None) == (found.current == trained)


@settings(max_examples=30, deadline=None)
@given(began=st.integers(1200, 1400), lasted=st.integers(0, 200))
def test_a_candidate_that_lasts_only_gets_older(began: int, lasted: int) -> None:
    """More evidence of the same change: the same beginning, a later end."""
    points = path(("Calm", began), ("Turbulent", 300), seed=6)
    before, after = (decide(look(points, began + 60 + more)) for more in (0, lasted))
    assert before.candidate == after.candidate == "Turbulent"
    assert before.candidate_since == after.candidate_since
    assert _age(after) - _age(before) == lasted * HOUR


def _age(status: RegimeStatus) -> timedelta:
    until, since = status.evidence_until, status.candidate_since
    assert isinstance(until, datetime)
    assert isinstance(since, datetime)
    return until - since
