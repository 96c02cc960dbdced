"""The operator's process."""

import asyncio
import logging
import os
import sys

import kopf
from pydantic import ValidationError

from perennial.controllers.wiring import Operator, wire
from perennial.settings import read_settings


def main() -> None:
    """Run until told to stop; exit code 2 when a setting cannot be used."""
    try:
        settings = read_settings(os.environ)
    except ValidationError as error:
        for problem in error.errors():
            name = f"PERENNIAL_{str(problem['loc'][0]).upper()}"
            sys.stderr.write(f"perennial: {name}: {problem['input']!r}: {problem['msg']}\n")
        sys.exit(2)
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(logging.WARNING)
    registry = kopf.OperatorRegistry()
    wire(Operator(settings), registry)
    scope = settings.namespaces
    asyncio.run(kopf.operator(registry=registry, standalone=True, clusterwide=not scope, namespaces=scope))


if __name__ == "__main__":
    main()
