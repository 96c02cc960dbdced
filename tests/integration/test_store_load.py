"""Loading files into PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.unit.store import loads

from perennial.adapters.store.engine import open_engine


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = open_engine(postgres_url)
    yield engine
    engine.dispose()


def test_files_load_once_however_often(engine: Engine, tmp_path: Path) -> None:
    loads.check_loading(engine, tmp_path)


def test_an_outcome_may_come_before_its_sample(engine: Engine, tmp_path: Path) -> None:
    loads.check_early_outcome(engine, tmp_path)


def test_an_outcome_is_final(engine: Engine, tmp_path: Path) -> None:
    loads.check_other_outcome(engine, tmp_path)


@pytest.mark.parametrize("kind", loads.BAD)
def test_a_bad_row_is_named_and_nothing_is_half_loaded(engine: Engine, tmp_path: Path, kind: str) -> None:
    loads.check_bad_row(engine, tmp_path, kind)


def test_columns_that_the_table_lacks_are_refused(engine: Engine, tmp_path: Path) -> None:
    loads.check_unknown_column(engine, tmp_path)
