"""The fast guard: a canary whose requests fail or crawl goes at once, before a single outcome is known."""

from dataclasses import dataclass

from perennial.api.traffic import Guard
from perennial.domain.statistics import wilson_bounds

_CONFIDENCE = 0.999
"""Each look is a new chance to be wrong, and there is one every few seconds."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a version's pods have answered since they started, requests sent to them for pairs included."""

    failed: int = 0
    """5xx: the server's fault. A 4xx is its client's and in no count."""
    slow: int = 0
    """Answered, and later than the guard allows."""
    in_time: int = 0

    @property
    def requests(self) -> int:
        return self.failed + self.slow + self.in_time

    @property
    def bounds(self) -> tuple[float, float]:
        """Of the share that failed or was slow."""
        bad = (self.failed + self.slow) / self.requests if self.requests else 0.0
        return wilson_bounds(bad, self.requests, _CONFIDENCE)


def decide_guard(guard: Guard, canary: Served | None, stable: Served | None) -> str | None:
    """What is wrong with the canary's answers; None: nothing, or too little is known.

    The share of bad answers has to be surely over the limit, and surely over the stable version's too: a node under
    pressure slows both.
    """
    if canary is None or canary.requests < guard.min_requests:
        return None
    lower, _ = canary.bounds
    elsewhere = stable.bounds[1] if stable and stable.requests else 0.0
    if lower <= max(guard.max_error_ratio, elsewhere):
        return None
    return (
        f"of {canary.requests} requests {canary.failed} failed and {canary.slow} took longer than "
        f"{guard.max_latency_seconds:g} s: surely more than {max(guard.max_error_ratio, elsewhere):.1%}"
    )
