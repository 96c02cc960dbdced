"""What a status looks like in the API: nothing that an API server refuses, and nothing that changes by itself."""

from datetime import UTC, datetime, timedelta

from perennial.api.model_deployment_status import HealthStatus, Interval, ModelDeploymentStatus
from perennial.api.shared import Condition

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def test_figures_have_six_digits_so_that_noise_is_not_written() -> None:
    one = Interval(value=0.1 + 0.2, lower=1 / 3, upper=12_345_678.9, outcomes=7, effective_outcomes=2)
    assert one.to_dict() == {
        "value": 0.3,
        "lower": 0.333333,
        "upper": 12345700.0,
        "outcomes": 7,
        "effectiveOutcomes": 2.0,
    }


def test_what_cannot_be_said_in_the_api_is_absent() -> None:
    health = HealthStatus(profit_factor=float("inf"), brier=float("nan"), mean_confidence=0.0)
    found = ModelDeploymentStatus(health=health).to_dict()["health"]
    assert found == {"state": "Unknown", "reason": "NotLookedYet", "trend": "Unknown", "meanConfidence": 0.0}


def test_what_was_written_is_read_back_the_same() -> None:
    conditions = [Condition(type="Ready", status="True", reason="Serving", last_transition_time=NOW)]
    health = HealthStatus(window_from=NOW + timedelta(microseconds=5))
    written = ModelDeploymentStatus(observed_generation=2, health=health, conditions=conditions).to_dict()
    assert ModelDeploymentStatus.model_validate(written).to_dict() == written


def test_a_status_of_a_newer_operator_can_be_read() -> None:
    found = ModelDeploymentStatus.model_validate({"phase": "Stable", "invented": {"later": True}})
    assert found.to_dict()["phase"] == "Stable"
    assert "invented" not in found.to_dict()
