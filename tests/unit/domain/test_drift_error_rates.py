"""The error rates that drift promises, at a size for every day; `make simulate` shows them at a size that decides."""

import pytest
from scipy.stats import binomtest
from tests.simulate.drift import Process, false_alarms, power


@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_windows_in_which_nothing_changes_are_seldom_flagged(phi: float) -> None:
    seen = false_alarms(Process(phi), runs=10, seed=7, windows=4)
    assert binomtest(seen.suspected, seen.windows, 1 / seen.allowed, alternative="greater").pvalue > 0.001
    assert seen.entered == 0


@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_a_shift_by_one_standard_deviation_is_found_within_two_windows(phi: float) -> None:
    seen = power(Process(phi), runs=15, seed=8)
    assert binomtest(seen.drifting, seen.runs, 0.9, alternative="less").pvalue > 0.001
    assert seen.drifting >= 10
