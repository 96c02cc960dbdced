"""Every promise that is simulated, in the order of the page."""

from tests.simulate import canary, monitors, rollback, verdict
from tests.simulate.promise import Promise

CHALLENGERS: tuple[Promise, ...] = (*verdict.PROMISES, *canary.PROMISES, *rollback.PROMISES)
"""Seconds in miniature."""
PROMISES: tuple[Promise, ...] = (*CHALLENGERS, *monitors.PROMISES)
