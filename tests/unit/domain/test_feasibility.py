"""Feasibility, one row a case: minimums beside the outcomes that come."""

from typing import Any

import pytest

from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.retrain_policy import Promotion, Training
from perennial.domain.feasibility import decide_feasible

BTC = 168 / 7


def deployment(**spec: Any) -> ModelDeploymentSpec:
    secret = {"name": "samples-store", "key": "url"}
    given = {
        "algorithm": {"name": "xgboost"},
        "samples": {"readUrlFrom": secret, "writeUrlFrom": secret, "labelDelay": "5h"},
        "rollback": {"window": "14d"},
    }
    return ModelDeploymentSpec.model_validate(given | spec)


def _rows(least: int) -> Training:
    return Training.model_validate({"holdout": {"minRows": least}})


@pytest.mark.parametrize(
    ("spec", "per_day", "more", "status", "reason", "message"),
    [
        pytest.param(
            deployment(),
            None,
            {},
            "Unknown",
            "ArrivalUnknown",
            "no outcomes have been counted",
            id="nothing counted yet",
        ),
        pytest.param(
            deployment(), BTC, {}, "True", "Reachable", "24 outcomes a day", id="BTC hours, each an independent outcome"
        ),
        pytest.param(
            deployment(), 0.0, {}, "False", "HealthOutOfReach", "which brings 0", id="outcomes have stopped coming"
        ),
        pytest.param(
            deployment(),
            BTC,
            {"effective_share": 0.2},
            "False",
            "HealthOutOfReach",
            "health.minOutcomes 200 cannot be reached within health.window, which brings 143: lengthen health.window "
            "by 12d, or lower health.minOutcomes; canary.minOutcomes 300",
            id="BTC hours, five to an outcome: all that is short is named",
        ),
        pytest.param(
            deployment(rollback={}),
            BTC,
            {},
            "False",
            "RollbackOutOfReach",
            "rollback.minPairs 200 cannot be reached within rollback.window, which brings 67",
            id="three days are short for 200 pairs an hour apart",
        ),
        pytest.param(
            deployment(canary={"maxDuration": "10d"}),
            BTC,
            {},
            "False",
            "CanaryOutOfReach",
            "by 3d",
            id="a short canary",
        ),
        pytest.param(
            deployment(canary={"minStepDuration": "30d"}),
            BTC,
            {},
            "False",
            "CanaryTooShort",
            "canary.steps take 90d, canary.maxDuration is 60d",
            id="steps that take longer than the canary may",
        ),
        pytest.param(
            deployment(),
            BTC,
            {"training": Training(), "promotion": Promotion()},
            "True",
            "Reachable",
            "",
            id="a holdout of a fifth of two years",
        ),
        pytest.param(
            deployment(),
            BTC,
            {"training": Training(data_window="90d"), "promotion": Promotion()},
            "False",
            "HoldoutOutOfReach",
            "promotion.minOutcomes 500 cannot be reached within training.dataWindow, which brings 431",
            id="a holdout of a fifth of three months",
        ),
        pytest.param(
            deployment(),
            BTC,
            {"training": Training(data_windows={"Health": "60d"}), "promotion": Promotion()},
            "False",
            "HoldoutOutOfReach",
            "which brings 287",
            id="the shortest window of any trigger counts",
        ),
        pytest.param(
            deployment(health={"minOutcomes": 20}, canary={"minOutcomes": 20}, rollback={"minPairs": 20}),
            BTC,
            {"effective_share": 0.5, "training": _rows(4000), "promotion": Promotion(min_outcomes=100)},
            "False",
            "HoldoutOutOfReach",
            "training.holdout.minRows 4000 cannot be reached within training.dataWindow, which brings 3503",
            id="rows of the holdout are rows, whatever each is worth",
        ),
    ],
)
def test_feasibility(
    spec: ModelDeploymentSpec, per_day: float | None, more: dict[str, Any], status: str, reason: str, message: str
) -> None:
    seen = decide_feasible(spec, per_day, **more)
    assert (seen.status, seen.reason) == (status, reason)
    assert message in seen.message
