"""Artifacts and their digests: one changed byte anywhere is noticed before anything is loaded."""

import hashlib
from pathlib import Path

from pydantic import ValidationError

from perennial_contract.report import MANIFEST_FILE, FileDigest, Manifest


class ArtifactError(ValueError):
    """An artifact is not what its digest promises. The message names the file and is one line."""


def digest_bytes(data: bytes) -> str:
    """``sha256:<64 hex digits>`` of the bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_file(path: Path) -> str:
    """``sha256:<64 hex digits>`` of a file, read in pieces: models may be larger than the memory left."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def describe_file(path: Path) -> FileDigest:
    """A file as a manifest lists it."""
    return FileDigest(name=path.name, bytes=path.stat().st_size, digest=digest_file(path))


def parse_manifest(text: bytes, digest: str) -> Manifest:
    """The manifest, if these are the bytes that the digest stands for.

    Raises:
        ArtifactError: the digest differs, the text is not a manifest, or a listed name is not a plain file name.
    """
    found = digest_bytes(text)
    if found != digest:
        raise ArtifactError(f"{MANIFEST_FILE}: digest is {found}, expected {digest}: refused")
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise ArtifactError(f"{MANIFEST_FILE}: {where}: {first['msg']}") from None
    names = [file.name for file in manifest.files]
    for name in names:
        if not name or name in (".", "..", MANIFEST_FILE) or "/" in name or "\\" in name or "\0" in name:
            raise ArtifactError(f"{MANIFEST_FILE}: {name!r} is not a plain file name: refused")
    for name in (manifest.model_file, *manifest.member_files):
        if name not in names:
            raise ArtifactError(f"{MANIFEST_FILE}: the model file {name!r} is not among its files")
    return manifest


def verify_file(path: Path, expected: FileDigest) -> None:
    """Raises ArtifactError when the file is missing, or differs by as little as one byte."""
    if not path.is_file():
        raise ArtifactError(f"{expected.name}: listed in {MANIFEST_FILE} but missing")
    size = path.stat().st_size
    if size != expected.bytes:
        raise ArtifactError(f"{expected.name}: {size} bytes, expected {expected.bytes}: refused")
    found = digest_file(path)
    if found != expected.digest:
        raise ArtifactError(f"{expected.name}: digest is {found}, expected {expected.digest}: refused")


def verify_artifact(directory: Path, digest: str) -> Manifest:
    """The manifest of a directory whose every listed file is intact; files that are not listed are of no account.

    Raises:
        ArtifactError: naming the file that is missing or changed.
    """
    path = directory / MANIFEST_FILE
    if not path.is_file():
        raise ArtifactError(f"{MANIFEST_FILE}: missing in {directory}")
    manifest = parse_manifest(path.read_bytes(), digest)
    for expected in manifest.files:
        verify_file(directory / expected.name, expected)
    return manifest
