"""The fast guard: a canary whose requests fail or crawl goes at once, before a single outcome is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from math import log

from perennial.api.traffic import Guard
from perennial.domain.statistics import wilson_bounds

_DOUBT = 1e-5
"""Each look is a new chance to be wrong in each of its stretches, and there is one every few seconds."""


@dataclass(frozen=True, slots=True)
class Served:
    """What pods have answered, requests sent to them for pairs included."""

    failed: int = 0
    """5xx: the server's fault. A 4xx is its client's and in no count."""
    slow: int = 0
    """Answered, and later than the guard allows."""
    in_time: int = 0

    def __add__(self, more: "Served") -> "Served":
        return Served(self.failed + more.failed, self.slow + more.slow, self.in_time + more.in_time)

    def since(self, before: "Served") -> "Served":
        """What came in since; a server that starts again counts from nothing."""
        if self.failed < before.failed or self.slow < before.slow or self.in_time < before.in_time:
            return self
        return Served(self.failed - before.failed, self.slow - before.slow, self.in_time - before.in_time)

    @property
    def requests(self) -> int:
        return self.failed + self.slow + self.in_time

    @property
    def bad(self) -> float:
        """The share that failed or was slow."""
        return (self.failed + self.slow) / self.requests if self.requests else 0.0

    @property
    def bad_at_most(self) -> float:
        """Surely."""
        return wilson_bounds(self.bad, self.requests, 1 - _DOUBT)[1]

    def is_surely_over(self, share: float) -> bool:
        """Whether more than such a share is bad. Chernoff's bound: it holds for few requests and rare failures too."""
        bad, good = self.bad, 1 - self.bad
        if bad <= share:
            return False
        surprise = good * log(good / (1 - share)) if good else 0.0
        return share == 0 or self.requests * (bad * log(bad / share) + surprise) > -log(_DOUBT)


@dataclass(frozen=True, slots=True)
class Tally:
    """What a version's pods have answered since the first look at them."""

    counters: Mapping[str, Served]
    """Of each pod as it was last seen, by its address."""
    total: Served = Served()

    def counted(self, counters: Mapping[str, Served]) -> "Tally":
        """The tally after another look; a pod that is new to it has served since the look before."""
        total = self.total
        for pod, served in counters.items():
            total += served.since(self.counters.get(pod, Served()))
        return Tally({**self.counters, **counters}, total)


@dataclass(frozen=True, slots=True)
class Mark:
    """The totals of an earlier look."""

    at: datetime
    canary: Served = Served()
    stable: Served = Served()


@dataclass(frozen=True, slots=True)
class Watch:
    """A canary's requests beside those of the stable version, look after look. Begun again, it costs a look."""

    of: tuple[object, ...]
    """Whose requests they are, and what is slow: another canary is another watch."""
    at: datetime
    canary: Tally
    stable: Tally
    marks: tuple[Mark, ...] = field(default=())
    """Earlier looks, the oldest first: all of the last ones, and the fewer the longer ago."""


def decide_watch(
    before: Watch | None,
    of: tuple[object, ...],
    canary: Mapping[str, Served],
    stable: Mapping[str, Served],
    now: datetime,
) -> Watch:
    """The watch after another look. What pods had answered before the first is nobody's concern."""
    if before is None or before.of != of:
        return Watch(of, now, Tally(canary), Tally(stable))
    marks = (*before.marks, Mark(before.at, before.canary.total, before.stable.total))
    return Watch(of, now, before.canary.counted(canary), before.stable.counted(stable), _thinned(marks, now))


def _thinned(marks: tuple[Mark, ...], now: datetime) -> tuple[Mark, ...]:
    """The first, the last, and of those between as many as lie apart by half their age: a few dozen in months."""
    kept = [marks[0]]
    for mark, following in pairwise(marks[1:]):
        if following.at - kept[-1].at > (now - following.at) / 2:
            kept.append(mark)
    return (*kept, *marks[max(1, len(marks) - 1) :])


def decide_guard(guard: Guard, watch: Watch) -> str | None:
    """What is wrong with the canary's answers, in any stretch up to now; None: nothing, or too little is known.

    Failures that have just begun show in a short stretch, rare ones in a long one.
    """
    stretches = (
        (watch.canary.total.since(mark.canary), watch.stable.total.since(mark.stable)) for mark in watch.marks[::-1]
    )
    return next((problem for canary, stable in stretches if (problem := _judge(guard, canary, stable))), None)


def _judge(guard: Guard, canary: Served, stable: Served) -> str | None:
    """The share of bad answers has to be surely over the limit, and surely over the stable version's in the same
    stretch too: a node under pressure slows both. A stable version that has answered too little tells nothing."""
    if canary.requests < guard.min_requests:
        return None
    limit = max(guard.max_error_ratio, stable.bad_at_most if stable.requests >= guard.min_requests else 0.0)
    if not canary.is_surely_over(limit):
        return None
    return (
        f"of the last {canary.requests} requests {canary.failed} failed and {canary.slow} took longer than "
        f"{guard.max_latency_seconds:g} s: surely more than {limit:.1%}"
    )
