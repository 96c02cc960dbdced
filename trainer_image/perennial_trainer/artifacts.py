"""Artifact stores: a directory (a PVC) and S3-compatible ones. What is written is never overwritten."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from perennial_contract.artifacts import ArtifactError, digest_bytes, parse_manifest, verify_artifact
from perennial_contract.report import MANIFEST_FILE, Manifest
from perennial_contract.task import ArtifactRef
from perennial_trainer.errors import TaskWrong, Unavailable

if TYPE_CHECKING:
    from obstore.store import RetryConfig


class Store(Protocol):
    """Folders of files below a root. Paths are relative to it."""

    def read(self, path: str, target: Path) -> bool:
        """Copies a file; False when there is none."""
        ...

    def write(self, folder: str, source: Path, names: list[str]) -> None:
        """Writes files, the last one last: a folder without it is not there yet."""
        ...

    def replace(self, path: str, data: bytes) -> None:
        """Writes a file over what may be there: for what is no artifact."""
        ...

    def remove(self, folder: str) -> None:
        """Deletes a folder, if there is one."""
        ...


class DirectoryStore:
    """A mounted volume. A folder appears whole, by renaming, or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str, target: Path) -> bool:
        """See `Store.read`."""
        try:
            shutil.copyfile(self._root / path, target)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Unavailable(f"artifact store: {self._root / path}: {error.strerror}") from None
        return True

    def write(self, folder: str, source: Path, names: list[str]) -> None:
        """See `Store.write`."""
        final = self._root / folder
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            prefix = f".{final.name}.partial-"
            for left in final.parent.glob(f"{prefix}*"):  # by an attempt that was killed
                shutil.rmtree(left, ignore_errors=True)
            partial = Path(tempfile.mkdtemp(prefix=prefix, dir=final.parent))
            partial.chmod(0o755)  # the server may run as somebody else
            for name in names:
                _copy_durably(source / name, partial / name)
            partial.rename(final)
            _flush_directory(final.parent)
        except OSError as error:
            raise Unavailable(f"artifact store: {final}: {error.strerror}") from None

    def replace(self, path: str, data: bytes) -> None:
        """See `Store.replace`: whole or not at all."""
        final = self._root / path
        partial = final.with_name(f".{final.name}.partial")
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            with partial.open("rb") as file:
                os.fsync(file.fileno())  # or a node's crash leaves the name and none of the bytes
            partial.replace(final)
        except OSError as error:
            raise Unavailable(f"artifact store: {final}: {error.strerror}") from None

    def remove(self, folder: str) -> None:
        """See `Store.remove`."""
        final = self._root / folder
        try:
            shutil.rmtree(final)
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unavailable(f"artifact store: {final}: {error.strerror}") from None


def _copy_durably(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o644)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ObjectStore:
    """S3 and what speaks its language: endpoint and credentials come from ``AWS_*`` variables."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._name = f"s3://{bucket}"
        with self._errors_in_words():
            # No client options here: given any, obstore no longer listens to AWS_ALLOW_HTTP.
            retries: RetryConfig = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
            self._store = S3Store(bucket, prefix=prefix or None, retry_config=retries)

    def read(self, path: str, target: Path) -> bool:
        """See `Store.read`."""
        with self._errors_in_words():
            try:
                stream = obstore.get(self._store, path)
            except FileNotFoundError:
                return False
            with target.open("wb") as file:
                for piece in stream:
                    file.write(piece)
            return True

    def write(self, folder: str, source: Path, names: list[str]) -> None:
        """See `Store.write`."""
        with self._errors_in_words():
            for name in names:
                obstore.put(self._store, f"{folder}/{name}", source / name)

    def replace(self, path: str, data: bytes) -> None:
        """See `Store.replace`."""
        with self._errors_in_words():
            obstore.put(self._store, path, data)

    def remove(self, folder: str) -> None:
        """See `Store.remove`."""
        with self._errors_in_words():
            for listed in obstore.list(self._store, prefix=f"{folder}/"):
                obstore.delete(self._store, [item["path"] for item in listed])

    @contextmanager
    def _errors_in_words(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise TaskWrong(f"artifact store: {self._name}: no such bucket; create it or correct the URL") from None
        except (PermissionDeniedError, UnauthenticatedError):
            raise TaskWrong(f"artifact store: {self._name}: access denied; check the Secret with AWS_* keys") from None
        except BaseError as error:
            said = str(error).strip().splitlines()[0]
            raise Unavailable(f"artifact store: {self._name}: {said}") from None


def open_store(url: str) -> Store:
    """The store below a URL: ``file:///artifacts`` or ``s3://bucket/prefix``.

    Raises:
        TaskWrong: neither of the two.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return DirectoryStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return ObjectStore(parts.netloc, parts.path.strip("/"))
    raise TaskWrong(f"artifact store: {url!r} is not supported; use file:///directory or s3://bucket/prefix")


def find_artifact(store: str, path: str, scratch: Path) -> ArtifactRef | None:
    """What stands at a path of a store, if anything does; not verified yet."""
    manifest = scratch / MANIFEST_FILE
    if not open_store(store).read(f"{path}/{MANIFEST_FILE}", manifest):
        return None
    return ArtifactRef(uri=_join(store, path), digest=digest_bytes(manifest.read_bytes()))


def fetch_artifact(artifact: ArtifactRef, directory: Path) -> Manifest:
    """Copies an artifact into an empty directory and verifies every file of it.

    Raises:
        ArtifactError: a file is missing or changed; the message names it.
        Unavailable: the store does not answer.
    """
    store = open_store(artifact.uri)
    try:
        if not store.read(MANIFEST_FILE, directory / MANIFEST_FILE):
            raise ArtifactError(f"{MANIFEST_FILE}: missing")
        manifest = parse_manifest((directory / MANIFEST_FILE).read_bytes(), artifact.digest)
        for file in manifest.files:
            store.read(file.name, directory / file.name)
        return verify_artifact(directory, artifact.digest)
    except ArtifactError as error:
        raise ArtifactError(f"artifact {artifact.uri}: {error}") from None


def publish_artifact(store: str, path: str, directory: Path, scratch: Path) -> ArtifactRef:
    """Writes a directory's artifact to a path of a store; the same one again is fine.

    Raises:
        TaskWrong: the path holds another artifact.
        Unavailable: the store does not answer.
    """
    ref = ArtifactRef(uri=_join(store, path), digest=digest_bytes((directory / MANIFEST_FILE).read_bytes()))
    found = find_artifact(store, path, scratch)
    if found is None:
        manifest = verify_artifact(directory, ref.digest)
        open_store(store).write(path, directory, [*(file.name for file in manifest.files), MANIFEST_FILE])
    elif found.digest != ref.digest:
        raise TaskWrong(f"artifact {ref.uri}: holds another artifact ({found.digest}); artifacts are never overwritten")
    return ref


def _join(store: str, path: str) -> str:
    return f"{store.rstrip('/')}/{path}"
