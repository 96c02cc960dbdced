"""Loading files into PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.unit.store import loads

from perennial.adapters.store.engine import open_engine
from perennial.adapters.store.load import Loaded, load_files
from perennial.adapters.store.source import SourceError


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = open_engine(postgres_url)
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


@pytest.mark.parametrize("kind", ["real", "numeric(12, 4)"])
def test_an_outcome_is_compared_as_its_column_holds_it(engine: Engine, tmp_path: Path, kind: str) -> None:
    file = loads.write(tmp_path / "file.csv", *loads.GOOD, "d,BTC,2024-01-01T03:00:00Z,1,1,1,0.0123456789,")
    load_files(engine, [file])
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE samples ALTER COLUMN reward TYPE {kind}"))
    assert load_files(engine, [file]) == Loaded(rows=4, known=4)
    other = loads.write(tmp_path / "other.csv", loads.GOOD[0].replace("0.01", "0.02"))
    with pytest.raises(SourceError, match=r"row 2: reward = 0\.020* of 'a', recorded is 0\.01"):
        load_files(engine, [other])
