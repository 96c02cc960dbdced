"""The operator with a clock that a test sets: `python -m tests.integration.operator_on_clock FILE`."""

import asyncio
import os
import sys
from datetime import datetime
from pathlib import Path

from perennial.main import run
from perennial.settings import read_settings


def main() -> None:
    """Until it is told to stop; the file holds the instant that it believes it to be."""
    clock = Path(sys.argv[1])
    asyncio.run(run(read_settings(os.environ), lambda: datetime.fromisoformat(clock.read_text())))


if __name__ == "__main__":
    main()
