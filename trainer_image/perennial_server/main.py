"""``perennial-serve``: loads one model version and serves it.

Exit codes: 0 stopped as asked; 2 the configuration or the artifact is wrong, which no restart mends; else transient.
"""

import argparse
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

# Before any model library is loaded: requests are one thread's work, and threads that wait for work steal its time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import uvloop

from perennial_contract.artifacts import ArtifactError
from perennial_contract.report import Manifest
from perennial_contract.serving import OUTCOMES_TOKEN_PATH, SERVER_CONFIG_PATH, ServerConfig
from perennial_contract.task import SAMPLES_URL_PATH
from perennial_server.artifact import ArtifactUnreachableError, open_artifact
from perennial_server.errors import ConfigError
from perennial_server.models import Ensemble, load_model
from perennial_server.serve import Secrets, Server
from perennial_server.settings import conninfo_reader, read_config, secret_reader

EXIT_STOPPED = 0
EXIT_TRANSIENT = 1
EXIT_WRONG = 2


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_STOPPED))  # the first process of a container has no default
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    options = _parse(arguments)
    try:
        _run(options)
    except (ConfigError, ArtifactError) as error:
        print(f"perennial-serve: {error}", file=sys.stderr)
        sys.exit(EXIT_WRONG)
    except ArtifactUnreachableError as error:
        print(f"perennial-serve: {error}", file=sys.stderr)
        sys.exit(EXIT_TRANSIENT)
    sys.exit(EXIT_STOPPED)


def _run(options: argparse.Namespace) -> None:
    config = read_config(options.config)
    manifest, model = _load(config)
    secrets = Secrets(
        None if options.no_recording else conninfo_reader(options.samples_url_file),
        secret_reader(options.outcomes_token_file, "the token of POST /outcomes"),
    )
    # What is loaded by now stays for good: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    uvloop.run(_serve(config, manifest, model, secrets, options.host))


async def _serve(config: ServerConfig, manifest: Manifest, model: Ensemble, secrets: Secrets, host: str | None) -> None:
    await Server(config, manifest, model, secrets).run(host)


def _load(config: ServerConfig) -> tuple[Manifest, Ensemble]:
    with open_artifact(config.artifact) as (directory, manifest):
        if manifest.algorithm != config.algorithm:
            raise ConfigError(f"algorithm: {config.algorithm!r}, but the artifact's is {manifest.algorithm!r}")
        return manifest, load_model(directory, manifest)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("perennial-serve", description="Serves one version of one model.")
    parser.add_argument("--config", type=Path, default=Path(SERVER_CONFIG_PATH), metavar="FILE")
    parser.add_argument("--samples-url-file", type=Path, default=Path(SAMPLES_URL_PATH), metavar="FILE")
    parser.add_argument("--outcomes-token-file", type=Path, default=Path(OUTCOMES_TOKEN_PATH), metavar="FILE")
    parser.add_argument("--host", help="address to listen on (default: all of them)")
    parser.add_argument(
        "--no-recording", action="store_true", help="score only: no database, no outcomes, no forwarding"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
