"""Loading files into SQLite, and what is wrong with a file before any database is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.unit.store import loads

from perennial.adapters.store.engine import open_engine
from perennial.adapters.store.source import SampleFile, SourceError


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}/store.db", ("sqlite",))
    yield engine
    engine.dispose()


def test_files_load_once_however_often(engine: Engine, tmp_path: Path) -> None:
    loads.check_loading(engine, tmp_path)


def test_whatever_is_missing_is_filled_in(engine: Engine, tmp_path: Path) -> None:
    loads.check_gaps(engine, tmp_path)


def test_an_outcome_may_come_before_its_sample(engine: Engine, tmp_path: Path) -> None:
    loads.check_early_outcome(engine, tmp_path)


def test_an_outcome_is_final(engine: Engine, tmp_path: Path) -> None:
    loads.check_other_outcome(engine, tmp_path)


@pytest.mark.parametrize("kind", loads.BAD)
def test_a_bad_row_is_named_and_nothing_is_half_loaded(engine: Engine, tmp_path: Path, kind: str) -> None:
    loads.check_bad_row(engine, tmp_path, kind)


def test_columns_that_the_table_lacks_are_refused(engine: Engine, tmp_path: Path) -> None:
    loads.check_unknown_column(engine, tmp_path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("series,at,f1", "column 'id' is missing"),
        ("id,f1", "column 'at' is missing"),
        ("id,at,f1,f1", "column 'f1' stands twice"),
        ("id,at,f-1", "column 'f-1': the first row must name the columns"),
        ("", "the first row must name|column 'id' is missing"),
    ],
)
def test_a_header_must_name_the_columns(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        SampleFile(loads.write(tmp_path / "file.csv", header=header))


def test_a_file_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file or directory: name a readable CSV file"):
        SampleFile(tmp_path / "nowhere.csv")
    for name, data in {"latin.csv": b"id,at\n\xe4,2024", "cut.csv.gz": b"\x1f\x8b\x08\x00"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceError, match=name):
            list(SampleFile(tmp_path / name).chunks(parsed=True))


def test_a_spreadsheet_s_byte_order_mark_and_line_ends_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"\xef\xbb\xbfid,at,f1\r\na,2024-01-01T00:00:00Z,1\r\n")
    (chunk,) = SampleFile(path).chunks(parsed=True)
    assert chunk.rows == [["a", "2024-01-01T00:00:00Z", "1"]]
    assert chunk.position == path.stat().st_size
