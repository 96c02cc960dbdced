"""Recorded samples as arrays on disk: what a replay trains on and scores, read without a database.

A recording is a folder with a folder a table in it: ``recording.json``, ``keys.npy`` and ``values.npy``, a row a sample
in the order of (at, series, id). Reports of versions trained on it are written to ``reports/<uid>.json`` beside them.
"""

import hashlib
from typing import Literal

from pydantic import Field

from perennial_contract.base import Document
from perennial_contract.report import Feature

RECORDING_FILE = "recording.json"
KEYS_FILE = "keys.npy"
"""(n, 4) int64: at and resolved_at in µs since 1970, hash of the series, hash of the id."""
VALUES_FILE = "values.npy"
"""(n, 2 + features) float64: target, reward, features; NaN where there is none."""
REPORTS_FOLDER = "reports"
UNRESOLVED = -(2**62)
"""``resolved_at`` of a row whose outcome has no time of its own."""


class Recording(Document):
    """One table of a recording."""

    schema_version: Literal[1] = 1
    table: str
    rows: int = Field(ge=0)
    features: tuple[Feature, ...]
    """The columns of ``values.npy`` from the third on."""


class ReportDocument(Document):
    """A version's row of ``model_reports`` as a file; the texts are the artifact's, byte for byte."""

    schema_version: Literal[1] = 1
    version: str
    model: str
    digest: str
    manifest: str
    report: str
    profile: str


def key_hash(value: object) -> int:
    """The first 8 bytes of the MD5 of a series or an id as a signed number; 0 for none. The same order everywhere."""
    if value is None:
        return 0
    return int.from_bytes(hashlib.md5(str(value).encode(), usedforsecurity=False).digest()[:8], "big", signed=True)
