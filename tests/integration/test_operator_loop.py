"""The loop goes all the way round: policy, plan, version, Job, verdict, Deployment, and round again."""

import re

import pytest
from tests.integration.operator_api import Object, eventually
from tests.integration.operator_node import NOWHERE
from tests.integration.operator_pods import ServingPod
from tests.integration.operator_reports import CANARY, HANGS, KEEP
from tests.integration.operator_traffic import Traffic
from tests.integration.operator_world import World
from tests.integration.ports import free_port

from perennial.adapters.cluster import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    MODEL_DEPLOYMENT,
    MODEL_VERSION,
    RETRAIN_POLICY,
    SERVICE,
)
from perennial_contract.serving import ServerConfig
from perennial_contract.task import TrainingTask


def _task(world: World, version: str) -> TrainingTask:
    config = world.api.get(CONFIG_MAP, world.namespace, f"{version}-task")
    return TrainingTask.model_validate_json(config["data"]["task.json"])


def _selector(world: World, service: str) -> Object:
    found: Object = world.api.get(SERVICE, world.namespace, service)["spec"]["selector"]
    return found


def test_a_policy_brings_a_model_from_nothing_to_its_first_live_version(world: World) -> None:
    world.node.trainings["m-v1"] = HANGS
    model = world.model(decision={"rule": "Direction", "threshold": 0.55})
    world.policy(training={"timeout": "90s", "dataWindow": "30d", "seed": 7})

    training = world.await_phase("m-v1", "Training")
    plan = eventually(lambda: world.status(RETRAIN_POLICY, "p").get("plan"), "the plan is written")
    assert re.fullmatch(r"plan-\d{8}-\d{6}", plan["id"])
    assert plan["estimatedDuration"] == "15m"
    (job,) = plan["jobs"]
    assert (job["model"], job["priority"], job["reason"], job["version"]) == ("m", "Urgent", "NoVersion", "m-v1")
    version = world.api.get(MODEL_VERSION, world.namespace, "m-v1")
    assert version["spec"]["trigger"] | {"message": ""} == {
        "type": "Missing",
        "priority": "Urgent",
        "reason": "NoVersion",
        "policy": "p",
        "plan": plan["id"],
        "evidenceUntil": version["spec"]["trigger"]["evidenceUntil"],
        "message": "",
    }
    assert [o["uid"] for o in version["metadata"]["ownerReferences"]] == [model["metadata"]["uid"]]
    assert training["resolved"]["revision"] == 1
    assert "champion" not in training["resolved"]

    body = eventually(lambda: world.api.find(JOB, world.namespace, "m-v1-a1"), "the Job is made")
    spec, pod = body["spec"], body["spec"]["template"]["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], pod["restartPolicy"]) == (0, 90, "Never")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [o["uid"] for o in body["metadata"]["ownerReferences"]] == [version["metadata"]["uid"]]

    task = _task(world, "m-v1")
    assert task.version.uid == version["metadata"]["uid"]
    assert task.decision.threshold == pytest.approx(0.55)
    assert (task.seed, task.data_window.days, task.champion) == (7, 30, None)
    assert task.store == "file:///artifacts"

    del world.node.trainings["m-v1"]
    status = world.await_live("m-v1")
    assert status["stable"] == {
        "version": "m-v1",
        "uid": version["metadata"]["uid"],
        "weight": 1,
        "readyReplicas": 1,
    }
    assert (status["phase"], status["lastRevision"]) == ("Stable", 1)
    assert world.condition(MODEL_DEPLOYMENT, "m", "Ready")["status"] == "True"
    live = world.status(MODEL_VERSION, "m-v1")
    assert (live["verdict"]["decision"], live["verdict"]["reason"]) == ("Deploy", "NoChampion")
    assert live["artifact"]["uri"] == f"file:///artifacts/{task.version.artifact_path}"
    assert live["trainingSeconds"] >= 0

    deployment = world.api.get(DEPLOYMENT, world.namespace, "m-v1")
    assert deployment["spec"]["template"]["spec"]["nodeSelector"] == NOWHERE
    config = world.api.get(CONFIG_MAP, world.namespace, "m-v1-server")
    server = ServerConfig.model_validate_json(config["data"]["server.json"])
    assert (server.artifact.digest, server.version) == (live["artifact"]["digest"], version["metadata"]["uid"])
    assert _selector(world, "m") == {"perennial.dev/model": "m", "perennial.dev/track": "live"}
    eventually(lambda: _selector(world, "m-stable").get("perennial.dev/version") == "m-v1", "m-stable finds it")
    done = eventually(
        lambda: world.condition(RETRAIN_POLICY, "p", "Ready")["reason"] == "NothingToRetrain", "the plan is done"
    )
    assert done
    assert world.status(RETRAIN_POLICY, "p")["plan"]["id"] == plan["id"]
    assert [job["state"] for job in world.status(RETRAIN_POLICY, "p")["plan"]["jobs"]] == ["Done"]
    world.await_event("m", "Promoted")
    assert world.events("m-v1") == ["TrainingStarted", "VerdictDeploy"]
    assert world.events("m") == ["Deploying", "Promoted"]
    assert world.events("p") == ["PlanMade"]


def test_one_challenger_is_kept_out_and_the_next_takes_over(world: World) -> None:
    world.trained()
    world.policy()
    world.node.trainings["m-v2"] = KEEP
    world.retrain("once")
    rejected = world.await_phase("m-v2", "Rejected")
    assert rejected["verdict"]["decision"] == "Keep"
    assert "lift +0.5%" in rejected["verdict"]["message"]
    champion = _task(world, "m-v2").champion
    assert champion is not None
    assert champion.name == "m-v1"
    assert world.api.find(DEPLOYMENT, world.namespace, "m-v2") is None

    world.retrain("twice")
    status = world.await_live("m-v3")
    assert status["previous"]["version"] == "m-v1"
    assert world.await_phase("m-v1", "Archived")
    again = _task(world, "m-v3")
    assert again.evaluation.previous_holdout_until is not None
    eventually(lambda: world.api.find(DEPLOYMENT, world.namespace, "m-v1") is None, "m-v1 serves no more")
    eventually(lambda: world.api.find(DEPLOYMENT, world.namespace, "m-v1-shadow") is None, "and cooled down")
    assert list(world.versions()) == ["m-v1", "m-v2", "m-v3"]
    series = f'namespace="{world.namespace}"'
    verdicts = {n: v for n, v in world.metrics().items() if n.startswith("perennial_verdicts_total")}
    assert verdicts == {
        f'perennial_verdicts_total{{decision="Deploy",name="m",{series}}}': 2,
        f'perennial_verdicts_total{{decision="Keep",name="m",{series}}}': 1,
    }


def test_a_canary_climbs_on_evidence_and_is_promoted(world: World) -> None:
    world.trained()
    world.node.trainings["m-v2"] = CANARY
    world.version("m-v2")
    world.await_phase("m-v2", "Canary")
    status = world.status(MODEL_DEPLOYMENT, "m")
    assert (status["canary"]["version"], status["canary"]["weight"]) == ("m-v2", 0.2)
    assert (status["stable"]["version"], status["stable"]["weight"]) == ("m-v1", 0.8)
    # a fifth of one pod is none: the step is made in the shadow alone
    eventually(lambda: world.api.find(DEPLOYMENT, world.namespace, "m-v2-shadow"), "the canary shadows")
    assert world.api.find(DEPLOYMENT, world.namespace, "m-v2") is None
    assert _selector(world, "m-canary")["perennial.dev/version"] == "m-v2"
    assert world.condition(MODEL_DEPLOYMENT, "m", "Ready")["status"] == "True"
    assert world.condition(MODEL_DEPLOYMENT, "m", "CanaryActive")["status"] == "True"

    traffic = Traffic(world, "m-v1", "m-v2", canary_wins=0.9)
    traffic.backfill()
    traffic.start()
    try:
        eventually(lambda: world.status(MODEL_DEPLOYMENT, "m").get("canary", {}).get("weight") == 0.5, "it climbs")
        eventually(lambda: world.api.find(DEPLOYMENT, world.namespace, "m-v2"), "it takes traffic")
        status = world.await_live("m-v2", seconds=60)
    finally:
        traffic.stop()
    assert "canary" not in status
    assert world.await_phase("m-v1", "Archived")
    assert world.events("m") == [
        "Deploying",
        "Promoted",
        "CanaryStarted",
        "CanaryStep",
        "Promoting",
        "Replaced",
        "Promoted",
    ]


def test_a_canary_that_does_worse_goes_and_stable_is_untouched(world: World) -> None:
    world.trained()
    before = world.api.get(DEPLOYMENT, world.namespace, "m-v1")
    world.node.trainings["m-v2"] = CANARY
    world.version("m-v2")
    world.await_phase("m-v2", "Canary")
    Traffic(world, "m-v1", "m-v2", canary_wins=0.1).backfill()
    world.await_phase("m-v2", "Rejected")
    status = world.status(MODEL_DEPLOYMENT, "m")
    assert [(o["version"], o["reason"]) for o in status["outcomes"]] == [("m-v2", "CanaryWorse")]
    assert status["stable"]["weight"] == 1
    after = world.api.get(DEPLOYMENT, world.namespace, "m-v1")
    assert (after["metadata"]["uid"], after["metadata"]["generation"]) == (before["metadata"]["uid"], 1)
    eventually(lambda: world.api.find(DEPLOYMENT, world.namespace, "m-v2-shadow") is None, "its pods go")


def test_a_canary_whose_pods_crash_goes_at_the_next_look(world: World) -> None:
    world.trained()
    world.node.trainings["m-v2"] = CANARY
    world.node.broken.add("m-v2")
    world.version("m-v2")
    world.await_phase("m-v2", "Rejected")
    (outcome,) = world.status(MODEL_DEPLOYMENT, "m")["outcomes"]
    assert outcome["reason"] == "PodsFailing"
    assert outcome["message"] == (
        "weight 0: a pod of m-v2 fails (CrashLoopBackOff, exit code 1): model.ubj: digest is wrong: refused"
    )


def test_a_canary_whose_requests_fail_goes_at_the_next_look(world: World) -> None:
    """Its pods are ready and say of their requests what real servers say."""
    port = free_port()
    with ServingPod("127.0.0.2", port) as stable, ServingPod("127.0.0.3", port) as canary:
        world.node.addresses |= {"m-v1": stable.address, "m-v2": canary.address}
        world.trained(server={"port": port}, canary={"guard": {"maxLatencySeconds": 0.5}})
        world.node.trainings["m-v2"] = CANARY
        world.version("m-v2")
        world.await_phase("m-v2", "Canary")
        stable.answer(1_000)
        canary.answer(100_000, slow=10)
        before = canary.asked
        eventually(lambda: canary.asked > before + 1, "the canary is looked at")
        assert world.status(MODEL_DEPLOYMENT, "m")["canary"]["version"] == "m-v2"
        canary.answer(0, failed=100, slow=50)
        world.await_phase("m-v2", "Rejected")
    status = world.status(MODEL_DEPLOYMENT, "m")
    (outcome,) = status["outcomes"]
    assert outcome["reason"] == "RequestsFailing"
    assert outcome["message"] == (
        "weight 0: m-v2: of the last 150 requests 100 failed and 50 took longer than 0.5 s: surely more than 5.0%"
    )
    assert status["stable"]["weight"] == 1


def test_a_new_version_whose_pods_crash_never_takes_over(world: World) -> None:
    world.trained()
    world.node.broken.add("m-v2")
    world.version("m-v2")
    world.await_phase("m-v2", "Rejected")
    status = world.status(MODEL_DEPLOYMENT, "m")
    assert status["stable"]["version"] == "m-v1"
    assert status["outcomes"][0]["message"].endswith("the old version stays")
    eventually(lambda: world.condition(MODEL_DEPLOYMENT, "m", "Ready")["status"] == "True", "m is ready again")
