"""The operator's process."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from datetime import datetime

import kopf
from pydantic import ValidationError

from perennial.adapters.cluster import ClusterError
from perennial.controllers.context import utc_now
from perennial.controllers.wiring import NotInstalledError, Operator, check_installed, wire
from perennial.settings import Settings, read_settings


def main() -> None:
    """Run until told to stop; exit code 2 when a setting cannot be used, 1 when the cluster cannot."""
    try:
        settings = read_settings(os.environ)
    except ValidationError as error:
        for problem in error.errors():
            name = f"PERENNIAL_{str(problem['loc'][0]).upper()}"
            sys.stderr.write(f"perennial: {name}: {problem['input']!r}: {problem['msg']}\n")
        sys.exit(2)
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(logging.WARNING)
    try:
        asyncio.run(run(settings))
    except (NotInstalledError, ClusterError) as error:
        sys.stderr.write(f"perennial: {error}\n")
        sys.exit(1)


async def run(settings: Settings, now: Callable[[], datetime] = utc_now) -> None:
    """Until it is told to stop.

    Raises:
        NotInstalledError, ClusterError: the cluster cannot be worked with.
    """
    await check_installed()
    registry = kopf.OperatorRegistry()
    wire(Operator(settings, now), registry)
    scope = settings.namespaces
    await kopf.operator(registry=registry, standalone=True, clusterwide=not scope, namespaces=scope)


if __name__ == "__main__":
    main()
