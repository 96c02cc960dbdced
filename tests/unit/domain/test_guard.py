"""The fast guard: bad answers take a canary out; few of them, or a slow node, do not."""

from collections.abc import Iterator

import numpy as np
import pytest

from perennial.api.traffic import Guard
from perennial.domain.guard import Served, decide_guard

FINE = Served(failed=3, slow=2, in_time=995)


@pytest.mark.parametrize(
    ("canary", "stable", "guard"),
    [
        pytest.param(None, FINE, {}, id="nothing is known"),
        pytest.param(FINE, FINE, {}, id="as good as stable"),
        pytest.param(Served(failed=99), FINE, {}, id="too few requests"),
        pytest.param(Served(failed=9, in_time=91), FINE, {}, id="over the limit, and not surely"),
        pytest.param(
            Served(slow=200, in_time=800), Served(slow=190, in_time=810), {}, id="a busy node slows the stable one too"
        ),
        pytest.param(Served(failed=300, in_time=700), FINE, {"maxErrorRatio": 0.5}, id="allowed"),
    ],
)
def test_a_canary_stays(canary: Served | None, stable: Served, guard: dict[str, object]) -> None:
    assert decide_guard(Guard.model_validate(guard), canary, stable) is None


@pytest.mark.parametrize(
    ("canary", "stable", "said"),
    [
        pytest.param(Served(failed=150, in_time=850), FINE, "150 failed and 0 took longer than 1 s", id="failures"),
        pytest.param(Served(slow=150, in_time=850), FINE, "0 failed and 150 took longer", id="slow answers"),
        pytest.param(Served(failed=60, slow=60, in_time=880), FINE, "surely more than 5.0%", id="both together"),
        pytest.param(Served(failed=30, in_time=70), None, "of 100 requests", id="nothing is known of stable"),
    ],
)
def test_a_canary_goes(canary: Served, stable: Served | None, said: str) -> None:
    found = decide_guard(Guard(), canary, stable)
    assert found is not None
    assert said in found


def test_looking_often_takes_no_canary_out_that_fails_as_often_as_stable() -> None:
    """Both fail at the very limit; a look every 50 requests, 200 looks, 1 000 canaries: under 1 % are taken out."""
    random = np.random.default_rng(7)
    guard = Guard()

    def looks() -> Iterator[tuple[Served, Served]]:
        failed = random.binomial(50, guard.max_error_ratio, size=(200, 2)).cumsum(axis=0)
        for number, (canary, stable) in enumerate(failed.tolist(), start=1):
            yield Served(canary, 0, 50 * number - canary), Served(stable, 0, 50 * number - stable)

    out = sum(any(decide_guard(guard, *look) for look in looks()) for _ in range(1000))
    assert out < 10
