"""The fast guard: bad answers take a canary out; few of them, or a slow node, do not."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from perennial.api.traffic import Guard
from perennial.domain.guard import Served, Watch, decide_guard, decide_watch

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
LOOK = timedelta(seconds=5)
NOTHING = Served()
FINE = Served(failed=3, slow=2, in_time=995)
OF = ("canary", "stable")


def watched(*seen: tuple[Served, Served], every: timedelta = LOOK) -> Watch:
    """What has come in from look to look, at one pod of each version, after a first look that saw nothing."""
    watch = decide_watch(None, OF, {"c": NOTHING}, {"s": NOTHING}, NOW)
    canary, stable = NOTHING, NOTHING
    for number, (more, beside) in enumerate(seen, start=1):
        canary, stable = canary + more, stable + beside
        watch = decide_watch(watch, OF, {"c": canary}, {"s": stable}, NOW + number * every)
    return watch


@pytest.mark.parametrize(
    ("canary", "stable", "guard"),
    [
        pytest.param(NOTHING, FINE, {}, id="nothing is known"),
        pytest.param(FINE, FINE, {}, id="as good as stable"),
        pytest.param(Served(failed=99), FINE, {}, id="too few requests"),
        pytest.param(Served(failed=9, in_time=91), FINE, {}, id="over the limit, and not surely"),
        pytest.param(
            Served(slow=200, in_time=800), Served(slow=190, in_time=810), {}, id="a busy node slows the stable one too"
        ),
        pytest.param(Served(failed=300, in_time=700), FINE, {"maxErrorRatio": 0.5}, id="allowed"),
    ],
)
def test_a_canary_stays(canary: Served, stable: Served, guard: dict[str, object]) -> None:
    assert decide_guard(Guard.model_validate(guard), watched((canary, stable))) is None


@pytest.mark.parametrize(
    ("canary", "stable", "said"),
    [
        pytest.param(Served(failed=150, in_time=850), FINE, "150 failed and 0 took longer than 1 s", id="failures"),
        pytest.param(Served(slow=150, in_time=850), FINE, "0 failed and 150 took longer", id="slow answers"),
        pytest.param(Served(failed=60, slow=60, in_time=880), FINE, "surely more than 5.0%", id="both together"),
        pytest.param(Served(failed=30, in_time=70), NOTHING, "of the last 100 requests", id="nothing known of stable"),
        pytest.param(
            Served(failed=100), Served(failed=9), "of the last 100 requests 100", id="stable tells too little"
        ),
    ],
)
def test_a_canary_goes(canary: Served, stable: Served, said: str) -> None:
    found = decide_guard(Guard(), watched((canary, stable)))
    assert found is not None
    assert said in found


def test_requests_that_begin_to_fail_are_no_better_for_millions_that_went_well() -> None:
    good = Served(in_time=30_000_000)
    found = decide_guard(Guard(), watched((good, good), (Served(failed=100), Served(in_time=100))))
    assert found is not None
    assert "of the last 100 requests 100 failed" in found


def test_failures_that_are_too_rare_for_a_short_stretch_show_in_a_long_one() -> None:
    """One in ten of a request a second, after a day that went well."""
    day, minute = (Served(in_time=86_400),) * 2, (Served(failed=6, in_time=54), Served(in_time=60))
    every = timedelta(minutes=1)
    assert decide_guard(Guard(), watched(day, *[minute] * 5, every=every)) is None
    assert decide_guard(Guard(), watched(day, *[minute] * 25, every=every)) is not None


def test_a_stable_pod_that_starts_again_hides_nothing_and_loses_nothing() -> None:
    bad, good = Served(failed=200, in_time=1_800), Served(in_time=2_000)
    watch = watched((bad, good))
    assert decide_guard(Guard(), watch) is not None
    again = decide_watch(watch, OF, {"c": bad + Served(in_time=9)}, {"s": Served(in_time=9)}, NOW + 2 * LOOK)
    assert again.stable.total == Served(in_time=2_009)
    assert decide_guard(Guard(), again) is not None


def test_pods_that_come_and_go_are_counted_once() -> None:
    one, two = Served(failed=1, in_time=100), Served(slow=2, in_time=50)
    watch = decide_watch(None, OF, {"a": one}, {}, NOW)
    assert watch.canary.total == NOTHING
    for number, pods in enumerate([{"a": one, "b": two}, {"b": two}, {}, {"a": one, "b": two + two}], start=1):
        watch = decide_watch(watch, OF, pods, {}, NOW + number * LOOK)
    assert watch.canary.total == two + two


def test_another_canary_is_another_watch() -> None:
    watch = decide_watch(watched((Served(failed=1_000), FINE)), ("other", "stable"), {"c": NOTHING}, {}, NOW + 2 * LOOK)
    assert decide_guard(Guard(), watch) is None


def test_a_watch_of_days_remembers_few_looks_and_all_of_the_last_ones() -> None:
    watch = watched(*[(Served(in_time=1), NOTHING)] * 10_000)
    ages = [round((watch.at - mark.at) / LOOK) for mark in watch.marks]
    assert ages[0] == 10_000
    assert ages[-3:] == [3, 2, 1]
    assert len(ages) < 40
    assert all(older <= 3 * newer for older, newer in pairwise(ages))


@pytest.mark.parametrize("beside", [True, False], ids=["as often as stable", "and stable tells nothing"])
def test_looking_often_takes_no_canary_out_that_fails_no_more_than_it_may(beside: bool) -> None:
    """It fails at the very limit; a look every 50 requests, 200 looks, 300 canaries: under 1 % are taken out."""
    random = np.random.default_rng(7)
    guard, out = Guard(), 0
    for _ in range(300):
        failed = random.binomial(50, guard.max_error_ratio, size=(200, 2)).tolist()
        watch = watched()
        canary, stable = NOTHING, NOTHING
        for number, (bad, also) in enumerate(failed, start=1):
            canary += Served(failed=bad, in_time=50 - bad)
            stable += Served(failed=also, in_time=50 - also) if beside else NOTHING
            watch = decide_watch(watch, OF, {"c": canary}, {"s": stable}, NOW + number * LOOK)
            if decide_guard(guard, watch):
                out += 1
                break
    assert out < 3
