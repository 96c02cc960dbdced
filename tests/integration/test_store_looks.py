"""The looks on PostgreSQL."""

import pytest
from tests.unit.store.looks import CASES, assert_looks_agree

from perennial_contract.samples import Decision


@pytest.mark.parametrize(("seed", "decision"), CASES)
async def test_looks_equal_the_row_by_row_reference(postgres_url: str, seed: int, decision: Decision) -> None:
    await assert_looks_agree(postgres_url, seed, decision)
