"""The cumulative sum: where it begins, what raises it, and that it does not matter who was there to look."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.model_deployment import Health
from perennial.api.model_deployment_status import CusumStatus, HealthStatus
from perennial.domain.cusum import (
    CAP,
    LEAST_THRESHOLD,
    MOST_THRESHOLD,
    Cusum,
    average_run_length,
    cusum_start,
    cusum_threshold,
    decide_cusum,
    kept_cursor,
    loss_weight,
)
from perennial.domain.evidence import BlockRow, HealthLook

DAY = timedelta(days=1)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
START = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS = 60
ALWAYS = 10**9

counts = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda c: (max(c), min(c))), max_size=60)
"""(acted, wins) of blocks on end."""


def look_of(blocks: list[tuple[int, int]], cut: int = 0) -> HealthLook:
    """The blocks from number 0 on; those before ``cut`` lie before the window."""
    rows = tuple(BlockRow(i, n, n, w, *[0.0] * 4, 0, *[0.0] * 6) for i, (n, w) in enumerate(blocks) if n)
    before, after = (tuple(row for row in rows if (row.block < cut) == early) for early in (True, False))
    return HealthLook(after, before, SECONDS, (), total=0, resolved=0, overdue=0, late=0, newest_resolved=None)


def sum_of(
    look: HealthLook, start: int = 0, first_open: int = ALWAYS, effect: float = 1.0, limit: float = 9.0
) -> Cusum:
    """From a block's begin on."""
    begin = START + start * timedelta(seconds=SECONDS)
    return decide_cusum(0.5, look, start=begin, first_open=first_open, design_effect=effect, threshold=limit)


def begin_of(found: Cusum) -> int:
    return int(found.since.timestamp()) // SECONDS


def test_a_loss_weighs_as_much_as_a_win_at_one_half() -> None:
    assert loss_weight(0.5) * 0.5 == pytest.approx(0.2)
    assert sum_of(look_of([(1, 0)] * 5)).value == pytest.approx(1.0)
    assert sum_of(look_of([(1, 0)] * 5 + [(1, 1)] * 3)).value == pytest.approx(0.4)


def test_it_says_since_when_and_how_many_were_won_since() -> None:
    seen = sum_of(look_of([(1, 1)] * 10 + [(0, 0)] * 5 + [(1, 0), (1, 0), (1, 1), (1, 0)]))
    assert (begin_of(seen), seen.acted, seen.wins) == (15, 4, 1)


def test_nothing_counts_before_its_start_nor_while_its_outcomes_are_not_due() -> None:
    look = look_of([(1, 0)] * 10)
    assert sum_of(look, start=4).value == pytest.approx(6 * 0.2)
    assert sum_of(look, first_open=7).value == pytest.approx(7 * 0.2)
    assert sum_of(look, start=10) == Cusum(0.0, 9.0, START + timedelta(seconds=600), 0, 0)


def test_it_goes_a_little_over_its_threshold_and_no_further() -> None:
    fallen = [(1, 0)] * 500
    assert sum_of(look_of(fallen)).value == pytest.approx(CAP * 9.0)
    recovered = sum_of(look_of(fallen + [(1, 1)] * 30))
    assert recovered.value == pytest.approx(CAP * 9.0 - 6.0)


@given(counts, st.integers(0, 60))
def test_where_the_window_begins_makes_no_difference(blocks: list[tuple[int, int]], cut: int) -> None:
    assert sum_of(look_of(blocks, cut)) == sum_of(look_of(blocks))


@given(counts.filter(bool), st.data())
def test_a_block_that_the_window_cuts_in_two_is_one(blocks: list[tuple[int, int]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(blocks) - 1))
    acted, wins = blocks[cut]
    part = data.draw(st.integers(0, acted))
    won = data.draw(st.integers(max(0, part - (acted - wins)), min(part, wins)))
    look = look_of(blocks, cut)
    whole = look.blocks[0] if look.blocks and look.blocks[0].block == cut else None
    if whole is not None:
        first = replace(whole, acted=part, wins=won)
        second = replace(whole, acted=acted - part, wins=wins - won)
        look = replace(look, earlier=(*look.earlier, first), blocks=(second, *look.blocks[1:]))
    assert sum_of(look) == sum_of(look_of(blocks))


@given(counts, st.lists(st.integers(0, 60), max_size=8), st.floats(1, 20))
def test_whoever_goes_on_from_the_cursor_comes_to_the_same(
    blocks: list[tuple[int, int]], looks: list[int], effect: float
) -> None:
    """However often the operator looked meanwhile, or was killed: even if the design effect was another then."""
    look, cursor = look_of(blocks), 0
    for first_open in sorted(looks):
        seen = sum_of(look, cursor, first_open, effect=1.0, limit=MOST_THRESHOLD)
        assert begin_of(seen) >= cursor
        cursor = begin_of(seen)
    assert sum_of(look, cursor, effect=effect) == sum_of(look, effect=effect)


@given(counts.filter(lambda blocks: any(wins for _, wins in blocks)), st.data(), st.floats(1, 20))
def test_a_win_turned_into_a_loss_never_lowers_it(
    blocks: list[tuple[int, int]], data: st.DataObject, effect: float
) -> None:
    won = [index for index, (_, wins) in enumerate(blocks) if wins]
    index = data.draw(st.sampled_from(won))
    worse = [(acted, wins - (i == index)) for i, (acted, wins) in enumerate(blocks)]
    assert sum_of(look_of(worse), effect=effect).value >= sum_of(look_of(blocks), effect=effect).value


@given(counts, st.floats(1, 20))
def test_rows_that_are_worth_less_raise_it_less(blocks: list[tuple[int, int]], effect: float) -> None:
    once, clustered = (
        sum_of(look_of(blocks), limit=MOST_THRESHOLD),
        sum_of(look_of(blocks), effect=effect, limit=MOST_THRESHOLD),
    )
    assert clustered.value == pytest.approx(once.value / effect)
    assert clustered.since == once.since


def previous(since: datetime, version: str = "m-v1") -> HealthStatus:
    return HealthStatus(version=version, cusum=CusumStatus(value=3.0, threshold=8.0, since=since))


@pytest.mark.parametrize(
    ("known", "start"),
    [
        pytest.param(None, NOW - 30 * DAY, id="never looked at: where the window begins"),
        pytest.param(HealthStatus(version="m-v1"), NOW - 30 * DAY, id="looked at by an older operator: likewise"),
        pytest.param(previous(NOW - DAY), NOW - DAY, id="where it was last 0, in the window"),
        pytest.param(previous(NOW - 50 * DAY), NOW - 50 * DAY, id="and before the window"),
        pytest.param(previous(NOW - 500 * DAY), NOW - 120 * DAY, id="but no more than four windows ago"),
        pytest.param(previous(NOW - DAY, "m-v0"), NOW - 30 * DAY, id="another version's is none of its own"),
        pytest.param(previous(NOW + DAY), NOW - 30 * DAY, id="a clock that was set back: where the window begins"),
    ],
)
def test_where_it_begins(known: HealthStatus | None, start: datetime) -> None:
    assert cusum_start(Health(), known, "m-v1", NOW) == start


def test_the_cursor_outlives_a_look_that_saw_nothing() -> None:
    assert kept_cursor(previous(NOW), "m-v1") == CusumStatus(since=NOW)
    assert kept_cursor(previous(NOW), "m-v2") is None


def test_the_threshold_is_the_first_tenth_that_is_reached_seldom_enough() -> None:
    for outcomes in (500, 8640, 1e6):
        h = cusum_threshold(0.5, outcomes)
        assert round(10 * h) == pytest.approx(10 * h)
        assert average_run_length(0.5, h - 0.1) < outcomes <= average_run_length(0.5, h)


@given(st.floats(0.001, 0.999), st.floats(0, 1e300), st.integers(2, 10**6))
def test_every_minimum_and_arrival_has_a_threshold(minimum: float, outcomes: float, blocks: int) -> None:
    known, measured = cusum_threshold(minimum, outcomes), cusum_threshold(minimum, outcomes, blocks)
    assert LEAST_THRESHOLD <= known <= measured <= MOST_THRESHOLD


def test_what_an_outcome_is_worth_is_less_sure_the_fewer_the_blocks() -> None:
    known, *measured = (cusum_threshold(0.5, 8640, blocks) for blocks in (np.inf, 10_000, 100, 30))
    assert measured[0] == pytest.approx(known, abs=0.11)
    assert measured == sorted(set(measured))


def test_a_model_two_points_over_its_minimum_reaches_it_as_seldom_as_computed() -> None:
    """Independent outcomes; whole steps overshoot, so that it takes somewhat longer than a Brownian motion would."""
    runs, rng = 4000, np.random.default_rng(5)
    threshold = cusum_threshold(0.5, 400)
    sums, times, reached = np.zeros(runs), np.zeros(runs), np.zeros(runs, dtype=bool)
    while not reached.all():
        losses = loss_weight(0.5) * (0.5 - (rng.random(runs) < 0.52))
        sums = np.maximum(0.0, sums + losses)
        times += ~reached
        reached |= sums >= threshold
    assert 400 <= times.mean() <= 1.3 * average_run_length(0.5, threshold)
