"""Fields that depend on others: CEL in the API server and validators in the models say the same."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.api.apiserver import defaulted, evaluate, faults
from tests.unit.api.cases import MINIMAL, SECRET, SPECS, at, merged, nodes, refused_by_api, refused_by_model

GATEWAY = {"parentRefs": [{"name": "public"}]}
# Each rule: where it stands, a value that it lets through, and one that it refuses.
RULES: list[tuple[str, str, str, Any, Any]] = [
    ("ModelDeployment", "samples", "features must not", {"features": ["ret_1"]}, {"features": ["ret_1", "reward"]}),
    ("ModelDeployment", "samples", "predictionsTable", {"table": "a"}, {"table": "predictions"}),
    ("ModelDeployment", "artifacts", "exactly one", {"claimName": "a"}, {"claimName": "a", "url": "s3://bucket/a"}),
    ("ModelDeployment", "artifacts", "exactly one", {"url": "s3://bucket/a"}, {"deletionPolicy": "Retain"}),
    (
        "ModelDeployment",
        "artifacts",
        "credentialsFrom goes",
        {"url": "s3://bucket", "credentialsFrom": {"name": "s"}},
        {"claimName": "a", "credentialsFrom": {"name": "s"}},
    ),
    (
        "ModelDeployment",
        "server",
        "outcomes.port",
        {"outcomes": {"tokenFrom": SECRET}},
        {"outcomes": {"port": 8080, "tokenFrom": SECRET}},
    ),
    (
        "ModelDeployment",
        "traffic",
        "gatewayAPI goes",
        {"provider": "GatewayAPI", "gatewayAPI": GATEWAY},
        {"gatewayAPI": GATEWAY},
    ),
    ("ModelDeployment", "traffic", "gatewayAPI goes", {"provider": "Replicas"}, {"provider": "GatewayAPI"}),
    ("ModelDeployment", "canary", "steps must rise", {"steps": [0.1, 0.2]}, {"steps": [0.1, 0.1]}),
    ("ModelDeployment", "canary", "steps must rise", {"steps": [0.5]}, {"steps": [0.1, 0.3, 0.2]}),
    (
        "ModelDeployment",
        "canary",
        "steps must rise",
        {"steps": [n / 100 for n in range(1, 21)]},
        {"steps": [*(n / 100 for n in range(1, 20)), 0.01]},
    ),
    ("ModelDeployment", "regime", "column must not", {"column": "ret_1"}, {"column": "target"}),
    ("RetrainPolicy", "triggers.schedule", "exactly one", {"every": "24h"}, {}),
    (
        "RetrainPolicy",
        "triggers.schedule",
        "exactly one",
        {"cron": "8 15 * * *"},
        {"every": "1d", "cron": "8 15 * * *"},
    ),
    (
        "RetrainPolicy",
        "triggers.schedule",
        "timeZone goes",
        {"cron": "8 15 * * *", "timeZone": "Europe/Oslo"},
        {"every": "24h", "timeZone": "Europe/Oslo"},
    ),
    ("RetrainPolicy", "promotion", "canaryAbove must", {"canaryAbove": 0.05}, {"canaryAbove": 0.051}),
    (
        "RetrainPolicy",
        "promotion",
        "metric.weights go",
        {"metric": {"type": "Composite", "weights": {"winRate": 1}}},
        {"metric": {"weights": {"winRate": 1}}},
    ),
    ("ModelVersion", "promotion", "canaryAbove must", {"deployAbove": 0.02}, {"deployAbove": 0.01}),
    (
        "ModelVersion",
        "promotion",
        "metric.weights go",
        {"metric": {"type": "Composite"}},
        {"metric": {"type": "AverageReward", "weights": {"winRate": 1}}},
    ),
]
REQUIREMENTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"operator": "In", "values": ["spot"]}, {"operator": "In"}),
    ({"operator": "NotIn", "values": ["spot"]}, {"operator": "NotIn", "values": []}),
    ({"operator": "Exists"}, {"operator": "Exists", "values": ["spot"]}),
    ({"operator": "DoesNotExist", "values": []}, {"operator": "DoesNotExist", "values": ["spot"]}),
]
RULES += [
    (
        "RetrainPolicy",
        "selector",
        "values go with",
        {"matchExpressions": [{"key": "book", **good}]},
        {"matchExpressions": [{"key": "book", **bad}]},
    )
    for good, bad in REQUIREMENTS
]


@pytest.mark.parametrize(("kind", "path", "message", "good", "bad"), RULES)
def test_a_rule_refuses_what_it_should_and_no_more(kind: str, path: str, message: str, good: Any, bad: Any) -> None:
    assert refused_by_api(kind, merged(MINIMAL[kind], at(path, good))) == []
    (fault,) = refused_by_api(kind, merged(MINIMAL[kind], at(path, bad)))
    assert message in fault


def test_every_rule_is_tried_both_ways() -> None:
    for kind, schema in SPECS.items():
        for path, node in nodes(schema):
            for rule in node.get("x-kubernetes-validations", []):
                tried = any(k == kind and path.startswith(f".{p}") and m in rule["message"] for k, p, m, _, _ in RULES)
                assert tried or "oldSelf" in rule["rule"], (kind, path, rule["message"])


def test_a_field_path_leads_to_a_field() -> None:
    for schema in SPECS.values():
        for _, node in nodes(schema):
            for rule in node.get("x-kubernetes-validations", []):
                found = node
                for name in filter(None, rule.get("fieldPath", "").split(".")):
                    found = found["properties"][name]


def test_a_version_s_spec_never_changes() -> None:
    schema = SPECS["ModelVersion"]
    before = defaulted(schema, {"modelDeployment": "btc", "training": {"resources": {"limits": {"cpu": 2}}}})
    assert faults(schema, before, old=before) == []
    after = merged(before, {"training": {"seed": 43}})
    assert faults(schema, after, old=before) == ["spec is immutable: create another ModelVersion"]


def test_the_evaluator_does_not_take_an_error_for_an_answer() -> None:
    with pytest.raises(ValueError, match="NOT_FOUND"):
        evaluate("self.absent == 1", {})
    with pytest.raises(RuntimeError, match="Syntax error"):
        evaluate("self ==", {})


def _products(path: str, **choices: list[Any]) -> Iterator[Any]:
    """Every combination of the choices below a path; None leaves a field out."""
    for values in itertools.product(*choices.values()):
        yield at(path, {key: value for key, value in zip(choices, values, strict=True) if value is not None})


DURATIONS = ["30s", "1d12h", "1h30m", "0s", "0d0h", "", "5", "m", "5 m", "-5m", "1.5h", "3h1d", "99999d", "100000d"]
QUANTITIES = [1, 0, "2", "500m", "1.5", "4Gi", "1e3", "", "two", "-1", "4gi", True, 0.5]
WEIGHTS = {"winRate": 1.0}
COMBINATIONS = [
    ("ModelDeployment", _products("server", port=[None, 8081, 1, 0], outcomes=[None, {"tokenFrom": SECRET}])),
    (
        "ModelDeployment",
        _products("traffic", provider=[None, "Replicas", "GatewayAPI", "Mesh"], gatewayAPI=[None, GATEWAY, {}]),
    ),
    (
        "ModelDeployment",
        _products(
            "artifacts",
            claimName=[None, "models", "Models"],
            url=[None, "s3://bucket/prefix", "file:///tmp"],
            credentialsFrom=[None, {"name": "s3"}],
        ),
    ),
    (
        "ModelDeployment",
        _products(
            "canary",
            steps=[
                None,
                [],
                [0.5],
                [0.1, 0.5],
                [0.5, 0.1],
                [0.1, 0.1],
                [0],
                [1],
                [0.2, 1.2],
                [n / 50 for n in range(21)],
            ],
        ),
    ),
    (
        "ModelDeployment",
        _products(
            "samples",
            features=[None, [], ["a"], ["a", "b"], ["a", "a"], ["at"], ["a b"], ["a" * 64]],
            table=[None, "samples", "predictions", "select", "a;b", "1a"],
            predictionsTable=[None, "samples", "p"],
        ),
    ),
    ("ModelDeployment", _products("regime", column=[None, "ret_1", "reward", "at", "a-b"], lookback=[None, 999])),
    ("ModelDeployment", _products("server.resources.limits", cpu=QUANTITIES)),
    ("ModelDeployment", ({"interval": text} for text in DURATIONS)),
    ("ModelDeployment", (at("rollback.window", text) for text in DURATIONS)),
    ("ModelDeployment", ({"version": name} for name in ("btc-v1", "BTC", "", "a" * 63, "a" * 64))),
    ("ModelDeployment", ({"surprise": 1}, {"canary": {"surprise": 1}}, at("algorithm.parameters.eta", 0.1))),
    ("ModelDeployment", (at("algorithm", {"name": name}) for name in ("lightgbm", "nhits", "prophet"))),
    (
        "RetrainPolicy",
        _products(
            "triggers.schedule",
            every=[None, "24h", "0h"],
            cron=[None, "8 15 * * *", "8 15 * *"],
            timeZone=[None, "Europe/Oslo"],
        ),
    ),
    (
        "RetrainPolicy",
        _products(
            "promotion",
            canaryAbove=[None, 0, 0.02, 0.05, 0.06, 1, -0.1],
            deployAbove=[None, 0, 0.01, 0.05, 10, 11],
            metric=[None, {}, {"type": "Composite"}, {"weights": WEIGHTS}, {"type": "Composite", "weights": WEIGHTS}],
        ),
    ),
    (
        "RetrainPolicy",
        (
            at("selector.matchExpressions", [merged({"key": "book"}, requirement)])
            for pair in REQUIREMENTS
            for requirement in pair
        ),
    ),
    ("RetrainPolicy", (at("training.dataWindows", {name: "180d"}) for name in ("Regime", "Drift", "regime"))),
    ("RetrainPolicy", (at("triggers.health.states", states) for states in ([], ["Critical"], ["Unknown"]))),
    ("ModelVersion", ({"modelDeployment": name} for name in ("btc", "1btc", "a" * 40, "a" * 41, ""))),
    ("ModelVersion", (at("trigger.evidenceUntil", "2026-03-01T12:00:00Z"), at("trigger.type", "Whim"))),
]


@pytest.mark.parametrize(
    ("kind", "change"), [(kind, change) for kind, changes in COMBINATIONS for change in changes], ids=str
)
def test_api_server_and_model_agree(kind: str, change: Any) -> None:
    spec = merged(MINIMAL[kind], change)
    by_api, by_model = refused_by_api(kind, spec), refused_by_model(kind, spec)
    assert bool(by_api) == bool(by_model), (by_api, by_model)


def _bounds() -> Iterator[tuple[str, str, float]]:
    for kind, schema in SPECS.items():
        for path, node in nodes(schema):
            step = 1 if node.get("type") == "integer" else 1e-6
            for bound in [name for name in ("minimum", "maximum") if name in node]:
                for value in (node[bound] - step, node[bound], node[bound] + step):
                    if not path.endswith("[]"):
                        yield kind, path, value


@pytest.mark.parametrize(("kind", "path", "value"), list(_bounds()))
def test_api_server_and_model_draw_the_same_bounds(kind: str, path: str, value: float) -> None:
    spec = merged(MINIMAL[kind], at(path.strip("."), value))
    for name, needed in (("outcomes", {"tokenFrom": SECRET}), ("regime", {"column": "ret_1"})):
        if f".{name}." in path:
            spec = merged(spec, at(path[1 : path.index(name) + len(name)], needed))
    by_api, by_model = refused_by_api(kind, spec), refused_by_model(kind, spec)
    assert bool(by_api) == bool(by_model), (by_api, by_model)
