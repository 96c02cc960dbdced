"""The Job's log: what happens now, how far it is and how long it took, at most a line a second."""

import logging
import sys
import time
from collections.abc import Callable

log = logging.getLogger("perennial.train")

ReportRound = Callable[[int, int, str, float], None]
"""Called after each round with its number (from 1), the most there will be, the metric's name and its value."""


def start_log() -> None:
    """Lines with a UTC time on standard output; errors have standard error to themselves."""
    handler = logging.StreamHandler(sys.stdout)
    formatter = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


class Throttle:
    """Says no more often than once a second that it is time for a line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, every: float = 1.0) -> None:
        self._clock, self._every = clock, every
        self._started = self._last = clock()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._started

    def due(self) -> bool:
        """True at most once in every interval."""
        now = self._clock()
        if now - self._last < self._every:
            return False
        self._last = now
        return True


def log_rounds(throttle: Throttle, whose: str = "") -> ReportRound:
    """Shows training: ``round 120/500  logloss 0.68912  12.3 s``, after whose it is."""

    def report(number: int, rounds: int, metric: str, value: float) -> None:
        if throttle.due() or number in (1, rounds):
            log.info("%sround %d/%d  %s %.5f  %.1f s", whose, number, rounds, metric, value, throttle.seconds)

    return report
