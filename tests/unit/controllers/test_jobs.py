"""A version's Jobs: what an earlier version of its name left behind is neither read as its own nor written over."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.controllers.objects_in_memory import (
    NS,
    Object,
    ObjectsInMemory,
    build_context,
    untrained,
)

from perennial.adapters.cluster import CONFIG_MAP, JOB, MODEL_DEPLOYMENT, MODEL_VERSION, POD, Kind
from perennial.controllers.claims import NOT_GONE_YET
from perennial.controllers.context import Context
from perennial.controllers.jobs import observe_job
from perennial.controllers.model_version import reconcile_version
from perennial.controllers.objects import parse_version
from perennial.controllers.queue import Key

KEY = Key("ModelVersion", NS, "m-v1")
FAILED = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}


@pytest.fixture
def cluster() -> ObjectsInMemory:
    return untrained()


@pytest.fixture
def context(cluster: ObjectsInMemory) -> Context:
    """What its controller works with."""
    return build_context(cluster)


def owned_by(name: str, uid: str) -> Object:
    return {"ownerReferences": [{"kind": "ModelVersion", "name": name, "uid": uid}]}


def status(cluster: ObjectsInMemory) -> Any:
    return cluster.objects[MODEL_VERSION, "m-v1"]["status"]


def stalled(cluster: ObjectsInMemory) -> Object | None:
    return next((c for c in status(cluster)["conditions"] if c["type"] == "Stalled"), None)


async def test_a_job_is_made_once_and_its_task_names_the_version(cluster: ObjectsInMemory, context: Context) -> None:
    for _ in range(3):
        await reconcile_version(context, KEY)
    uid = cluster.objects[MODEL_VERSION, "m-v1"]["metadata"]["uid"]
    assert [call for call in cluster.calls if call[0] == "create" and call[1] != "Event"] == [
        ("create", "ConfigMap", "m-v1-task"),
        ("create", "Job", "m-v1-a1"),
    ]
    assert uid in cluster.objects[CONFIG_MAP, "m-v1-task"]["data"]["task.json"]


@pytest.mark.parametrize(
    ("algorithm", "image"),
    [("lightgbm", "perennial-trainer:latest"), ("nhits", "perennial-trainer-neural:latest")],
)
async def test_networks_are_trained_by_an_image_of_their_own(
    cluster: ObjectsInMemory, context: Context, algorithm: str, image: str
) -> None:
    model = cluster.objects[MODEL_DEPLOYMENT, "m"]
    model["spec"]["algorithm"] = {"name": algorithm, "members": 2}
    for _ in range(3):
        await reconcile_version(context, KEY)
    [container] = cluster.objects[JOB, "m-v1-a1"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == image
    assert '"members": 2' in cluster.objects[CONFIG_MAP, "m-v1-task"]["data"]["task.json"]


@pytest.mark.parametrize(("kind", "name"), [(JOB, "m-v1-a1"), (CONFIG_MAP, "m-v1-task")], ids=["job", "task"])
async def test_what_an_earlier_version_of_the_name_left_is_waited_for(
    cluster: ObjectsInMemory, context: Context, kind: Kind, name: str
) -> None:
    cluster.put(kind, name, metadata=owned_by("m-v1", "before"), status=FAILED, data={})
    for _ in range(3):
        assert await reconcile_version(context, KEY) == NOT_GONE_YET
    assert status(cluster)["phase"] == "Training"
    assert status(cluster)["job"]["state"] == "Running", "the other one's failure is not its own"
    assert stalled(cluster) is None
    assert (JOB, "m-v1-a1") not in cluster.objects or kind is JOB
    del cluster.objects[kind, name]
    await reconcile_version(context, KEY)
    uid = cluster.objects[MODEL_VERSION, "m-v1"]["metadata"]["uid"]
    assert cluster.objects[JOB, "m-v1-a1"]["metadata"]["ownerReferences"][0]["uid"] == uid
    assert uid in cluster.objects[CONFIG_MAP, "m-v1-task"]["data"]["task.json"]


async def test_somebody_elses_job_of_the_name_is_told_of_and_left_alone(
    cluster: ObjectsInMemory, context: Context
) -> None:
    cluster.put(JOB, "m-v1-a1", status=FAILED)
    before = cluster.objects[JOB, "m-v1-a1"]
    assert await reconcile_version(context, KEY) == timedelta(0)
    await reconcile_version(context, KEY)
    told = stalled(cluster)
    assert told is not None
    assert (told["reason"], told["message"]) == (
        "NameTaken",
        "Job m-v1-a1 was not made for ModelVersion m-v1: rename or delete it, or give the ModelVersion another name",
    )
    assert cluster.objects[JOB, "m-v1-a1"] is before
    assert not context.lanes.holds(NS, "m-v1"), "it keeps no other from training"
    del cluster.objects[JOB, "m-v1-a1"]
    await reconcile_version(context, KEY)
    await reconcile_version(context, KEY)
    assert stalled(cluster) is None
    assert context.lanes.holds(NS, "m-v1")


async def test_what_pods_of_an_earlier_job_said_is_not_believed(cluster: ObjectsInMemory, context: Context) -> None:
    await reconcile_version(context, KEY)
    job = cluster.objects[JOB, "m-v1-a1"]
    job["status"] = FAILED
    for name, uid, code in (("old", "before", 3), ("own", job["metadata"]["uid"], 1)):
        ended = {"state": {"terminated": {"exitCode": code, "message": name}}}
        owner = {"ownerReferences": [{"kind": "Job", "name": "m-v1-a1", "uid": uid}]}
        cluster.put(POD, name, labels={"job-name": "m-v1-a1"}, metadata=owner, status={"containerStatuses": [ended]})
    view = await observe_job(context, parse_version(cluster.objects[MODEL_VERSION, "m-v1"]))
    assert (view.exit_code, view.message) == (1, "own")
