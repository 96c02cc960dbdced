"""Trainings that go wrong: what is hopeless fails at once, what may pass is tried again, and nothing gets to serve."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e.market import Market, times
from tests.e2e.scene import Object, Scene, condition
from tests.e2e.specs import API_VERSION, model, policy

from perennial.adapters.cluster import JOB, MODEL_DEPLOYMENT, MODEL_VERSION, POD, RETRAIN_POLICY
from perennial.resources import names

MARKET = Market(share=0.1)
ALTER = "NEW.report := NEW.report || ' ';"
"""A blank at the end: still the same JSON, no longer the text that the manifest lists."""


async def test_not_enough_data(scene: Scene) -> None:
    """More attempts would see the same rows: the version fails at its first, and the policy backs off."""
    await _load(scene, 150)
    await scene.apply(policy(training={"retries": 3}), model("m"))
    failed = await scene.until_phase("m-v1", "Failed")
    message = "150 resolved rows, 300 needed"
    assert failed["status"]["job"]["attempt"] == 1
    assert message in failed["status"]["job"]["message"]
    stalled = condition(failed, "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "TrainingFailed")
    assert message in stalled["message"]
    assert await _exit_codes(scene, "m-v1-a1") == [3]

    async def backs_off() -> bool:
        (job,) = (await scene.policy())["status"]["plan"]["jobs"]
        return bool(job.get("waitingFor") == "BackOff")

    await scene.until("the policy backs off", backs_off)
    assert await scene.versions("m") == ["m-v1"]
    assert len(await scene.jobs()) == 1
    await _assert_nothing_serves(scene)


async def test_training_timeout(scene: Scene) -> None:
    """A training that waits for a lock is stopped at its timeout; the next attempt finds the way free and is served."""
    await _load(scene, 2_000)
    # Of the operator's looks there are none in the meantime, so that the trainer alone waits.
    await scene.apply(model("m", interval="1h"))
    await scene.until("the model was looked at", lambda: _looked_at(scene))
    async with scene.database.locked("samples"):
        await scene.apply(_version("m-v1", timeout="30s", retries=2, retryBackoff="3s"))
        waits = await scene.until("attempt 1 failed", lambda: _failed_attempt(scene, 1))
        assert "m-v1-a1 was stopped at training.timeout (30s)" in waits["message"]
        assert await _job_failure(scene, "m-v1-a1") == "DeadlineExceeded"
    await scene.until_phase("m-v1", "Live")
    trained = (await scene.version("m-v1"))["status"]["job"]
    assert (trained["name"], trained["attempt"], trained["state"]) == ("m-v1-a2", 2, "Succeeded")
    await scene.until_stable("m", "m-v1")


async def test_altered_report(scene: Scene) -> None:
    """A report that is not what the trainer wrote is not believed, however often the Job succeeds."""
    await _load(scene, 2_000)
    await scene.database.on_report("alter", f"{scene.namespace}/m", ALTER)
    await scene.apply(model("m"), _version("m-v1", retries=1, retryBackoff="2s"))
    failed = await scene.until_phase("m-v1", "Failed")
    assert failed["status"]["job"]["attempt"] == 2
    assert "report.json has digest sha256:" in failed["status"]["job"]["message"]
    assert "verdict" not in failed["status"]
    assert "artifact" not in failed["status"]
    assert condition(failed, "Stalled")["reason"] == "TrainingFailed"
    jobs = {job["metadata"]["name"]: job["status"].get("succeeded") for job in await scene.jobs("m-v1")}
    assert jobs == {"m-v1-a1": 1, "m-v1-a2": 1}
    assert "DigestMismatch" in await _event_reasons(scene, "m-v1")
    await _assert_nothing_serves(scene)


async def test_deletion_midway(scene: Scene) -> None:
    """While a training runs: a policy's end does not stop it, a version's end and a model's end leave nothing of it."""
    await _load(scene, 2_000)
    await scene.apply(model("m"))
    async with scene.database.locked("model_reports"):  # so that no training gets to its end
        await scene.apply(policy())
        pods = await scene.until("m-v1 trains", lambda: _training_pods(scene, "m-v1"))
        await scene.delete(RETRAIN_POLICY, "spot")
        await scene.delete(MODEL_VERSION, "m-v1")
        await _until_no_trace(scene, f"{names.VERSION}=m-v1")
        assert await scene.versions("m") == []
        assert (await scene.model("m"))["status"]["phase"] == "Pending"

        await scene.apply(_version("m-v2"))
        later = await scene.until("m-v2 trains", lambda: _training_pods(scene, "m-v2"))
        assert not set(pods) & set(later)
        await scene.delete(MODEL_DEPLOYMENT, "m")
        await _until_no_trace(scene, names.MODEL)


def _version(name: str, **training: Any) -> Object:
    """A ModelVersion by hand: no policy makes another one when it fails."""
    common = policy()["spec"]["training"]
    spec = {"modelDeployment": "m", "training": {**common, "dataWindows": {}, **training}}
    return {"apiVersion": API_VERSION, "kind": "ModelVersion", "metadata": {"name": name}, "spec": spec}


async def _load(scene: Scene, count: int) -> None:
    step = timedelta(seconds=10)
    rows = MARKET.draw(count, seed=7)
    await scene.database.load(rows, times(count, datetime.now(UTC) - count * step, step), "history")


async def _looked_at(scene: Scene) -> bool:
    return bool(condition(await scene.model("m"), "StoreReady")["status"] == "True")


async def _failed_attempt(scene: Scene, attempt: int) -> Object | None:
    job: Object = (await scene.version("m-v1")).get("status", {}).get("job", {})
    return job if (job.get("attempt"), job.get("state")) == (attempt, "Failed") else None


async def _job_failure(scene: Scene, name: str) -> str:
    """The reason that Kubernetes gives for a Job's failure."""
    job = await scene.api.get(JOB, scene.namespace, name)
    assert job is not None
    return str(condition(job, "Failed")["reason"])


async def _exit_codes(scene: Scene, job: str) -> list[int]:
    pods = await scene.api.list(POD, scene.namespace, {"job-name": job})
    return [c["state"]["terminated"]["exitCode"] for p in pods for c in p["status"]["containerStatuses"]]


async def _event_reasons(scene: Scene, name: str) -> set[str]:
    found = scene.cluster.get("-n", scene.namespace, "events", "--field-selector", f"involvedObject.name={name}")
    return {event["reason"] for event in found["items"]}


async def _training_pods(scene: Scene, version: str) -> list[str]:
    pods = await scene.api.list(POD, scene.namespace, {names.VERSION: version})
    return [p["metadata"]["name"] for p in pods if p["status"]["phase"] == "Running"]


async def _assert_nothing_serves(scene: Scene) -> None:
    seen = await scene.model("m")
    assert "stable" not in seen["status"]
    assert condition(seen, "Ready")["status"] == "False"
    assert await scene.deployments("m") == []
    assert await scene.live_pods("m-v1") == []


async def _until_no_trace(scene: Scene, label: str) -> None:
    async def look() -> bool:
        left = await scene.traces(label)
        assert not left, left
        return True

    await scene.until(f"nothing with {label} is left", look)
