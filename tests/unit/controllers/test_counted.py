"""What controllers count and time, and when."""

from datetime import UTC, datetime

import pytest
from tests.integration.operator_reports import DEPLOY, build_row
from tests.unit.controllers.objects_in_memory import (
    MODEL,
    NS,
    Object,
    ObjectsInMemory,
    build_context,
    put_policy,
    put_secret,
)

from perennial.adapters.cluster import CONFIG_MAP, JOB, MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY
from perennial.controllers.context import Context
from perennial.controllers.model_deployment import reconcile_model
from perennial.controllers.model_version import reconcile_version
from perennial.controllers.objects import parse_model
from perennial.controllers.queue import Key
from perennial.controllers.retrain_policy import reconcile_policy
from perennial.domain.evidence import ReportRow
from perennial_contract.task import TrainingTask

KEY = Key("ModelVersion", NS, "m-v1")
BEGUN, ENDED = "2026-01-05T12:00:00Z", "2026-01-05T12:01:30Z"


class Store:
    """The trainer's reports, and nothing else."""

    def __init__(self) -> None:
        self.row: ReportRow | None = None

    def at(self, _: str) -> "Store":
        return self

    async def read_report(self, _: str) -> ReportRow | None:
        return self.row


@pytest.fixture
def cluster() -> ObjectsInMemory:
    found = ObjectsInMemory()
    put_secret(found)
    found.put(MODEL_DEPLOYMENT, "m", spec=MODEL)
    found.put(MODEL_VERSION, "m-v1", spec={"modelDeployment": "m", "training": {"retryBackoff": "1h"}})
    return found


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def context(cluster: ObjectsInMemory, store: Store) -> Context:
    found = build_context(cluster)
    found.now = lambda: datetime(2026, 1, 5, 12, 2, tzinfo=UTC)
    found.stores = store  # type: ignore[assignment] # a stand-in
    return found


def end(cluster: ObjectsInMemory, job: str, type_: str, **status: str) -> None:
    """The Job ends as Kubernetes says it."""
    ended = {"type": type_, "status": "True", "reason": "R", "lastTransitionTime": ENDED}
    cluster.objects[JOB, job]["status"] = {"conditions": [ended], **status}


def counted(context: Context, name: str) -> Object:
    """Labels → value of a series of the model's, or of the policy's."""
    samples = [s for family in context.metrics.registry.collect() for s in family.samples if s.name == name]
    labels = [{k: v for k, v in s.labels.items() if k not in ("namespace", "name")} for s in samples]
    return {",".join(label.values()): s.value for label, s in zip(labels, samples, strict=True)}


async def test_a_failed_attempt_is_timed_once(cluster: ObjectsInMemory, context: Context) -> None:
    await reconcile_version(context, KEY)
    end(cluster, "m-v1-a1", "Failed", startTime=BEGUN)
    for _ in range(3):
        await reconcile_version(context, KEY)
    assert cluster.objects[MODEL_VERSION, "m-v1"]["status"]["job"]["state"] == "Failed"
    assert counted(context, "perennial_training_seconds_sum") == {"Failed": 90}
    context.now = lambda: datetime(2026, 1, 5, 14, tzinfo=UTC)
    await reconcile_version(context, KEY)
    end(cluster, "m-v1-a2", "Failed", startTime=BEGUN)
    for _ in range(3):
        await reconcile_version(context, KEY)
    assert cluster.objects[MODEL_VERSION, "m-v1"]["status"]["phase"] == "Failed"
    assert counted(context, "perennial_training_seconds_sum") == {"Failed": 180}
    assert counted(context, "perennial_training_seconds_count") == {"Failed": 2}


async def test_a_training_without_a_report_has_failed_and_one_that_never_began_takes_no_time(
    cluster: ObjectsInMemory, context: Context
) -> None:
    await reconcile_version(context, KEY)
    end(cluster, "m-v1-a1", "Failed")
    await reconcile_version(context, KEY)
    assert cluster.objects[MODEL_VERSION, "m-v1"]["status"]["job"]["state"] == "Failed"
    assert counted(context, "perennial_training_seconds_count") == {}
    context.now = lambda: datetime(2026, 1, 5, 14, tzinfo=UTC)
    await reconcile_version(context, KEY)
    end(cluster, "m-v1-a2", "Complete", startTime=BEGUN, completionTime=ENDED)
    await reconcile_version(context, KEY)
    assert counted(context, "perennial_training_seconds_sum") == {"Failed": 90}


async def test_a_training_that_succeeds_is_timed_and_its_verdict_counted(
    cluster: ObjectsInMemory, context: Context, store: Store
) -> None:
    await reconcile_version(context, KEY)
    task = TrainingTask.model_validate_json(cluster.objects[CONFIG_MAP, "m-v1-task"]["data"]["task.json"])
    store.row = ReportRow(**build_row(task, DEPLOY))
    end(cluster, "m-v1-a1", "Complete", startTime=BEGUN, completionTime=ENDED)
    for _ in range(3):
        await reconcile_version(context, KEY)
    assert counted(context, "perennial_training_seconds_sum") == {"Succeeded": 90}
    assert counted(context, "perennial_training_seconds_count") == {"Succeeded": 1}
    assert counted(context, "perennial_verdicts_total") == {"Deploy": 1}
    assert counted(context, "perennial_triggers_total") == {"Manual": 1}


async def test_a_model_that_is_invalid_shows_no_old_figures(cluster: ObjectsInMemory, context: Context) -> None:
    key = Key("ModelDeployment", NS, "m")
    context.metrics.count(("ModelDeployment", NS, "m"), context.metrics.rollbacks)
    cluster.objects[MODEL_DEPLOYMENT, "m"]["spec"] = {**MODEL, "interval": "soon"}
    context.metrics.show_model(NS, "m", parse_model(cluster.objects[MODEL_DEPLOYMENT, "m"]).status)
    assert counted(context, "perennial_model_health")["Unknown"] == 1
    await reconcile_model(context, key)
    assert counted(context, "perennial_model_health") == {}
    assert counted(context, "perennial_rollbacks_total") == {"": 1}


async def test_a_policy_that_is_invalid_shows_no_old_plan(cluster: ObjectsInMemory, context: Context) -> None:
    put_policy(cluster)
    await reconcile_policy(context, Key("RetrainPolicy", NS, "p"))
    assert counted(context, "perennial_plan_jobs")["Running"] == 0
    cluster.objects[RETRAIN_POLICY, "p"]["spec"] = {"mode": "Sometimes"}
    await reconcile_policy(context, Key("RetrainPolicy", NS, "p"))
    assert counted(context, "perennial_plan_jobs") == {}
