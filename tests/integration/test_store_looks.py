"""The looks on PostgreSQL."""

import pytest
from tests.unit.store.drift_looks import assert_drift_agrees
from tests.unit.store.looks import CASES, assert_looks_agree

from perennial_contract.samples import Decision


@pytest.mark.parametrize(("seed", "decision"), CASES)
async def test_looks_equal_the_row_by_row_reference(postgres_url: str, seed: int, decision: Decision) -> None:
    await assert_looks_agree(postgres_url, seed, decision)


@pytest.mark.parametrize("seed", [1, 2])
async def test_features_are_counted_as_row_by_row(postgres_url: str, seed: int) -> None:
    await assert_drift_agrees(postgres_url, seed)
