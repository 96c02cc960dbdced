"""The operator with a clock that a test sets: `python -m tests.integration.operator_on_clock FILE`."""

import asyncio
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

from perennial.controllers import retrain_policy
from perennial.main import run
from perennial.settings import read_settings


def main() -> None:
    """Until it is told to stop; the file holds the instant that it believes it to be.

    The timer that looks at policies runs in real time and would look in the middle of an instant: events do it instead.
    """
    retrain_policy.LOOK_EVERY = timedelta(days=1)
    clock = Path(sys.argv[1])
    asyncio.run(run(read_settings(os.environ), lambda: datetime.fromisoformat(clock.read_text())))


if __name__ == "__main__":
    main()
