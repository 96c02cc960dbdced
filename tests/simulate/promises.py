"""Every promise that is simulated, in the order of the page."""

from tests.simulate import canary, rollback, verdict
from tests.simulate.promise import Promise

PROMISES: tuple[Promise, ...] = (*verdict.PROMISES, *canary.PROMISES, *rollback.PROMISES)
