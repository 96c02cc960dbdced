"""What a replay reads: files as a cluster would read them, and durations as they were recorded."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from tests.integration.operator_reports import DEPLOY, build_report
from tests.integration.replays import MODEL, POLICY, merged
from tests.unit.trainer.workbench import Bench

from perennial.adapters.cluster import MODEL_DEPLOYMENT, SECRET
from perennial.adapters.store.schema import reports_table
from perennial.adapters.store.trainings import read_training_seconds
from perennial.replay.scenario import ScenarioError, read_scenario


def write(path: Path, *documents: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(documents))
    return path


def test_folders_are_searched_and_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "models" / "deep" / "m.yml", MODEL, {"apiVersion": "v1", "kind": "Secret", "metadata": {}})
    write(tmp_path / "models" / "kustomization.yaml", {"resources": ["deep/m.yml"]})
    policy = write(tmp_path / "policy.yaml", POLICY)
    found = read_scenario([tmp_path / "models", policy])
    assert list(found.models) == ["default/m"]
    assert [name for name, _ in found.policies] == ["default/p"]
    assert found.name == "policy"
    secrets = [body["metadata"]["name"] for kind, body in found.objects if kind is SECRET]
    assert secrets == ["store"], "the Secrets that a model names are there"


def test_what_kubectl_prints_is_read_as_what_was_declared(tmp_path: Path) -> None:
    path = tmp_path / "live.yaml"
    path.write_text(
        """
apiVersion: v1
kind: List
items:
- apiVersion: perennial.dev/v1alpha1
  kind: ModelDeployment
  metadata:
    name: m
    creationTimestamp: null
    resourceVersion: "7"
    finalizers: [perennial.dev/rollout]
    labels: {book: spot}
    annotations: {reviewed: 2024-01-01}
  spec:
    algorithm: {name: xgboost}
    samples:
      labelDelay: 2h
      readUrlFrom: {name: store, key: read}
      writeUrlFrom: {name: store, key: write}
  status: {stable: {version: m-v7, uid: u, weight: 1}}
"""
    )
    found = read_scenario([path, write(tmp_path / "policy.yaml", POLICY)])
    [body] = [body for kind, body in found.objects if kind is MODEL_DEPLOYMENT]
    assert "status" not in body
    assert body["metadata"] == {
        "name": "m",
        "namespace": "default",
        "labels": {"book": "spot"},
        "annotations": {"reviewed": "2024-01-01"},
    }


def test_of_two_policies_the_one_that_governs_is_named(tmp_path: Path) -> None:
    other = {**POLICY, "metadata": {"name": "a"}}
    [told] = read_scenario([write(tmp_path / "book.yaml", MODEL, POLICY, other)]).contested
    assert told == "default/m: a governs it, and p selects it in vain"


def test_a_model_that_no_policy_selects_is_named(tmp_path: Path) -> None:
    lone = {**MODEL, "metadata": {"name": "lone", "labels": {"book": "options"}}}
    elsewhere = {**MODEL, "metadata": {"name": "m", "labels": {"book": "spot"}, "namespace": "other"}}
    found = read_scenario([write(tmp_path / "book.yaml", MODEL, lone, elsewhere, POLICY)])
    assert found.ungoverned == ("default/lone", "other/m")


def test_what_has_no_effect_yet_is_told(tmp_path: Path) -> None:
    policy = {**POLICY, "spec": merged(POLICY["spec"], {"promotion": {"metric": {"type": "Composite"}}})}
    [told] = read_scenario([write(tmp_path / "book.yaml", MODEL, policy)]).without_effect
    assert told.startswith("RetrainPolicy default/p: spec.promotion.metric.type")


@pytest.mark.parametrize(
    ("given", "quick"),
    [
        ({}, {"num_boost_round": 100, "learning_rate": 0.25}),
        ({"n_estimators": 20, "eta": 0.3, "max_depth": 2}, {"n_estimators": 4, "eta": 1.0, "max_depth": 2}),
        ({"num_iterations": 3, "learning_rate": 0.1}, {"num_iterations": 1, "learning_rate": 0.5}),
    ],
)
def test_quick_trainings_have_fewer_and_bolder_rounds(
    tmp_path: Path, given: dict[str, Any], quick: dict[str, Any]
) -> None:
    model = {**MODEL, "spec": {**MODEL["spec"], "algorithm": {"name": "xgboost", "parameters": given}}}
    found = read_scenario([write(tmp_path / "book.yaml", model, POLICY)], speed_up=5)
    [body] = [body for kind, body in found.objects if kind is MODEL_DEPLOYMENT]
    assert body["spec"]["algorithm"]["parameters"] == pytest.approx(quick)


@pytest.mark.parametrize(
    ("given", "quick"),
    [({"max_steps": 40, "input_size": 8}, {"max_steps": 8, "input_size": 8}), ({}, {"max_steps": 100})],
)
def test_quick_trainings_of_a_network_have_fewer_steps(
    tmp_path: Path, given: dict[str, Any], quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perennial.replay.scenario.find_spec", lambda _: object())
    model = {**MODEL, "spec": {**MODEL["spec"], "algorithm": {"name": "nhits", "parameters": given}}}
    found = read_scenario([write(tmp_path / "book.yaml", model, POLICY)], speed_up=5)
    [body] = [body for kind, body in found.objects if kind is MODEL_DEPLOYMENT]
    assert body["spec"]["algorithm"]["parameters"] == quick


def test_a_network_is_replayed_where_it_can_be_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perennial.replay.scenario.find_spec", lambda _: None)
    model = {**MODEL, "spec": {**MODEL["spec"], "algorithm": {"name": "patchtst"}}}
    with pytest.raises(ScenarioError, match=r"patchtst: a replay trains where it runs, .*'perennial\[replay,neural\]'"):
        read_scenario([write(tmp_path / "book.yaml", model, POLICY)])


def test_recorded_trainings_are_read_by_model(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    assert read_training_seconds(url) == {}
    engine, table = sa.create_engine(url), reports_table()
    table.create(engine)
    texts = {"digest": "", "manifest": "", "profile": "", "created_at": datetime(2024, 1, 1, tzinfo=UTC)}
    with engine.begin() as connection:
        for version, model in (("a", "ns/m"), ("b", "ns/m"), ("c", "ns/n")):
            report = build_report(Bench(tmp_path).task(), DEPLOY).to_json()
            connection.execute(sa.insert(table).values(version=version, model=model, report=report, **texts))
        connection.execute(sa.insert(table).values(version="d", model="ns/n", report="{}", **texts))
    engine.dispose()
    found = read_training_seconds(url)
    assert {model: len(seconds) for model, seconds in found.items()} == {"ns/m": 2, "ns/n": 1}
    assert all(second > 0 for seconds in found.values() for second in seconds)
