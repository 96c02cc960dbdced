"""Models as a policy sees them: quiet ones, to be disturbed by a test."""

from datetime import UTC, datetime, timedelta
from typing import Any

from perennial.api.model_deployment_status import HealthStatus, Interval
from perennial.api.model_version import Phase, Trigger
from perennial.api.retrain_policy import RetrainPolicySpec
from perennial.domain.evidence import SampleCounts
from perennial.domain.triggers import InFlight, ModelView

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CREATED = NOW - timedelta(days=60)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVIDENCE = NOW - 5 * HOUR
POLICY = "spot-book"


def counts(resolved_since: int) -> SampleCounts:
    return SampleCounts(50_000, 49_000, NOW, NOW, resolved_since, CREATED, NOW - 5 * HOUR)


def model(name: str = "m", **changes: Any) -> ModelView:
    """Stable, well, last trained ten days ago, with plenty of outcomes since."""
    given: dict[str, Any] = {
        "name": name,
        "uid": f"uid-{name}",
        "created_at": CREATED,
        "min_outcomes": 200,
        "next_version": f"{name}-v2",
        "health": HealthStatus(state="Healthy", reason="WithinLimits", trend="Stable"),
        "versions_exist": True,
        "has_stable": True,
        "starts": (NOW - 10 * DAY,),
        "counts": counts(3000),
        "last_evidence_until": NOW - 10 * DAY,
    }
    return ModelView(**(given | changes))


def health(state: str, win_rate: float = 0.45, trend: str = "Stable") -> HealthStatus:
    return HealthStatus.model_validate(
        {
            "state": state,
            "reason": "WinRateBelowMinimum",
            "message": f"win rate {win_rate:.1%}",
            "trend": trend,
            "win_rate": Interval(
                value=win_rate, lower=win_rate, upper=win_rate, outcomes=3000, effective_outcomes=2000
            ),
            "evidence_until": EVIDENCE,
        }
    )


def poor(name: str = "m", win_rate: float = 0.45, **changes: Any) -> ModelView:
    return model(name, health=health("Degraded", win_rate), **changes)


def in_flight(name: str, phase: Phase, **trigger: Any) -> InFlight:
    given = {"type": "Health", "priority": "High", "reason": "HealthDegraded", "policy": POLICY, "plan": None}
    return InFlight(name, phase, Trigger(**(given | trigger)))


def policy(**spec: Any) -> RetrainPolicySpec:
    return RetrainPolicySpec.model_validate({"triggers": {"health": {}}} | spec)
