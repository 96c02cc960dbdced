"""Who has to look again when an object changes."""

from typing import Any

import pytest

from perennial.adapters.cluster import DEPLOYMENT, JOB, MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY, Kind
from perennial.controllers.relations import Relations

Object = dict[str, Any]


def body(name: str, namespace: str = "ns", **fields: Any) -> Object:
    labels = fields.pop("labels", {})
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}, **fields}


def policy(name: str, desk: str, **metadata: str) -> Object:
    return body(name, spec={"selector": {"matchLabels": {"desk": desk}}}, **metadata)


def model(name: str, desk: str, **status: Any) -> Object:
    return body(name, labels={"desk": desk}, spec={}, status=status)


def version(name: str, of: str, *, stalled: bool = False) -> Object:
    conditions = [{"type": "Stalled"}] if stalled else []
    return body(name, spec={"modelDeployment": of}, status={"conditions": conditions})


@pytest.fixture
def relations() -> Relations:
    """Two models and two policies, one each a desk."""
    found = Relations()
    for kind, known in (
        (RETRAIN_POLICY, policy("pa", "a")),
        (RETRAIN_POLICY, policy("pb", "b")),
        (MODEL_DEPLOYMENT, model("ma", "a")),
        (MODEL_DEPLOYMENT, model("mb", "b")),
    ):
        list(found.concerned(kind, known, gone=False))
    return found


def concerned(relations: Relations, kind: Kind, changed: Object, *, gone: bool = False) -> set[str]:
    """The names of the keys, each of which has a name of its own here."""
    return {key.name for key in relations.concerned(kind, changed, gone=gone)}


CASES = [
    ("a policy's status concerns no other policy", RETRAIN_POLICY, policy("pa", "a"), {"pa"}),
    ("a policy's selector concerns all", RETRAIN_POLICY, policy("pa", "c"), {"pa", "pb"}),
    ("a new policy concerns all", RETRAIN_POLICY, policy("pc", "c"), {"pa", "pb", "pc"}),
    ("an invalid policy concerns all", RETRAIN_POLICY, body("pa", spec={"nonsense": 1}), {"pa", "pb"}),
    ("a model concerns the policy that selects it", MODEL_DEPLOYMENT, model("ma", "a"), {"ma", "pa"}),
    ("a model's new label concerns old and new policy", MODEL_DEPLOYMENT, model("ma", "b"), {"ma", "pa", "pb"}),
    (
        "a version concerns its model and its policy",
        MODEL_VERSION,
        version("ma-v1", "ma"),
        {"ma-v1", "ma", "pa"},
    ),
    ("a version of no model", MODEL_VERSION, version("x-v1", "x"), {"x-v1", "x"}),
]


@pytest.mark.parametrize(("kind", "changed", "names"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_whom_a_change_concerns(relations: Relations, kind: Kind, changed: Object, names: set[str]) -> None:
    assert concerned(relations, kind, changed) == names


def test_other_namespaces_are_not_concerned(relations: Relations) -> None:
    elsewhere = body("ma", "other", labels={"desk": "a"}, spec={})
    assert concerned(relations, MODEL_DEPLOYMENT, elsewhere) == {"ma"}
    assert concerned(relations, RETRAIN_POLICY, body("pa", "other", spec={})) == {"pa"}


def test_a_policy_that_goes_concerns_all_and_then_nobody(relations: Relations) -> None:
    assert concerned(relations, RETRAIN_POLICY, policy("pa", "a"), gone=True) == {"pa", "pb"}
    assert concerned(relations, MODEL_DEPLOYMENT, model("ma", "a")) == {"ma"}


def test_a_rollout_concerns_the_versions_whose_part_in_it_changed(relations: Relations) -> None:
    stable = {"version": "ma-v1", "uid": "1", "weight": 1.0, "readyReplicas": 2}
    canary = {"version": "ma-v2", "uid": "2", "weight": 0.1}
    ended = {"version": "ma-v2", "phase": "Rejected", "at": "2026-01-05T12:00:00Z"}

    def after(**status: Any) -> set[str]:
        return concerned(relations, MODEL_DEPLOYMENT, model("ma", "a", **status)) - {"ma", "pa"}

    assert after(stable=stable) == {"ma-v1"}
    assert after(stable=stable, canary=canary) == {"ma-v2"}
    assert after(stable={**stable, "weight": 0.75}, canary={**canary, "weight": 0.25}) == set()
    assert after(stable=stable, outcomes=[ended]) == {"ma-v2"}
    assert after(stable=stable, outcomes=[ended]) == set()
    assert after(stable={**stable, "version": "ma-v3"}, outcomes=[ended]) == {"ma-v1", "ma-v3"}


def test_a_version_that_cannot_be_trained_looks_again_when_its_model_changes(relations: Relations) -> None:
    concerned(relations, MODEL_VERSION, version("new-v1", "new", stalled=True))
    assert concerned(relations, MODEL_DEPLOYMENT, model("ma", "a")) == {"ma", "pa"}
    assert concerned(relations, MODEL_DEPLOYMENT, model("new", "c")) == {"new", "new-v1"}
    concerned(relations, MODEL_VERSION, version("new-v1", "new"))
    assert concerned(relations, MODEL_DEPLOYMENT, model("new", "c")) == {"new"}


@pytest.mark.parametrize(("kind", "owner"), [(JOB, "ModelVersion"), (DEPLOYMENT, "ModelDeployment")])
def test_what_we_made_concerns_whom_it_was_made_for(relations: Relations, kind: Kind, owner: str) -> None:
    made = body("x")
    made["metadata"]["ownerReferences"] = [
        {"apiVersion": "perennial.dev/v1alpha1", "kind": owner, "name": "o"},
        {"apiVersion": "apps/v1", "kind": owner, "name": "foreign"},
    ]
    assert [(key.kind, key.name) for key in relations.concerned(kind, made, gone=False)] == [(owner, "o")]
    assert concerned(relations, kind, body("nobody's")) == set()
