"""The CRDs on a real API server: what it takes, what it fills in, what it refuses, and what `kubectl get` shows."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster import Cluster
from tests.cluster.kubectl import KubectlError
from tests.integration.statuses import AT, STATUSES
from tests.unit.api.apiserver import defaulted
from tests.unit.api.cases import SPECS, at, merged

from perennial.api.crd import KINDS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "manifests" / "examples"
PLURALS = {kind.kind: kind.plural for kind in KINDS}


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own; nobody waits for its end."""
    name = f"crds-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def read(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def example(kind: str) -> dict[str, Any]:
    if kind == "ModelDeployment":
        return read(EXAMPLES / "minimal.yaml")[0]
    if kind == "RetrainPolicy":
        return read(EXAMPLES / "btc" / "policy.yaml")[0]
    return {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": "btc-v1"},
        "spec": {"modelDeployment": "btc"},
    }


def get(cluster: Cluster, namespace: str, kind: str, name: str) -> dict[str, Any]:
    return cluster.get("-n", namespace, kind, name)


def test_the_api_server_finds_nothing_to_complain_about(cluster: Cluster) -> None:
    for kind in KINDS:
        crd = cluster.get("crd", f"{kind.plural}.perennial.dev")
        found = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}
        assert found == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_every_example_is_applied(cluster: Cluster, namespace: str, path: Path) -> None:
    cluster.kubectl("-n", namespace, "apply", "-f", str(path))
    for document in read(path):
        if document["kind"] in SPECS:
            found = get(cluster, namespace, document["kind"], document["metadata"]["name"])
            # the very defaults that the unit tests reckon with, and nothing pruned
            assert found["spec"] == defaulted(SPECS[document["kind"]], document["spec"])


def test_a_manual_retrain_needs_the_model_s_name_alone(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(example("ModelVersion")))
    spec = get(cluster, namespace, "ModelVersion", "btc-v1")["spec"]
    assert spec["trigger"] == {"type": "Manual", "priority": "High", "reason": "CreatedByHand"}
    assert spec["promotion"]["deployAbove"] == 0.05
    assert spec["training"]["holdout"] == {"share": 0.2, "minRows": 500}


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("ModelDeployment", at("spec.algorithm.name", "prophet"), ["spec.algorithm.name", "prophet", "xgboost"]),
        ("ModelDeployment", at("spec.health.minWinRate", 1), ["spec.health.minWinRate", "less than 1"]),
        ("ModelDeployment", at("spec.server.replicas", 0), ["spec.server.replicas", "greater than or equal to 1"]),
        ("ModelDeployment", at("spec.server.replicas", "two"), ["spec.server.replicas", "integer"]),
        ("ModelDeployment", at("spec.canary.steps", [0.5, 1.5]), ["spec.canary.steps", "less than 1"]),
        ("ModelDeployment", at("spec.interval", "5 minutes"), ["spec.interval", "should match"]),
        ("ModelDeployment", at("spec.samples.labelDelay", "0s"), ["spec.samples.labelDelay", "should match '[1-9]'"]),
        ("ModelDeployment", at("spec.samples.labelDelay", None), ["spec.samples.labelDelay", "Required value"]),
        ("ModelDeployment", at("spec.samples.features", ["a", "a"]), ["spec.samples.features[1]", "Duplicate value"]),
        ("ModelDeployment", at("spec.samples.table", "a; drop table b"), ["spec.samples.table", "should match"]),
        ("ModelDeployment", at("metadata.name", "m" * 41), ["metadata.name", "40"]),
        ("ModelDeployment", at("metadata.name", "1m"), ["metadata.name", "should match"]),
        ("RetrainPolicy", at("spec.mode", "Eager"), ["spec.mode", "Eager", "Advisory"]),
        ("RetrainPolicy", at("spec.promotion.confidence", 0.5), ["spec.promotion.confidence", "greater than 0.5"]),
        ("RetrainPolicy", at("spec.limits.maxParallel", 0), ["spec.limits.maxParallel", "greater than or equal to 1"]),
        ("RetrainPolicy", at("spec.triggers.schedule", {"cron": "8 15 *"}), ["spec.triggers.schedule.cron", "match"]),
        ("ModelVersion", at("spec.modelDeployment", "Btc"), ["spec.modelDeployment", "Btc", "should match"]),
        ("ModelVersion", at("spec", None), ["spec", "Required value"]),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_the_api_server(
    cluster: Cluster, namespace: str, kind: str, change: Any, words: list[str]
) -> None:
    document = merged(example(kind), change)
    with pytest.raises(KubectlError) as caught:
        cluster.kubectl("-n", namespace, "create", "--validate=false", "-f", "-", stdin=json.dumps(document))
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("kind", "path", "name"),
    [
        ("ModelDeployment", "spec.canarry", "canarry"),
        ("ModelDeployment", "spec.canary.minOutcome", "minOutcome"),
        ("RetrainPolicy", "spec.promotion.deployAbov", "deployAbov"),
        ("RetrainPolicy", "spec.training.dataWindows.Regim", "Regim"),
        ("ModelVersion", "spec.model", "model"),
    ],
)
def test_an_unknown_field_is_named_by_kubectl(
    cluster: Cluster, namespace: str, kind: str, path: str, name: str
) -> None:
    document = merged(example(kind), at(path, "1"))
    with pytest.raises(KubectlError, match=rf'unknown field "[a-zA-Z.]*{name}"'):
        cluster.kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(document))


def put_status(cluster: Cluster, namespace: str, kind: str) -> dict[str, Any]:
    """Creates the example of a kind, gives it its status, and returns what the API server then has."""
    document = example(kind)
    name = document["metadata"]["name"]
    cluster.kubectl(
        "-n", namespace, "create", "-f", "-", stdin=json.dumps({**document, "status": STATUSES[kind].to_dict()})
    )
    found = get(cluster, namespace, kind, name)
    assert "status" not in found
    found["status"] = {**STATUSES[kind].to_dict(), "kopf": {"progress": {"x": {"retries": 1}}}}
    found["metadata"]["labels"] = {"not": "taken"}
    path = f"/apis/perennial.dev/v1alpha1/namespaces/{namespace}/{PLURALS[kind]}/{name}/status"
    cluster.kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(found))
    return get(cluster, namespace, kind, name)


@pytest.mark.parametrize("kind", STATUSES)
def test_a_status_comes_back_as_it_was_written(cluster: Cluster, namespace: str, kind: str) -> None:
    found = put_status(cluster, namespace, kind)
    assert found["status"].pop("kopf") == {"progress": {"x": {"retries": 1}}}
    assert found["status"] == STATUSES[kind].to_dict()
    assert type(STATUSES[kind]).model_validate(found["status"]).to_dict() == STATUSES[kind].to_dict()
    assert "not" not in found["metadata"].get("labels", {})
    assert found["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("kind", "short_name", "columns", "row"),
    [
        (
            "ModelDeployment",
            "mdep",
            "NAME PHASE STABLE CANARY WEIGHT HEALTH DRIFT WIN RATE READY AGE",
            "btc Canary btc-v1 btc-v2 0.1 Degraded Suspected 0.456789 True",
        ),
        (
            "RetrainPolicy",
            "rpol",
            "NAME MODE MODELS PLAN NEXT READY AGE",
            f"btc-book Enforced 2 plan-20260301-120000 {AT} False",
        ),
        (
            "ModelVersion",
            "mver",
            "NAME MODEL PHASE VERDICT LIFT REASON AGE",
            "btc-v1 btc Canary Canary 0.0431235 CreatedByHand",
        ),
    ],
)
def test_kubectl_get_shows_what_a_person_wants_to_know(
    cluster: Cluster, namespace: str, kind: str, short_name: str, columns: str, row: str
) -> None:
    put_status(cluster, namespace, kind)
    header, line = cluster.kubectl("-n", namespace, "get", short_name).splitlines()
    assert header.split() == columns.split()
    assert line.split()[:-1] == row.split()
    assert len(line) <= 120
    wide = cluster.kubectl("-n", namespace, "get", short_name, "-o", "wide").splitlines()[0]
    assert wide.split()[: len(columns.split())] == columns.split()
    assert "MESSAGE" in wide
    assert example(kind)["metadata"]["name"] in cluster.kubectl("-n", namespace, "get", "perennial")


def test_kubectl_explains_the_fields(cluster: Cluster) -> None:
    assert "Shares of traffic, rising" in cluster.kubectl("explain", "modeldeployment.spec.canary.steps")
