"""Series on /metrics: there while their object is, and never a zero for what is not known."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from perennial.adapters.metrics import Metrics
from perennial.api.conditions import ConditionStatus, with_condition
from perennial.api.model_deployment_status import (
    CanaryStatus,
    DriftStatus,
    EarlyEstimate,
    Evidence,
    FeatureDrift,
    HealthStatus,
    Interval,
    ModelDeploymentStatus,
    RegimeStatus,
)
from perennial.api.retrain_policy import Plan, PlannedJob, RetrainPolicyStatus

NOW = datetime(2026, 1, 5, tzinfo=UTC)
RATE = Interval(value=0.45, lower=0.44, upper=0.46, outcomes=3000, effective_outcomes=900)
HEALTH = HealthStatus(
    state="Degraded",
    win_rate=RATE,
    brier=0.26,
    calibration_error=0.07,
    early_estimate=EarlyEstimate(win_rate=0.53, predictions=110, calibrated=True),
    samples=3110,
    resolved=3000,
    overdue=11,
    late=5,
)
CANARY = CanaryStatus(
    version="m-v2",
    uid="u",
    weight=0.25,
    observed_weight=0.24,
    started_at=NOW,
    step_started_at=NOW,
    evidence=Evidence(pairs=10, effective_pairs=7, e_value=3.0, harm=0.5),
)
DRIFT = DriftStatus(state="Suspected", features=[FeatureDrift(name="x", psi=0.5, q_value=0.01, sign="PSI")])
REGIME = RegimeStatus(
    state="Changed",
    current="Turbulent",
    trained_on="Calm",
    candidate="Turbulent",
    candidate_since=NOW - timedelta(hours=6),
    evidence_until=NOW,
)
STATUS = ModelDeploymentStatus(
    health=HEALTH,
    drift=DRIFT,
    regime=REGIME,
    canary=CANARY,
    conditions=with_condition([], "StoreReady", "True", "Answers", "", generation=1, now=NOW),
)
MODEL = 'name="m",namespace="ns"'


def series(metrics: Metrics, about: str = "") -> dict[str, float]:
    """Name and labels → value, of everything about an object."""
    lines = [line for line in metrics.exposition().decode().splitlines() if not line.startswith("#")]
    pairs = [line.rsplit(" ", 1) for line in lines if about in line]
    return {name: float(value) for name, value in pairs if not name.split("{")[0].endswith(("_created", "_bucket"))}


def test_a_model_s_gauges_say_what_is_known() -> None:
    metrics = Metrics()
    metrics.show_model("ns", "m", STATUS)
    assert {name.replace(MODEL, ""): value for name, value in series(metrics, MODEL).items()} == {
        'perennial_model_health{,state="Healthy"}': 0,
        'perennial_model_health{,state="Degraded"}': 1,
        'perennial_model_health{,state="Critical"}': 0,
        'perennial_model_health{,state="Unknown"}': 0,
        "perennial_model_win_rate{}": 0.45,
        "perennial_model_win_rate_lower{}": 0.44,
        "perennial_model_win_rate_upper{}": 0.46,
        "perennial_model_effective_outcomes{}": 900,
        "perennial_model_calibration_error{}": 0.07,
        "perennial_model_brier_score{}": 0.26,
        'perennial_model_drift{,state="None"}': 0,
        'perennial_model_drift{,state="Suspected"}': 1,
        'perennial_model_drift{,state="Drifting"}': 0,
        'perennial_model_drift{,state="Unknown"}': 0,
        'perennial_feature_psi{feature="x",}': 0.5,
        "perennial_early_win_rate{}": 0.53,
        "perennial_store_ready{}": 1,
        "perennial_samples{}": 3110,
        "perennial_samples_resolved{}": 3000,
        "perennial_samples_overdue{}": 11,
        "perennial_samples_late{}": 5,
        'perennial_regime{,state="Calm"}': 0,
        'perennial_regime{,state="Normal"}': 0,
        'perennial_regime{,state="Turbulent"}': 1,
        "perennial_regime_candidate_seconds{}": 6 * 3600,
        "perennial_canary_weight_ratio{}": 0.25,
        "perennial_canary_observed_weight_ratio{}": 0.24,
        "perennial_canary_evidence{}": 3,
        "perennial_canary_harm{}": 0.5,
        "perennial_canary_pairs{}": 10,
    }


def test_the_worst_features_alone_have_a_series() -> None:
    metrics = Metrics()
    metrics.show_model("ns", "m", STATUS)
    others = DRIFT.model_copy(update={"features": [FeatureDrift(name="y", psi=0.1, q_value=1)]})
    metrics.show_model("ns", "m", STATUS.model_copy(update={"drift": others}))
    assert [name for name in series(metrics, MODEL) if "feature=" in name] == [
        f'perennial_feature_psi{{feature="y",{MODEL}}}'
    ]
    metrics.show_model("ns", "m", STATUS.model_copy(update={"drift": None}))
    assert not [name for name in series(metrics, MODEL) if "feature=" in name or "drift" in name]


def test_every_gauge_of_an_object_is_looked_at_here() -> None:
    metrics, described = Metrics(), Metrics().exposition().decode()
    metrics.show_model("ns", "m", STATUS)
    metrics.show_policy("ns", "p", RetrainPolicyStatus())
    gauges = set(re.findall(r"^# TYPE (\S+) gauge$", described, re.MULTILINE))
    shown = {name.split("{")[0] for name in series(metrics, "name=")}
    assert {name for name in gauges if not name.endswith("_created")} == shown


@pytest.mark.parametrize(("status", "value"), [("False", 0), ("Unknown", 0)])
def test_a_store_that_gives_no_answer_is_not_ready(status: ConditionStatus, value: int) -> None:
    metrics = Metrics()
    conditions = with_condition([], "StoreReady", status, "R", "", generation=1, now=NOW)
    metrics.show_model("ns", "m", ModelDeploymentStatus(conditions=conditions))
    assert series(metrics, MODEL)[f"perennial_store_ready{{{MODEL}}}"] == value


def test_a_regime_without_a_candidate_has_none_that_lasts_and_in_between_none_holds() -> None:
    metrics = Metrics()
    between = RegimeStatus(state="AsTrained", trained_on="Calm", evidence_until=NOW)
    metrics.show_model("ns", "m", ModelDeploymentStatus(regime=between))
    found = {name: value for name, value in series(metrics, MODEL).items() if "regime" in name}
    assert len(found) == 4
    assert set(found.values()) == {0}


@pytest.mark.parametrize("regime", [None, RegimeStatus(**{**REGIME.model_dump(), "state": "Unknown"})])
def test_a_regime_that_is_not_known_has_no_series(regime: RegimeStatus | None) -> None:
    metrics = Metrics()
    metrics.show_model("ns", "m", STATUS)
    metrics.show_model("ns", "m", ModelDeploymentStatus(regime=regime))
    assert not [name for name in series(metrics, MODEL) if "regime" in name]


def test_what_happens_is_counted_under_its_labels() -> None:
    metrics, owner = Metrics(), ("ModelDeployment", "ns", "m")
    for label, times in (("Schedule", 1), ("Health", 2)):
        for _ in range(times):
            metrics.count(owner, metrics.triggers, label)
    for _ in range(3):
        metrics.count(owner, metrics.verdicts, "Keep")
    for _ in range(4):
        metrics.count(owner, metrics.promotions, "Pin")
    for _ in range(5):
        metrics.count(owner, metrics.rollbacks)
    for result, seconds in (("Succeeded", 12.0), ("Succeeded", 8.0), ("Failed", 7.5)):
        metrics.time_training("ns", "m", result, seconds)
    assert {name.replace(MODEL, ""): value for name, value in series(metrics, MODEL).items()} == {
        'perennial_triggers_total{,type="Schedule"}': 1,
        'perennial_triggers_total{,type="Health"}': 2,
        'perennial_verdicts_total{decision="Keep",}': 3,
        'perennial_promotions_total{,reason="Pin"}': 4,
        "perennial_rollbacks_total{}": 5,
        'perennial_training_seconds_count{,result="Succeeded"}': 2,
        'perennial_training_seconds_sum{,result="Succeeded"}': 20,
        'perennial_training_seconds_count{,result="Failed"}': 1,
        'perennial_training_seconds_sum{,result="Failed"}': 7.5,
    }


def test_gauges_end_when_nobody_looks_and_counts_stay() -> None:
    metrics = Metrics()
    metrics.show_model("ns", "m", STATUS)
    metrics.count(("ModelDeployment", "ns", "m"), metrics.verdicts, "Deploy")
    metrics.hide("ModelDeployment", "ns", "m")
    assert {name.split("{")[0] for name in series(metrics, MODEL)} == {"perennial_verdicts_total"}
    metrics.show_model("ns", "m", STATUS)
    assert series(metrics, MODEL)[f"perennial_model_win_rate{{{MODEL}}}"] == 0.45


def test_what_is_no_longer_known_has_no_series() -> None:
    metrics = Metrics()
    metrics.show_model("ns", "m", STATUS)
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
        metrics.show_model("ns", name, STATUS)
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
