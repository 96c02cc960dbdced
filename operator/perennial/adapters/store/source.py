"""Samples as people keep them, CSV files: read in pieces and refused at the first row that is not sound."""

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO

from perennial_contract.samples import IDENTIFIER_PATTERN, RESERVED_COLUMNS

ROWS_A_CHUNK = 5000
TIMES = ("at", "resolved_at")
_UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error)
_TARGETS = frozenset({"", "0", "1", "0.0", "1.0"})


class SourceError(ValueError):
    """A file that cannot be loaded: where, what stands there, and what should. One line."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Sound rows, as text and split."""

    text: str
    rows: list[list[str]]
    position: int
    """Bytes of the file that have been read."""


class SampleFile:
    """One CSV file, plain or gzipped, with a header. ``features`` None takes every column that is not reserved."""

    def __init__(self, path: Path, features: Sequence[str] | None = None) -> None:
        self.path = path
        try:
            self.bytes = path.stat().st_size
            with _Reading(path) as (lines, _):
                self.columns = self._read_header(next(iter(lines), ""))
        except _UNREADABLE as error:
            raise SourceError(
                f"{path}: {getattr(error, 'strerror', None) or error}: name a readable CSV file"
            ) from None
        found = tuple(name for name in self.columns if name not in RESERVED_COLUMNS)
        for name in features or ():
            if name not in found:
                raise SourceError(
                    f"{path}: there is no feature column {name!r}: the file has {', '.join(found) or 'none'}"
                )
        self.features = found if features is None else tuple(features)

    def _read_header(self, line: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in next(csv.reader([line]), []))
        for name in names:
            if not re.fullmatch(IDENTIFIER_PATTERN, name):
                raise SourceError(
                    f"{self.path}: column {name!r}: the first row must name the columns, in letters, digits and _"
                )
            if names.count(name) > 1:
                raise SourceError(f"{self.path}: column {name!r} stands twice: remove one")
        for name in ("id", "at"):
            if name not in names:
                raise SourceError(f"{self.path}: column {name!r} is missing: found {', '.join(names) or 'none'}")
        return names

    def chunks(self, *, parsed: bool) -> Iterator[Chunk]:
        """The rows below the header. Unless they are ``parsed`` here, numbers are only looked at for characters that
        belong into one: what is malformed all the same, a database refuses that parses them itself.

        Raises:
            SourceError: with row number (the header is row 1), column and value.
        """
        number = 2
        with _Reading(self.path) as (lines, position):
            next(lines)
            while taken := self._take(lines, number):
                rows = self._split(taken, number)
                self._check(rows, number, parsed)
                number += len(taken)
                yield Chunk("".join(taken), rows, position())

    def _take(self, lines: Iterator[str], number: int) -> list[str]:
        try:
            return list(islice(lines, ROWS_A_CHUNK))
        except _UNREADABLE as error:
            raise SourceError(f"{self.path}: rows from {number}: {error}: mend the file, which must be UTF-8") from None

    def _split(self, lines: list[str], number: int) -> list[list[str]]:
        if any(not line.strip() for line in lines):
            empty = next(index for index, line in enumerate(lines) if not line.strip())
            raise self._wrong(number + empty, "the row is empty", "remove it")
        try:
            quoted = any('"' in line for line in lines)
            rows = (
                list(csv.reader(lines, strict=True)) if quoted else [line.rstrip("\r\n").split(",") for line in lines]
            )
        except csv.Error as error:
            raise self._wrong(
                number, f"this row or one of the next {len(lines) - 1}: {error}", "mend the quotes"
            ) from None
        if len(rows) != len(lines):
            raise SourceError(f"{self.path}: rows from {number}: a value holds a line break: write one row a line")
        for index, row in enumerate(rows):
            if len(row) != len(self.columns):
                found = f"it has {len(row)} values"
                raise self._wrong(number + index, found, f"write {len(self.columns)}, as the header names them")
        return rows

    def _check(self, rows: list[list[str]], number: int, parsed: bool) -> None:
        """A whole column at a time; only what fails is looked through value by value."""
        for name, values in zip(self.columns, zip(*rows, strict=True), strict=True):
            find, fix = self._check_of(name, parsed)
            if (index := find(values)) is not None:
                raise self._wrong(number + index, f"{name} = {values[index]!r}", fix)

    def _check_of(self, name: str, parsed: bool) -> tuple[Callable[[Sequence[str]], int | None], str]:
        if name == "id":
            return _first_empty, "give every sample an id"
        if name == "at":
            return _first_untimed, "write an instant with its offset, as in 2024-05-01T12:00:00Z"
        if name == "resolved_at":
            return _first_bad_time, "leave it empty, or write an instant with its offset, as in 2024-05-01T12:00:00Z"
        if name == "target":
            return _first_bad_target, "write 0 or 1, or leave it empty until it is known"
        if name == "reward" or name in self.features:
            return _first_not_finite if parsed else _first_not_numeric, "write a finite number, or leave it empty"
        return _nothing, ""

    def _wrong(self, number: int, what: str, fix: str) -> SourceError:
        return SourceError(f"{self.path}: row {number}: {what}: {fix}")


class _Reading:
    """The open file: its lines, and how far into its bytes they are."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb")
        unzipped = gzip.open(self._file) if path.suffix == ".gz" else self._file  # noqa: SIM115 - closed with _text
        # Byte-order marks are what spreadsheets write; newlines stay as they are, for COPY to see.
        self._text = io.TextIOWrapper(unzipped, encoding="utf-8-sig", newline="")

    def __enter__(self) -> tuple[Iterator[str], Callable[[], int]]:
        return iter(self._text), self._file.tell

    def __exit__(self, *_: object) -> None:
        self._text.close()
        self._file.close()


def _nothing(values: Sequence[str]) -> int | None:
    """Columns that are not loaded may hold what they will."""


def _first_empty(values: Sequence[str]) -> int | None:
    return values.index("") if "" in values else None


def _first_bad_target(values: Sequence[str]) -> int | None:
    if _TARGETS.issuperset(values):
        return None
    return next(index for index, value in enumerate(values) if value not in _TARGETS)


def _first_not_numeric(values: Sequence[str]) -> int | None:
    if not ",".join(values).strip("0123456789.+-eE,"):  # stops at the first character that is in no finite number
        return None
    return _first_not_finite(values)


def _first_not_finite(values: Sequence[str]) -> int | None:
    return next((index for index, value in enumerate(values) if value and not _is_finite(value)), None)


def _is_finite(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _first_bad_time(values: Sequence[str]) -> int | None:
    return next((index for index, value in enumerate(values) if value and not _is_instant(value)), None)


def _first_untimed(values: Sequence[str]) -> int | None:
    return next((index for index, value in enumerate(values) if not _is_instant(value)), None)


def _is_instant(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
