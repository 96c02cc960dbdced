"""Fixtures that the trainer's tests share."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.trainer.workbench import Bench, Now, market


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Empty."""
    return Bench(tmp_path)


@pytest.fixture
def loaded(bench: Bench) -> Bench:
    """With a thousand hours in it."""
    return bench.fill(market(1_000))


@pytest.fixture
def now() -> Now:
    """The clock that a task is run with."""
    return lambda: datetime(2024, 6, 1, tzinfo=UTC)
