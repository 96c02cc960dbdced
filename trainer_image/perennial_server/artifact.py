"""Brings the artifact where it can be loaded, and lets nothing through that is not what the digest promises."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from perennial_contract.artifacts import parse_manifest, verify_artifact
from perennial_contract.report import MANIFEST_FILE, Manifest
from perennial_contract.task import ArtifactRef
from perennial_server.errors import ConfigError

if TYPE_CHECKING:
    from obstore.store import RetryConfig


class ArtifactUnreachableError(Exception):
    """The store does not answer: a restart may help, unlike with a wrong artifact."""


@contextmanager
def open_artifact(ref: ArtifactRef) -> Iterator[tuple[Path, Manifest]]:
    """The verified artifact's directory, which may be gone afterwards, and its manifest.

    Raises:
        ArtifactError: naming the file that is missing or changed.
        ArtifactUnreachableError: the store does not answer.
        ConfigError: the URI is of a kind that nothing here reads.
    """
    parts = urlsplit(ref.uri)
    if parts.scheme == "file":
        directory = Path(unquote(parts.path))
        yield directory, verify_artifact(directory, ref.digest)
    elif parts.scheme == "s3":
        with TemporaryDirectory(prefix="perennial-artifact-") as folder:
            directory = Path(folder)
            _fetch(ref, directory)
            yield directory, verify_artifact(directory, ref.digest)
    else:
        raise ConfigError(f"artifact.uri: {ref.uri!r} is neither file:///… nor s3://…: use one of them")


def _fetch(ref: ArtifactRef, directory: Path) -> None:
    """What the manifest lists, once the manifest itself has proved right; credentials are the `AWS_*` variables."""
    # No client options here: given any, obstore no longer listens to AWS_ALLOW_HTTP.
    retries: RetryConfig = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
    try:
        store = S3Store.from_url(ref.uri, retry_config=retries)
        _get(store, MANIFEST_FILE, directory)
        if not (directory / MANIFEST_FILE).is_file():
            return
        for file in parse_manifest((directory / MANIFEST_FILE).read_bytes(), ref.digest).files:
            _get(store, file.name, directory)
    except (PermissionDeniedError, UnauthenticatedError):
        raise ConfigError(f"artifact.uri: {ref.uri}: access denied: check the Secret of its store") from None
    except BaseError as error:
        raise ArtifactUnreachableError(f"{ref.uri}: {str(error).splitlines()[0]}") from None


def _get(store: S3Store, name: str, directory: Path) -> None:
    """A file that is not there is left out: the verification names it."""
    try:
        stream = obstore.get(store, name)
    except FileNotFoundError:
        return
    with (directory / name).open("wb") as file:
        for piece in stream:
            file.write(piece)
