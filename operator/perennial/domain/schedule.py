"""When is it time by the clock? Without state: a schedule is due for whoever has not acted since its last time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from perennial.api.retrain_policy import Schedule

AMBIGUOUS = timedelta(hours=2)
"""More than clocks ever go back."""


def decide_schedule(
    schedule: Schedule, created_at: datetime, last_schedule_time: datetime | None, now: datetime
) -> tuple[datetime | None, datetime]:
    """The time that is due (the newest that has passed: missed ones are caught up once), and the next one; both UTC.

    Nothing is due at or before ``created_at`` or ``last_schedule_time``.
    """
    latest, following = (
        _interval_times(schedule.every, created_at, now)
        if schedule.every is not None
        else _cron_times(schedule.cron or "", schedule.time_zone, now)
    )
    handled = max(created_at, last_schedule_time or created_at)
    return (latest if latest > handled else None), following


def _interval_times(every: timedelta, created_at: datetime, now: datetime) -> tuple[datetime, datetime]:
    """The last time that has passed and the next, counted from creation."""
    passed = max(0, (now - created_at) // every)
    return created_at + passed * every, created_at + (passed + 1) * every


def _cron_times(cron: str, time_zone: str | None, now: datetime) -> tuple[datetime, datetime]:
    """The last time that has passed and the next.

    cronsim takes clock time, which is ambiguous when clocks go back: so it starts beyond any such hour and walks back.
    """
    zone = ZoneInfo(time_zone) if time_zone else UTC
    beyond = (now + AMBIGUOUS).replace(microsecond=0).astimezone(zone)
    following: datetime | None = None
    backward = CronSim(cron, beyond, reverse=True)
    while (passed := next(backward).astimezone(UTC)) > now:
        following = passed
    return passed, following or next(CronSim(cron, beyond - timedelta(seconds=1))).astimezone(UTC)
