"""The small sums that looks carry with them."""

from datetime import UTC, datetime, timedelta

import pytest

from perennial.domain.evidence import PairLook, SampleCounts, StoreMisconfigured, first_open_block, late_slack

NOW = datetime(2024, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize(("delay", "slack"), [(10, 60), (600, 60), (6000, 600)])
def test_outcomes_have_a_tenth_of_their_delay_and_at_least_a_minute_to_spare(delay: int, slack: int) -> None:
    assert late_slack(timedelta(seconds=delay)) == timedelta(seconds=slack)


def test_a_block_is_open_until_its_last_outcome_is_due() -> None:
    hour, start = timedelta(hours=1), datetime(1970, 1, 1, tzinfo=UTC)
    assert first_open_block(start + 5 * hour, label_delay=hour, block_seconds=7200) == 2
    assert first_open_block(start + 4.99 * hour, label_delay=hour, block_seconds=7200) == 1
    assert first_open_block(start, label_delay=hour, block_seconds=7200) == -1


def test_coverage_is_unknown_without_samples() -> None:
    nothing = PairLook((), (), paired=0, stable_scored=0, canary_scored=0, resolved_since=0, live_by_version={})
    assert nothing.coverage is None
    some = PairLook((), (), paired=6, stable_scored=8, canary_scored=8, resolved_since=0, live_by_version={})
    assert (some.scored, some.coverage) == (10, 0.6)


@pytest.mark.parametrize(
    ("resolved", "oldest", "rate"), [(200, 10, 20.0), (1, 10, None), (0, None, None), (5, 0, None)]
)
def test_the_rate_of_outcomes_needs_outcomes_and_a_span(resolved: int, oldest: int | None, rate: float | None) -> None:
    since = None if oldest is None else NOW - timedelta(days=oldest)
    counts = SampleCounts(999, 999, NOW, NOW, resolved_since=resolved, oldest_since=since, visible_until=NOW)
    assert counts.per_day == rate


def test_an_error_names_field_value_and_fix() -> None:
    error = StoreMisconfigured("samples.table", "there is no table 'x'", "create it")
    assert str(error) == "samples.table: there is no table 'x': create it"
