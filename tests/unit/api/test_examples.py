"""Every example is valid, has an effect, and can reach every verdict on its own data."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.api.apiserver import defaulted, faults
from tests.unit.api.cases import MODELS, SPECS

from perennial.api import API_VERSION
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.retrain_policy import RetrainPolicySpec
from perennial.api.validation import not_implemented, parse_spec
from perennial.domain.feasibility import decide_feasible
from perennial.domain.traffic import canary_replicas

EXAMPLES = Path(__file__).parents[3] / "manifests" / "examples"
DOCUMENTS: dict[str, dict[str, Any]] = {
    f"{path.relative_to(EXAMPLES)}:{document['metadata']['name']}": document
    for path in sorted(EXAMPLES.rglob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
}
OURS = {name: document for name, document in DOCUMENTS.items() if document["apiVersion"] == API_VERSION}

# Outcomes a day, what one is worth as an independent one at worst, and the length of the data.
ARRIVALS = {
    "btc": (1440.0, 1 / 15, None),
    "btc-xgboost": (24.0, 1 / 12, timedelta(hours=20_111)),
    "btc-lightgbm": (24.0, 1 / 12, timedelta(hours=20_111)),
    # 20 shares on 252 days a year; shares move together (a sixth), half of what is left is acted on
    **dict.fromkeys(
        ["sp500-selection", "xgboost-ensemble", "lightgbm-ensemble", "nhits-ensemble", "patchtst-ensemble"],
        (20 * 252 / 365, 1 / 12, timedelta(days=32 * 365)),
    ),
}
ENSEMBLES = ["xgboost", "lightgbm", "nhits", "patchtst"]
POLICIES = {
    "btc-xgboost": ["btc/policy.yaml", "policies/advisory.yaml", "replay/btc-policy.yaml"],
    "btc-lightgbm": ["btc/policy.yaml", "policies/advisory.yaml", "replay/btc-policy.yaml"],
    "sp500-selection": ["sp500/policy.yaml", "policies/approval.yaml", "replay/sp500-policy.yaml"],
    **{f"{kind}-ensemble": ["ensembles/policy.yaml", "replay/ensembles-policy.yaml"] for kind in ENSEMBLES},
}


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))
    return document


MODEL_FILES = [
    "minimal.yaml",
    "btc/xgboost.yaml",
    "btc/lightgbm.yaml",
    "sp500/model.yaml",
    *(f"ensembles/{kind}.yaml" for kind in ENSEMBLES),
]
PAIRS = [
    (model, policy) for model in MODEL_FILES for policy in [None, *POLICIES.get(read(model)["metadata"]["name"], [])]
]


@pytest.mark.parametrize("document", OURS.values(), ids=OURS)
def test_an_example_is_accepted_and_has_an_effect(document: dict[str, Any]) -> None:
    kind = document["kind"]
    assert faults(SPECS[kind], defaulted(SPECS[kind], document["spec"])) == []
    assert not_implemented(parse_spec(MODELS[kind], document["spec"])) == []


def test_every_example_is_looked_at() -> None:
    names = [(document["kind"], document["metadata"]["name"]) for document in OURS.values()]
    models = {name for kind, name in names if kind == "ModelDeployment"}
    assert models == ARRIVALS.keys() == {read(name)["metadata"]["name"] for name in MODEL_FILES}
    policies = {name for kind, name in names if kind == "RetrainPolicy"}
    assert policies == {read(policy)["metadata"]["name"] for _, policy in PAIRS if policy}


@pytest.mark.parametrize(("model", "policy"), PAIRS)
def test_every_verdict_is_within_reach_of_the_example_s_own_data(model: str, policy: str | None) -> None:
    document = read(model)
    spec = parse_spec(ModelDeploymentSpec, document["spec"])
    per_day, worth, length = ARRIVALS[document["metadata"]["name"]]
    training = promotion = None
    if policy:
        governing = parse_spec(RetrainPolicySpec, read(policy)["spec"])
        assert governing.selector.match_labels.items() <= document["metadata"]["labels"].items()
        training, promotion = governing.training, governing.promotion
        assert training.data_window / timedelta(days=1) * per_day * training.holdout.share >= training.holdout.min_rows
        assert length is not None
        assert training.data_window + spec.canary.max_duration + spec.probation < length
    found = decide_feasible(spec, per_day, effective_share=worth, training=training, promotion=promotion)
    assert found.status == "True", found.message


def test_feasibility_is_no_foregone_conclusion() -> None:
    spec = parse_spec(ModelDeploymentSpec, read("btc/xgboost.yaml")["spec"])
    found = decide_feasible(spec, 24.0, effective_share=1 / 24)
    assert (found.status, found.reason) == ("False", "HealthOutOfReach")


@pytest.mark.parametrize("model", MODEL_FILES)
def test_the_last_step_of_a_canary_serves_somebody(model: str) -> None:
    spec = parse_spec(ModelDeploymentSpec, read(model)["spec"])
    assert canary_replicas(spec.server.replicas, spec.canary.steps[-1]) >= 1


def test_the_minimal_example_is_twelve_lines() -> None:
    assert len((EXAMPLES / "minimal.yaml").read_text(encoding="utf-8").splitlines()) == 12


def test_what_examples_refer_to_is_among_the_prerequisites() -> None:
    prerequisites = list(yaml.safe_load_all((EXAMPLES / "prerequisites.yaml").read_text(encoding="utf-8")))
    keys = {d["metadata"]["name"]: set(d["stringData"]) for d in prerequisites if d["kind"] == "Secret"}
    claims = {d["metadata"]["name"] for d in prerequisites if d["kind"] == "PersistentVolumeClaim"}
    for name in MODEL_FILES:
        spec = parse_spec(ModelDeploymentSpec, read(name)["spec"])
        references = [spec.samples.read_url_from, spec.samples.write_url_from]
        if spec.server.outcomes:
            references.append(spec.server.outcomes.token_from)
        assert all(reference.key in keys[reference.name] for reference in references), name
        assert spec.artifacts is not None
        assert spec.artifacts.claim_name in claims
