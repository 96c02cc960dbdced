"""The operator with a clock that a test sets: `python -m tests.integration.operator_on_clock FILE`.

A policy may be reconciled a moment before or after a monitor's look of the same instant; either is right, and the
second decides on fresher evidence. Here policies have their turn while a file ``FILE.plans`` is there, so that it is
always the second.
"""

import asyncio
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

from perennial.adapters.cluster import RETRAIN_POLICY
from perennial.controllers.context import Context
from perennial.controllers.queue import Key
from perennial.controllers.reconciles import RECONCILES
from perennial.main import run
from perennial.settings import read_settings


def main() -> None:
    """Until it is told to stop; the file holds the instant that it believes it to be."""
    clock = Path(sys.argv[1])
    turn, plan = clock.with_suffix(".plans"), RECONCILES[RETRAIN_POLICY.kind]

    async def plan_in_turn(context: Context, key: Key) -> timedelta | None:
        return await plan(context, key) if turn.exists() else None

    RECONCILES[RETRAIN_POLICY.kind] = plan_in_turn
    asyncio.run(run(read_settings(os.environ), lambda: datetime.fromisoformat(clock.read_text())))


if __name__ == "__main__":
    main()
