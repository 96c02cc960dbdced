"""The operator is killed in the middle of everything that it does, and what comes out is what would have without."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from tests.e2e import operator_process
from tests.e2e.load import Load
from tests.e2e.market import Market, times
from tests.e2e.scene import Object, Scene
from tests.e2e.specs import model, policy, server

from perennial.adapters.cluster import POD, Kind
from perennial.resources import names

QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
STEP = timedelta(seconds=2)
MARKET = Market(share=0.1, fickle=0.6)
"""Who knows of its turn is 3.4 % better: enough for a canary, not enough to be deployed."""
LIVE = Market(share=0.5, fickle=0.8)
CANARY = {"steps": [0.2, 0.34], "minStepDuration": "15s", "minOutcomes": 300, "maxDuration": "1h"}
"""With 2 replicas: in the shadow alone, then one live pod, so that a promotion has to make another."""


async def test_operator_killed(scene: Scene) -> None:
    """Plan made, Job running, Job done, canary half-way, promotion half-way: one Job and one version of each."""
    await _load(scene, MARKET, 10_000, timedelta(hours=60), seed=3)
    await _train_first_version(scene)

    await _load(scene, MARKET.turn(), 20_000, timedelta(hours=12), seed=4)
    async with Load(await scene.endpoint("m"), LIVE.turn()) as load:
        await scene.retrain("after the turn")
        await scene.until_verdict("m-v2", "Canary")
        await _kill_during_the_canary(scene)
        await _kill_during_the_promotion(scene)
        await scene.until_stable("m", "m-v2")
        await scene.until_silent("m-v1")
        assert await load.answering() == {await scene.uid("m-v2")}
    assert load.failures == []

    await scene.until_looked_at("m")
    assert await scene.versions("m") == ["m-v1", "m-v2"]
    assert sorted(job["metadata"]["name"] for job in await scene.jobs()) == ["m-v1-a1", "m-v2-a1"]
    assert [(await scene.version(v))["status"]["phase"] for v in ("m-v1", "m-v2")] == ["Archived", "Live"]
    (reports,) = await scene.database.fetch("SELECT count(*) FROM model_reports")
    assert reports == (2,)


async def _load(scene: Scene, market: Market, count: int, ago: timedelta, seed: int) -> None:
    at = times(count, datetime.now(UTC) - ago, STEP)
    await scene.database.load(market.draw(count, seed), at, f"history-{seed}")


async def _train_first_version(scene: Scene) -> None:
    """Killed when the plan is written and its version cannot be created, while the Job runs, and as the Job ends."""
    async with scene.database.locked("model_reports") as lock:  # where a training ends: it waits there
        async with _quota(scene, {"count/modelversions.perennial.dev": 0}):
            await scene.apply(model("m", server=server(replicas=2), canary=CANARY), policy())
            plan = await scene.until("a plan is made", lambda: _planned(scene))
            await operator_process.kill(scene)
            assert await scene.versions("m") == []
        version = await scene.until_phase("m-v1", "Training")
        assert version["spec"]["trigger"]["plan"] == plan["id"]

        job = await scene.until("the Job runs", lambda: _running_job(scene))
        await operator_process.kill(scene)
        await scene.until_looked_at("m")
        assert await _running_job(scene) == job

        async with operator_process.killed(scene):
            await lock.close()

            async def succeeded() -> bool:
                return [j.get("status", {}).get("succeeded") for j in await scene.jobs()] == [1]

            await scene.until("the Job is done", succeeded)
            assert (await scene.version("m-v1"))["status"]["phase"] == "Training"
    await scene.until_stable("m", "m-v1")


async def _planned(scene: Scene) -> Object | None:
    plan: Object | None = (await scene.policy()).get("status", {}).get("plan")
    return plan if plan and [job["state"] for job in plan["jobs"]] == ["Planned"] else None


async def _running_job(scene: Scene) -> str | None:
    """The UIDs of the Jobs, once one Pod runs and there is no other."""
    jobs = await scene.jobs()
    pods = await scene.api.list(POD, scene.namespace, "job-name")
    running = [pod["status"]["phase"] for pod in pods] == ["Running"]
    return ", ".join(str(job["metadata"]["uid"]) for job in jobs) if running else None


async def _kill_during_the_canary(scene: Scene) -> None:
    """At the step where it serves; paused, for on a slow machine it would be over before it can be killed."""

    async def serves() -> Object | None:
        canary: Object | None = (await scene.model("m"))["status"].get("canary")
        return canary if canary and canary["step"] == 1 and canary["readyReplicas"] == 1 else None

    before = await scene.until("the canary serves", serves)
    await scene.change_model("m", {"paused": True})
    await operator_process.kill(scene)
    await scene.until_looked_at("m")
    after = await serves()
    assert after is not None
    assert [after[field] for field in ("uid", "startedAt")] == [before[field] for field in ("uid", "startedAt")]


async def _kill_during_the_promotion(scene: Scene) -> None:
    """While the pod is awaited that the new version still lacks."""

    async def shadow_is_gone() -> bool:
        return not await scene.api.list(POD, scene.namespace, {names.VERSION: "m-v2", names.TRACK: "shadow"})

    async def half_way() -> bool:
        status = (await scene.model("m"))["status"]
        assert status["stable"]["version"] == "m-v1"
        return bool(status.get("incoming", {}).get("readyReplicas") == 1)

    await scene.until("nothing comes or goes", shadow_is_gone)
    pods = [p for p in await scene.api.list(POD, scene.namespace) if p["status"]["phase"] != "Succeeded"]
    async with _quota(scene, {"pods": len(pods)}):
        await scene.change_model("m", {"paused": False})
        await scene.until("the promotion is half-way", half_way)
        await operator_process.kill(scene)
        await scene.until_looked_at("m")
        assert await half_way()


@asynccontextmanager
async def _quota(scene: Scene, hard: dict[str, int]) -> AsyncIterator[None]:
    """No more objects than that: what comes next has to wait."""
    spec = {"hard": {name: str(count) for name, count in hard.items()}}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "hold"}, "spec": spec}
    await scene.api.create(QUOTA, scene.namespace, body)

    async def in_force() -> bool:
        quota = await scene.api.get(QUOTA, scene.namespace, "hold")
        return quota is not None and "hard" in quota.get("status", {})

    await scene.until("the quota is in force", in_force)
    yield
    await scene.delete(QUOTA, "hold")
