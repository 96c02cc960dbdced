"""A faulty spec is told in its author's words: the field as in YAML, the value, the fix."""

from typing import Any

import pytest

from perennial.api.base import Spec
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_version import ModelVersionSpec
from perennial.api.retrain_policy import RetrainPolicySpec
from perennial.api.validation import InvalidSpec, not_implemented, parse_spec

SAMPLES = {
    "readUrlFrom": {"name": "samples-store", "key": "read"},
    "writeUrlFrom": {"name": "samples-store", "key": "write"},
    "labelDelay": "5h",
}
MODEL = {"algorithm": {"name": "xgboost"}, "samples": SAMPLES}


def messages(kind: type[Spec], raw: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(kind, raw)
    assert str(caught.value) == "; ".join(caught.value.messages)
    assert "\n" not in str(caught.value)
    return caught.value.messages


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"canarry": {}}, "spec.canarry: unknown field: did you mean canary?"),
        ({"canary": {"minOutcome": 3}}, "spec.canary.minOutcome: unknown field: did you mean minOutcomes?"),
        (
            {"rollback": {"x": 1}},
            "spec.rollback.x: unknown field: known here are minPairs, window",
        ),
        (
            {"traffic": {"provider": "GatewayAPI", "gatewayAPI": {"parentRefs": [{"name": "a", "nam": "b"}]}}},
            "spec.traffic.gatewayAPI.parentRefs[0].nam: unknown field: did you mean name?",
        ),
        (
            {"canary": {"steps": [0.5, 0.1]}},
            "spec.canary.steps: [0.5, 0.1] does not rise: write e.g. [0.1, 0.25, 0.5]",
        ),
        ({"canary": {"steps": [0.5, 1.5]}}, "spec.canary.steps[1]: 1.5 should be less than 1"),
        ({"canary": {"steps": []}}, "spec.canary.steps: [] should have at least 1 item, not 0"),
        (
            {"traffic": {"provider": "GatewayAPI"}},
            "spec.traffic.gatewayAPI: nothing is set: name the Gateway in gatewayAPI.parentRefs",
        ),
        (
            {"server": {"outcomes": {"port": 8080, "tokenFrom": {"name": "t", "key": "k"}}}},
            "spec.server.outcomes.port: 8080 is the port of inference too: set another outcomes.port",
        ),
        (
            {"health": {"window": "5h"}},
            "spec.health.window: 5h leaves no time for outcomes, which take samples.labelDelay (5h): make it longer",
        ),
        (
            {"server": {"resources": {"limits": {"cpu": "two"}}}},
            "spec.server.resources.limits.cpu: 'two' is no quantity: write a number or text such as 500m or 4Gi",
        ),
        ({"interval": "0m"}, "spec.interval: 0s is too short: write a duration above zero, as in 5m"),
        (
            {"interval": "5 minutes"},
            "spec.interval: '5 minutes' is not a duration: write whole numbers with units, as in 30s, 5m, 2h or 3d",
        ),
        ({"server": []}, "spec.server: [] should be an object, with fields of its own"),
        (
            {"artifacts": {"claimName": "a", "url": "s3://bucket/b"}},
            "spec.artifacts.url: s3://bucket/b is set and claimName (a) too: remove one of the two",
        ),
        ({"samples": SAMPLES | {"labelDelay": "0s"}}, "spec.samples.labelDelay: 0s is too short"),
        (
            {"samples": SAMPLES | {"features": ["ret_1", "target"]}},
            "spec.samples.features: 'target' is a reserved column, not a feature: remove it",
        ),
        (
            {"samples": SAMPLES | {"features": ["ret_1", "ret_1"]}},
            "spec.samples.features: 'ret_1' is listed twice: list each feature once",
        ),
        (
            {"samples": SAMPLES | {"predictionsTable": "samples"}},
            "spec.samples.predictionsTable: samples is the samples' table: name another one",
        ),
        (
            {"algorithm": {"name": "prophet"}},
            "spec.algorithm.name: \"prophet\" should be 'xgboost', 'lightgbm', 'nhits' or 'patchtst'",
        ),
        ({"regime": {"column": "target"}}, "spec.regime.column: 'target' is a reserved column"),
    ],
)
def test_a_model_deployment_s_fault_is_named_with_its_fix(fault: dict[str, Any], message: str) -> None:
    (found,) = messages(ModelDeploymentSpec, MODEL | fault)
    assert found.startswith(message)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            {"promotion": {"canaryAbove": 0.1}},
            "spec.promotion.canaryAbove: 0.1 exceeds deployAbove (0.05): lower canaryAbove or raise deployAbove",
        ),
        (
            {"promotion": {"metric": {"weights": {"winRate": 1}}}},
            "spec.promotion.metric.weights: {'winRate': 1.0} goes with metric.type Composite, not WinRate: remove",
        ),
        ({"triggers": {"schedule": {}}}, "spec.triggers.schedule.every: neither every nor cron is set"),
        (
            {"triggers": {"schedule": {"every": "1d", "cron": "0 8 * * *"}}},
            "spec.triggers.schedule.every: both every and cron are set: set one of the two",
        ),
        (
            {"triggers": {"schedule": {"every": "1d", "timeZone": "Europe/Oslo"}}},
            "spec.triggers.schedule.timeZone: Europe/Oslo goes with cron: remove it, or use cron instead of every",
        ),
        (
            {"triggers": {"schedule": {"cron": "0 8 * * *", "timeZone": "Oslo"}}},
            "spec.triggers.schedule.timeZone: 'Oslo' is no known time zone: use an IANA name such as Europe/Oslo",
        ),
        (
            {"triggers": {"schedule": {"cron": "61 8 * * *"}}},
            "spec.triggers.schedule.cron: '61 8 * * *' is no cron expression (Bad minute): write minute hour day",
        ),
        (
            {"triggers": {"schedule": {"cron": "0 0 31 2 *"}}},
            "spec.triggers.schedule.cron: '0 0 31 2 *' is no cron expression",
        ),
        (
            {"training": {"dataWindows": {"Regim": "180d"}}},
            "spec.training.dataWindows.Regim: \"Regim\" should be 'Missing', 'Health',",
        ),
        (
            {"selector": {"matchExpressions": [{"key": "book", "operator": "In"}]}},
            "spec.selector.matchExpressions[0].values: nothing is set, and In needs values: list them",
        ),
    ],
)
def test_a_policy_s_fault_is_named_with_its_fix(fault: dict[str, Any], message: str) -> None:
    (found,) = messages(RetrainPolicySpec, fault)
    assert found.startswith(message)


def test_every_fault_is_reported_at_once() -> None:
    raw = {"algorithm": {"name": "xgboost"}, "samples": {"labelDelay": "5"}, "pausd": True}
    found = messages(ModelDeploymentSpec, raw)
    assert [message.split(":")[0] for message in found] == [
        "spec.samples.labelDelay",
        "spec.samples.readUrlFrom",
        "spec.samples.writeUrlFrom",
        "spec.pausd",
    ]


def test_names_are_those_of_the_yaml_alone() -> None:
    found = messages(ModelDeploymentSpec, MODEL | {"version_history_limit": 5})
    assert found == ("spec.version_history_limit: unknown field: did you mean versionHistoryLimit?",)


def test_a_long_value_is_cut() -> None:
    (found,) = messages(RetrainPolicySpec, {"mode": "x" * 5000})
    assert len(found) < 130


def test_an_absent_spec_is_one_without_fields() -> None:
    assert parse_spec(RetrainPolicySpec, None) == RetrainPolicySpec()
    assert len(messages(ModelDeploymentSpec, {})) == 2


def test_quantities_may_be_numbers() -> None:
    spec = parse_spec(ModelDeploymentSpec, MODEL | {"server": {"resources": {"limits": {"cpu": 2, "memory": "1Gi"}}}})
    assert spec.server.resources is not None
    assert spec.server.resources.limits == {"cpu": "2", "memory": "1Gi"}


def test_probation_is_never_shorter_than_four_label_delays() -> None:
    assert str(parse_spec(ModelDeploymentSpec, MODEL).probation) == "3 days, 0:00:00"
    slow = parse_spec(ModelDeploymentSpec, MODEL | {"samples": SAMPLES | {"labelDelay": "1d"}})
    assert str(slow.probation) == "4 days, 0:00:00"


GATEWAY = {"provider": "GatewayAPI", "gatewayAPI": {"parentRefs": [{"name": "public"}]}}


@pytest.mark.parametrize(
    ("kind", "raw", "fields"),
    [
        (ModelDeploymentSpec, MODEL, []),
        (ModelDeploymentSpec, MODEL | {"algorithm": {"name": "nhits", "members": 4}}, []),
        (ModelDeploymentSpec, MODEL | {"traffic": GATEWAY}, ["spec.traffic.provider"]),
        (ModelDeploymentSpec, MODEL | {"drift": {}, "regime": {"column": "ret_1"}}, []),
        (ModelDeploymentSpec, MODEL | {"health": {"falseAlarmEvery": "30d"}}, []),
        (ModelDeploymentSpec, MODEL | {"rollback": {"window": "9d", "minPairs": 50}}, []),
        (
            ModelDeploymentSpec,
            MODEL | {"artifacts": {"claimName": "models", "deletionPolicy": "Delete"}},
            ["spec.artifacts.deletionPolicy"],
        ),
        (RetrainPolicySpec, {}, []),
        (RetrainPolicySpec, {"triggers": {"schedule": {"every": "1d"}, "health": {}, "newSamples": {}}}, []),
        (RetrainPolicySpec, {"triggers": {"drift": {}}}, []),
        (RetrainPolicySpec, {"triggers": {"regime": {}}, "training": {"dataWindows": {"Regime": "180d"}}}, []),
        (RetrainPolicySpec, {"promotion": {"metric": {"type": "Composite"}}}, ["spec.promotion.metric.type"]),
        (ModelVersionSpec, {"modelDeployment": "m"}, []),
        (
            ModelVersionSpec,
            {"modelDeployment": "m", "promotion": {"metric": {"type": "Composite"}}},
            ["spec.promotion.metric.type"],
        ),
    ],
)
def test_what_has_no_effect_yet_is_said(kind: type[Spec], raw: dict[str, Any], fields: list[str]) -> None:
    assert [message.split(":")[0] for message in not_implemented(parse_spec(kind, raw))] == fields
