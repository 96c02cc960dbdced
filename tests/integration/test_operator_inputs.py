"""What a user gets wrong, and what the condition says then: the field, its value, and what to do.

The API server of the tests knows no CEL rules, so everything here reaches the operator.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.operator_api import ApiError, eventually
from tests.integration.operator_reports import DEPLOY, HANGS, Training
from tests.integration.operator_world import LABELS, SECRET_NAME, World

from perennial.adapters.cluster import MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY, SECRET

URL = {"name": SECRET_NAME, "key": "read"}


def _refused(ask: Callable[[], object]) -> bool:
    """Whether the API server says it first, as those do that know CEL."""
    try:
        ask()
    except ApiError as error:
        return error.status == 422
    return False


INVALID_MODELS = [
    (
        "steps fall",
        {"canary": {"steps": [0.5, 0.1]}},
        "spec.canary.steps: [0.5, 0.1] does not rise: write e.g. [0.1, 0.25, 0.5]",
    ),
    (
        "a reserved feature",
        {"samples": {"features": ["f0", "target"]}},
        "spec.samples.features: 'target' is a reserved column, not a feature: remove it",
    ),
    (
        "one table for two things",
        {"samples": {"predictionsTable": "samples"}},
        "spec.samples.predictionsTable: samples is the samples' table: name another one",
    ),
    (
        "one port for two things",
        {"server": {"outcomes": {"port": 8080, "tokenFrom": URL}}},
        "spec.server.outcomes.port: 8080 is the port of inference too: set another outcomes.port",
    ),
    (
        "no artifact store at all",
        {"artifacts": {"claimName": None, "deletionPolicy": "Retain"}},
        "spec.artifacts.claimName: nothing is set, nor is url: set exactly one of the two",
    ),
    (
        "a window shorter than the labels take",
        {"health": {"window": "1s"}, "samples": {"labelDelay": "5s"}},
        "spec.health.window: 1s leaves no time for outcomes, which take samples.labelDelay (5s): make it longer",
    ),
    (
        "a zero duration",
        {"interval": "0s"},
        "spec.interval: 0s is too short: write a duration above zero, as in 5m",
    ),
]


@pytest.mark.parametrize(("spec", "message"), [c[1:] for c in INVALID_MODELS], ids=[c[0] for c in INVALID_MODELS])
def test_an_invalid_model_says_which_field_and_what_to_do(
    shared_world: World, spec: dict[str, Any], message: str
) -> None:
    name = shared_world.new_name()
    if _refused(lambda: shared_world.model(name, **spec)):
        return
    stalled = shared_world.await_condition(MODEL_DEPLOYMENT, name, "Stalled", "InvalidSpec")
    assert stalled["message"] == message
    assert shared_world.condition(MODEL_DEPLOYMENT, name, "Ready")["status"] == "False"
    assert shared_world.status(MODEL_DEPLOYMENT, name)["phase"] == "Stalled"


def test_a_model_that_becomes_invalid_serves_on_and_says_so(world: World) -> None:
    world.trained()
    world.change(MODEL_DEPLOYMENT, "m", canary={"steps": [0.5, 0.1]})
    world.await_condition(MODEL_DEPLOYMENT, "m", "Stalled", "InvalidSpec")
    assert world.status(MODEL_DEPLOYMENT, "m")["stable"]["version"] == "m-v1"
    world.policy()
    stalled = world.await_condition(RETRAIN_POLICY, "p", "Stalled", "ModelsInvalid")
    assert stalled["message"] == "every ModelDeployment that spec.selector matches is invalid, correct it: m"
    world.change(MODEL_DEPLOYMENT, "m", canary={"steps": [0.1, 0.5]})
    world.await_condition(MODEL_DEPLOYMENT, "m", "Ready", "Serving")
    assert world.condition(MODEL_DEPLOYMENT, "m", "Stalled") == {}


INVALID_POLICIES = [
    (
        "thresholds in the wrong order",
        {"promotion": {"canaryAbove": 0.2, "deployAbove": 0.1}},
        "spec.promotion.canaryAbove: 0.2 exceeds deployAbove (0.1): lower canaryAbove or raise deployAbove",
    ),
    (
        "a cron that is none",
        {"triggers": {"schedule": {"cron": "61 0 * * *"}}},
        "spec.triggers.schedule.cron: '61 0 * * *' is no cron expression",
    ),
    (
        "a cron that never comes",
        {"triggers": {"schedule": {"cron": "0 0 31 2 *"}}},
        "spec.triggers.schedule.cron: '0 0 31 2 *' is no cron expression",
    ),
    (
        "a time zone that is none",
        {"triggers": {"schedule": {"cron": "0 0 * * *", "timeZone": "Oslo"}}},
        "spec.triggers.schedule.timeZone: 'Oslo' is no known time zone: use an IANA name such as Europe/Oslo",
    ),
    (
        "two schedules in one",
        {"triggers": {"schedule": {"cron": "0 0 * * *", "every": "1h"}}},
        "spec.triggers.schedule.every: both every and cron are set: set one of the two",
    ),
    (
        "values where there are none",
        {"selector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}},
        "spec.selector.matchExpressions[0].values: ['b'] does not go with Exists: remove values",
    ),
]


@pytest.mark.parametrize(("spec", "message"), [c[1:] for c in INVALID_POLICIES], ids=[c[0] for c in INVALID_POLICIES])
def test_an_invalid_policy_says_which_field_and_what_to_do(
    shared_world: World, spec: dict[str, Any], message: str
) -> None:
    name = shared_world.new_name()
    if _refused(lambda: shared_world.policy(name, **spec)):
        return
    stalled = shared_world.await_condition(RETRAIN_POLICY, name, "Stalled", "InvalidSpec")
    assert stalled["message"].startswith(message)


def test_a_selector_that_matches_nothing(world: World) -> None:
    world.model(labels={"book": "futures"})
    world.policy()
    stalled = world.await_condition(RETRAIN_POLICY, "p", "Stalled", "NothingSelected")
    assert stalled["message"] == (
        "spec.selector: {'matchLabels': {'book': 'spot'}}: matches no ModelDeployment in "
        f"{world.namespace}: label one, or widen it"
    )
    world.change(RETRAIN_POLICY, "p", selector={"matchLabels": {"book": "futures"}})
    eventually(lambda: world.condition(RETRAIN_POLICY, "p", "Ready").get("status") == "True", "now it selects one")


def test_a_selector_of_expressions_selects_and_one_that_is_none_is_told(world: World) -> None:
    world.model("m", labels={"book": "spot", "desk": "a"})
    world.model("other", labels={"book": "spot", "old": "yes"})
    expressions = [
        {"key": "book", "operator": "In", "values": ["spot", "futures"]},
        {"key": "desk", "operator": "Exists"},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "desk", "operator": "NotIn", "values": ["b"]},
    ]
    world.policy(mode="Advisory", selector={"matchLabels": {"book": "spot"}, "matchExpressions": expressions})
    world.await_condition(RETRAIN_POLICY, "p", "Ready", "Waiting")
    status = world.status(RETRAIN_POLICY, "p")
    assert (status["models"], [job["model"] for job in status["plan"]["jobs"]]) == (1, ["m"])
    world.policy("wrong", selector={"matchLabels": {"no label": "spot"}})
    stalled = world.await_condition(RETRAIN_POLICY, "wrong", "Stalled", "InvalidSpec")
    assert stalled["message"].startswith("spec.selector: the API server refuses it: ")


def test_of_two_policies_the_older_governs(world: World) -> None:
    world.model()
    older = world.policy("older", suspend=True)["metadata"]["creationTimestamp"]
    world.await_condition(RETRAIN_POLICY, "older", "Ready", "Waiting")
    born = datetime.fromisoformat(older) + timedelta(seconds=1)
    eventually(lambda: datetime.now(UTC) > born, "another second: creation times have no finer grain")
    world.policy("younger")
    stalled = world.await_condition(RETRAIN_POLICY, "younger", "Stalled", "Conflict")
    assert stalled["message"] == "an older policy governs every model that this one selects: m by older"
    world.model("other", labels={**LABELS, "desk": "a"})
    world.change(RETRAIN_POLICY, "older", selector={"matchLabels": {"desk": "a"}})
    ready = world.await_condition(RETRAIN_POLICY, "younger", "Ready", "Retraining")
    assert ready["message"].endswith("governed by an older policy: other by older")
    world.await_live("m-v1")


def test_a_missing_secret_and_then_a_missing_key(world: World) -> None:
    world.api.delete(SECRET, world.namespace, SECRET_NAME)
    world.model()
    stalled = world.await_condition(MODEL_DEPLOYMENT, "m", "Stalled", "StoreMisconfigured")
    assert stalled["message"] == (
        f"spec.samples.readUrlFrom: Secret samples-store: is missing: create it in {world.namespace}"
    )
    world.version("m-v1")
    stalled = world.await_condition(MODEL_VERSION, "m-v1", "Stalled", "SecretMissing")
    assert stalled["message"] == (
        "spec.samples.writeUrlFrom of m: Secret samples-store or its key 'write' is missing: create it"
    )
    world.secret(other=world.database)
    missing = "spec.samples.readUrlFrom: Secret samples-store: has no key 'read': add it"
    eventually(
        lambda: world.condition(MODEL_DEPLOYMENT, "m", "Stalled").get("message") == missing, "the key is missing"
    )
    assert world.condition(MODEL_DEPLOYMENT, "m", "StoreReady")["status"] == "False"
    world.secret()
    world.await_condition(MODEL_DEPLOYMENT, "m", "StoreReady", "Answers")
    world.await_live("m-v1", seconds=60)


URLS = [
    ("sqlite:///x.db", "samples URL: 'sqlite' is not usable: write postgresql+psycopg, as in "),
    ("no url at all", "samples URL: 'no scheme' is not usable: write postgresql+psycopg, as in "),
]


@pytest.mark.parametrize(("url", "message"), URLS, ids=["another database", "no URL"])
def test_a_url_that_cannot_be_used(world: World, url: str, message: str) -> None:
    world.secret(read=url, write=url)
    world.model()
    stalled = world.await_condition(MODEL_DEPLOYMENT, "m", "Stalled", "StoreMisconfigured")
    assert stalled["message"].startswith(message)


def test_a_wrong_password_is_told_without_telling_it(world: World) -> None:
    wrong = world.database.replace("perennial:", "perennial:hunter2", 1)
    world.secret(read=wrong, write=wrong)
    world.model()
    stalled = world.await_condition(MODEL_DEPLOYMENT, "m", "Stalled", "StoreMisconfigured")
    assert stalled["message"].endswith("correct user and password in the URL")
    assert "hunter2" not in str(world.status(MODEL_DEPLOYMENT, "m"))


TABLES = [
    (
        "no table of samples",
        "DROP TABLE samples",
        "samples.table: there is no table or view 'samples': run `perennial store init`, or name the right one",
    ),
    (
        "a table without a column of its own",
        "ALTER TABLE samples DROP COLUMN target",
        "samples.table: 'samples' has no column 'target': add it; `perennial store init` shows what belongs",
    ),
    (
        "a table without a declared feature",
        "ALTER TABLE samples DROP COLUMN f1",
        "samples.features: 'samples' has no column 'f1': run `perennial store init --features f1`, or leave it out",
    ),
    (
        "no table of predictions",
        "DROP TABLE predictions",
        "samples.predictionsTable: there is no table or view 'predictions'",
    ),
    (
        "no table of reports",
        "DROP TABLE model_reports",
        "samples: there is no table or view 'model_reports'",
    ),
    (
        "naive times",
        "ALTER TABLE samples ALTER COLUMN at TYPE timestamp",
        "samples.at: is of type TIMESTAMP: make it timestamp with time zone",
    ),
]


@pytest.mark.parametrize(("statement", "message"), [c[1:] for c in TABLES], ids=[c[0] for c in TABLES])
def test_a_table_that_is_not_as_declared(world: World, statement: str, message: str) -> None:
    world.execute(statement)
    world.model(samples={"features": ["f0", "f1"]})
    stalled = world.await_condition(MODEL_DEPLOYMENT, "m", "Stalled", "StoreMisconfigured")
    assert stalled["message"].startswith(message)


REPORTS = [
    ("no row", "the Job left no row in model_reports"),
    ("digest", "manifest.json has digest sha256:"),
    ("report", "report.json has digest sha256:"),
    ("profile", "profile.json has digest sha256:"),
    ("json", "Manifest: "),
    ("version", "the report is on version another-uid"),
]


@pytest.mark.parametrize(("tampering", "message"), REPORTS, ids=[c[0] for c in REPORTS])
def test_a_report_whose_digests_do_not_hold_is_not_believed(world: World, tampering: Any, message: str) -> None:
    world.node.trainings["m-v1"] = Training(tampering=tampering)
    world.model()
    world.version("m-v1", training={**_training(world), "retries": 0})
    status = world.await_phase("m-v1", "Failed")
    assert status["job"]["message"].startswith(message)
    assert "artifact" not in status
    assert world.condition(MODEL_VERSION, "m-v1", "Stalled")["message"] == status["job"]["message"]


def _training(world: World) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": "1000"}}, "retryBackoff": "0s"}


def test_a_version_of_a_model_that_does_not_exist_waits_for_it(world: World) -> None:
    world.version("m-v1")
    stalled = world.await_condition(MODEL_VERSION, "m-v1", "Stalled", "ModelDeploymentNotFound")
    assert stalled["message"] == "spec.modelDeployment: m: does not exist: create it"
    world.model()
    world.await_live("m-v1")


def test_a_version_whose_spec_was_changed_is_stalled_until_it_is_put_back(world: World) -> None:
    world.node.trainings["m-v1"] = HANGS
    world.model()
    world.version("m-v1")
    world.await_phase("m-v1", "Training")
    if _refused(lambda: world.change(MODEL_VERSION, "m-v1", training={"seed": 43})):
        return
    stalled = world.await_condition(MODEL_VERSION, "m-v1", "Stalled", "SpecChanged")
    assert "spec was changed, and is immutable" in stalled["message"]
    world.change(MODEL_VERSION, "m-v1", training={"seed": 42})
    world.node.trainings["m-v1"] = DEPLOY
    world.await_live("m-v1")


def test_a_pin_on_a_version_that_cannot_serve_changes_nothing(world: World) -> None:
    world.trained()
    world.change(MODEL_DEPLOYMENT, "m", version="m-v7")
    stalled = world.await_condition(MODEL_DEPLOYMENT, "m", "Stalled", "PinNotServable")
    assert stalled["message"] == (
        "spec.version: m-v7: does not exist: name a ModelVersion that was trained, or remove spec.version"
    )
    assert world.status(MODEL_DEPLOYMENT, "m")["stable"]["version"] == "m-v1"
    world.node.trainings["m-v2"] = HANGS
    world.version("m-v2")
    world.change(MODEL_DEPLOYMENT, "m", version="m-v2")
    untrained = "spec.version: m-v2: has no artifact to serve (phase Training)"
    eventually(
        lambda: world.condition(MODEL_DEPLOYMENT, "m", "Stalled").get("message", "").startswith(untrained), untrained
    )
    world.change(MODEL_DEPLOYMENT, "m", version=None)
    world.await_condition(MODEL_DEPLOYMENT, "m", "Ready", "Serving")


def test_fields_without_effect_are_named(world: World) -> None:
    world.model(artifacts={"claimName": "models", "deletionPolicy": "Delete"})
    world.policy(promotion={"metric": {"type": "Composite"}})
    of_model = world.await_condition(MODEL_DEPLOYMENT, "m", "NotImplemented", "NotImplemented")
    assert "spec.artifacts.deletionPolicy: Delete does not remove files yet" in of_model["message"]
    of_policy = world.await_condition(RETRAIN_POLICY, "p", "NotImplemented", "NotImplemented")
    assert "spec.promotion.metric.type: Composite cannot be computed yet" in of_policy["message"]
    world.await_live("m-v1")


def test_no_place_for_artifacts(world: World) -> None:
    world.model(artifacts=None)
    world.version("m-v1")
    stalled = world.await_condition(MODEL_VERSION, "m-v1", "Stalled", "ArtifactStoreMissing")
    assert stalled["message"] == (
        "spec.artifacts of m is not set and the operator has no default: set spec.artifacts.claimName"
    )


def test_a_job_that_the_api_server_refuses(world: World) -> None:
    world.model()
    world.version("m-v1", training={"resources": {"requests": {"cpu": "3"}, "limits": {"cpu": "1"}}})
    stalled = world.await_condition(MODEL_VERSION, "m-v1", "Stalled", "JobRefused")
    assert 'Job.batch "m-v1-a1" is invalid' in stalled["message"]
    assert "must be less than or equal to cpu limit" in stalled["message"]


def test_a_pod_template_that_the_api_server_refuses(world: World) -> None:
    world.model(server={"podTemplate": {"spec": {"nodeSelector": "nowhere"}}})
    world.version("m-v1")
    stalled = world.await_condition(MODEL_DEPLOYMENT, "m", "Stalled", "ObjectRefused")
    assert "nodeSelector" in stalled["message"]
    world.change(MODEL_DEPLOYMENT, "m", server={"podTemplate": {"spec": {"nodeSelector": {"a": "b"}}}})
    world.await_live("m-v1")
    assert world.condition(MODEL_DEPLOYMENT, "m", "Stalled") == {}
