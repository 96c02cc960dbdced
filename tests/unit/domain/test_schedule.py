"""Schedules, one row a case: what is due, and what comes next. Times are UTC."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.retrain_policy import Schedule
from perennial.domain.schedule import decide_schedule

CREATED = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
DAILY = Schedule(every=timedelta(hours=24))
OSLO = Schedule(cron="8 15 * * *", time_zone="Europe/Oslo")
NIGHT = Schedule(cron="30 2 * * *", time_zone="Europe/Oslo")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "last", "now", "due", "following"),
    [
        pytest.param(DAILY, None, "2026-01-01 09:30", None, "2026-01-02 09:30", id="nothing is due at creation"),
        pytest.param(
            DAILY, None, "2026-01-02 09:29", None, "2026-01-02 09:30", id="every counts from creation, to the minute"
        ),
        pytest.param(
            DAILY, None, "2026-01-02 09:30", "2026-01-02 09:30", "2026-01-03 09:30", id="due at its very time"
        ),
        pytest.param(
            DAILY, "2026-01-02 09:30", "2026-01-02 12:00", None, "2026-01-03 09:30", id="what was handled is not due"
        ),
        pytest.param(
            DAILY, "2026-01-02 09:31", "2026-01-02 12:00", None, "2026-01-03 09:30", id="nor when it was handled late"
        ),
        pytest.param(
            DAILY,
            "2026-01-02 09:30",
            "2026-01-09 12:00",
            "2026-01-09 09:30",
            "2026-01-10 09:30",
            id="seven missed days are caught up once",
        ),
        pytest.param(
            OSLO, None, "2026-01-05 14:08", "2026-01-05 14:08", "2026-01-06 14:08", id="15:08 in Oslo's winter"
        ),
        pytest.param(
            OSLO, "2026-07-04 13:08", "2026-07-05 13:07", None, "2026-07-05 13:08", id="15:08 in Oslo's summer"
        ),
        pytest.param(
            OSLO,
            "2026-03-28 14:08",
            "2026-03-29 13:30",
            "2026-03-29 13:08",
            "2026-03-30 13:08",
            id="the day that clocks go forward",
        ),
        pytest.param(
            NIGHT,
            "2026-03-28 01:30",
            "2026-03-29 01:00",
            "2026-03-29 01:00",
            "2026-03-30 00:30",
            id="an hour that does not exist is made up for when it ends",
        ),
        pytest.param(
            NIGHT,
            "2026-10-24 00:30",
            "2026-10-25 01:10",
            "2026-10-25 00:30",
            "2026-10-26 01:30",
            id="an hour that comes twice counts once",
        ),
        pytest.param(
            NIGHT,
            "2026-10-25 00:30",
            "2026-10-25 01:45",
            None,
            "2026-10-26 01:30",
            id="and not again the second time round",
        ),
        pytest.param(
            Schedule(cron="*/15 * * * *"),
            "2026-02-01 10:00",
            "2026-02-01 10:59",
            "2026-02-01 10:45",
            "2026-02-01 11:00",
            id="every quarter of an hour, in UTC by default",
        ),
        pytest.param(
            Schedule(cron="0 6 * * MON-FRI"),
            "2026-02-06 06:00",
            "2026-02-08 12:00",
            None,
            "2026-02-09 06:00",
            id="not at the weekend",
        ),
        pytest.param(
            Schedule(cron="0 0 29 2 *"), None, "2026-06-01 00:00", None, "2028-02-29 00:00", id="leap days only"
        ),
    ],
)
def test_schedule(schedule: Schedule, last: str | None, now: str, due: str | None, following: str) -> None:
    seen = decide_schedule(schedule, CREATED, at(last) if last else None, at(now))
    assert seen == (at(due) if due else None, at(following))


schedules = st.sampled_from(
    [DAILY, OSLO, NIGHT, Schedule(cron="*/7 * * * *", time_zone="America/New_York"), Schedule(cron="30 1 * * SUN")]
)


@given(schedules, st.integers(0, 2 * 366 * 86_400))
def test_what_is_next_is_due_when_it_comes(schedule: Schedule, seconds: int) -> None:
    now = CREATED + timedelta(seconds=seconds)
    due, following = decide_schedule(schedule, CREATED, None, now)
    assert due is None or due <= now
    assert now < following
    then, _ = decide_schedule(schedule, CREATED, due, following)
    assert then == following


@given(schedules, st.integers(0, 2 * 366 * 86_400))
def test_nothing_is_due_twice(schedule: Schedule, seconds: int) -> None:
    now = CREATED + timedelta(seconds=seconds)
    due, _ = decide_schedule(schedule, CREATED, None, now)
    if due is not None:
        assert decide_schedule(schedule, CREATED, due, now)[0] is None
