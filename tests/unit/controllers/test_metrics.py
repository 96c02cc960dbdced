"""Series on /metrics: there while their object is, and never a zero for what is not known."""

from datetime import UTC, datetime

from perennial.adapters.metrics import Metrics
from perennial.api.model_deployment_status import (
    CanaryStatus,
    Evidence,
    HealthStatus,
    Interval,
    ModelDeploymentStatus,
)
from perennial.api.retrain_policy import Plan, PlannedJob, RetrainPolicyStatus

NOW = datetime(2026, 1, 5, tzinfo=UTC)
RATE = Interval(value=0.45, lower=0.44, upper=0.46, outcomes=3000, effective_outcomes=900)
HEALTH = HealthStatus(state="Degraded", win_rate=RATE, samples=3100, resolved=3000, overdue=1, late=0)
CANARY = CanaryStatus(
    version="m-v2", uid="u", weight=0.25, started_at=NOW, step_started_at=NOW, evidence=Evidence(pairs=10, e_value=3.0)
)
MODEL = 'name="m",namespace="ns"'


def series(metrics: Metrics, about: str = "") -> dict[str, float]:
    """Name and labels → value, of everything about an object."""
    lines = [line for line in metrics.exposition().decode().splitlines() if not line.startswith("#")]
    pairs = [line.rsplit(" ", 1) for line in lines if about in line]
    return {name: float(value) for name, value in pairs if not name.split("{")[0].endswith(("_created", "_bucket"))}


def test_a_model_s_gauges_say_what_is_known() -> None:
    metrics = Metrics()
    metrics.show_model("ns", "m", ModelDeploymentStatus(health=HEALTH, canary=CANARY))
    found = series(metrics, MODEL)
    assert found[f"perennial_model_win_rate{{{MODEL}}}"] == 0.45
    assert found[f'perennial_model_health{{{MODEL},state="Degraded"}}'] == 1
    assert found[f'perennial_model_health{{{MODEL},state="Healthy"}}'] == 0
    assert found[f"perennial_canary_weight_ratio{{{MODEL}}}"] == 0.25
    assert found[f"perennial_canary_evidence{{{MODEL}}}"] == 3
    assert f"perennial_model_brier_score{{{MODEL}}}" not in found


def test_what_is_no_longer_known_has_no_series() -> None:
    metrics = Metrics()
    metrics.show_model("ns", "m", ModelDeploymentStatus(health=HEALTH, canary=CANARY))
    metrics.show_model("ns", "m", ModelDeploymentStatus())
    found = series(metrics, MODEL)
    assert {name.split("{")[0] for name in found} == {"perennial_model_health", "perennial_canary_weight_ratio"}
    assert found[f'perennial_model_health{{{MODEL},state="Unknown"}}'] == 1


def test_a_policy_s_jobs_are_counted_by_state() -> None:
    metrics = Metrics()
    jobs = [
        PlannedJob(model=m, priority="High", trigger="Health", reason="R", state=state, estimated_seconds=1)
        for m, state in (("a", "Running"), ("b", "Waiting"), ("c", "Waiting"))
    ]
    plan = Plan(id="plan-20260105-000000", created_at=NOW, estimated_duration="1s", jobs=jobs)
    metrics.show_policy("ns", "p", RetrainPolicyStatus(plan=plan))
    found = {name.split("state=")[1]: value for name, value in series(metrics, 'name="p"').items()}
    assert found == {'"Waiting"}': 2, '"Running"}': 1, '"Planned"}': 0, '"Done"}': 0}


def test_all_series_of_an_object_end_with_it_and_no_other_s() -> None:
    metrics = Metrics()
    nothing = series(metrics)
    for name in ("m", "other"):
        metrics.show_model("ns", name, ModelDeploymentStatus(health=HEALTH, canary=CANARY))
        metrics.count(("ModelDeployment", "ns", name), metrics.verdicts, "Deploy")
        metrics.time_training("ns", name, "Succeeded", 12.0)
    metrics.show_policy("ns", "m", RetrainPolicyStatus())
    others = series(metrics, 'name="other"')
    metrics.forget("ModelDeployment", "ns", "m")
    assert {name.split("{")[0] for name in series(metrics, MODEL)} == {"perennial_plan_jobs"}
    assert series(metrics, 'name="other"') == others
    metrics.forget("RetrainPolicy", "ns", "m")
    metrics.forget("ModelDeployment", "ns", "other")
    assert series(metrics) == nothing
    metrics.forget("ModelDeployment", "ns", "never-seen")
