"""Models whose live win rates are known: the poor ones are trained again, in one plan, and nobody else is."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tests.e2e.database import Prediction
from tests.e2e.market import Market, times
from tests.e2e.scene import Object, Scene
from tests.e2e.specs import model, policy

from perennial.adapters.cluster import RETRAIN_POLICY
from perennial_contract.durations import format_duration

MARKET = Market(share=0.1)
STEP = timedelta(seconds=10)
"""Longer than two time blocks: each outcome is evidence of its own."""
OLD_OUTCOMES = 6_000
"""So many make 48 % surely less than 50 %: its upper bound is 49.1 %. Of 45 % it is 46.1 %, Degraded, not Critical."""
WIN_PERCENT = {"poor": 45, "weak": 48, "good": 52, "young": 45}
YOUNG_OUTCOMES = 60
NEW_OUTCOMES = 300
"""That the first versions were not trained on: more than minOutcomes, for the same evidence never triggers twice."""


class Sample(NamedTuple):
    """What a prediction needs to know of a sample."""

    name: str
    target: int
    at: datetime


async def test_health(scene: Scene) -> None:
    """Two poor models make one plan with two urgent jobs; a good one and one with too few outcomes are left alone."""
    old = times(OLD_OUTCOMES, datetime.now(UTC) - OLD_OUTCOMES * STEP, STEP)
    samples = await _load(scene, old, seed=5)
    await _train_first_versions(scene)
    await _suspend(scene, True)
    new = times(NEW_OUTCOMES, datetime.now(UTC) - timedelta(seconds=7), timedelta(milliseconds=20))
    samples += await _load(scene, new, seed=6)
    for name, percent in WIN_PERCENT.items():
        served = _predictions(samples, percent)
        served = served[:YOUNG_OUTCOMES] if name == "young" else served
        await scene.database.record(f"{scene.namespace}/{name}", await scene.uid(f"{name}-v1"), served)
    await _assert_health(scene)
    planned = await _until_planned(scene)

    await _suspend(scene, False)
    for name in ("poor", "weak"):
        judged = await _until_judged(scene, f"{name}-v2")
        assert judged["spec"]["trigger"]["plan"] == planned["id"]
        assert judged["spec"]["trigger"]["type"] == "Health"
        assert judged["status"]["evaluation"]["champion"] is not None
        (job,) = await scene.jobs(f"{name}-v2")
        assert job["status"]["succeeded"] == 1
    assert await _states(scene) == {"poor": "Done", "weak": "Done"}
    assert (await scene.policy())["status"]["plan"]["id"] == planned["id"]
    assert {name: len(await scene.versions(name)) for name in WIN_PERCENT} == {
        "poor": 2,
        "weak": 2,
        "good": 1,
        "young": 1,
    }


async def _train_first_versions(scene: Scene) -> None:
    small = {"name": "xgboost", "parameters": {"num_boost_round": 20, "max_depth": 2}}
    health = {"window": "7d", "minOutcomes": 200}
    await scene.apply(policy(triggers={"health": {}}))
    await scene.apply(*(model(name, algorithm=small, health=health) for name in WIN_PERCENT))
    for name in WIN_PERCENT:
        await scene.until_stable(name, f"{name}-v1")


async def _suspend(scene: Scene, suspend: bool) -> None:
    """Both models must have turned poor before either is trained, or each would have a plan of its own."""
    await scene.api.patch(RETRAIN_POLICY, scene.namespace, "spot", {"spec": {"suspend": suspend}})


async def _load(scene: Scene, at: list[datetime], seed: int) -> list[Sample]:
    rows = MARKET.draw(len(at), seed)
    ids = await scene.database.load(rows, at, f"s{seed}")
    return [Sample(*sample) for sample in zip(ids, rows.target.tolist(), at, strict=True)]


def _predictions(samples: Sequence[Sample], percent: int) -> list[Prediction]:
    """Scores near ½, of which every hundred on end wins exactly so many, evenly spread."""
    found = []
    for i, sample in enumerate(samples):
        wins = (i + 1) * percent // 100 > i * percent // 100
        up = (sample.target == 1) == wins
        found.append(Prediction(sample.name, 0.51 if up else 0.49, sample.at))
    return found


async def _assert_health(scene: Scene) -> None:
    for name, state, percent in (("poor", "Degraded", 45), ("weak", "Degraded", 48), ("good", "Healthy", 52)):
        health = await _until_health(scene, name, state)
        assert health["winRate"]["outcomes"] == OLD_OUTCOMES + NEW_OUTCOMES
        assert abs(health["winRate"]["value"] - percent / 100) < 0.001
        assert (health["winRate"]["upper"] < 0.5) == (state == "Degraded")
    young = await _until_health(scene, "young", "Unknown")
    assert (young["reason"], young["winRate"]["outcomes"]) == ("NotEnoughOutcomes", YOUNG_OUTCOMES)


async def _until_health(scene: Scene, name: str, state: str) -> Object:
    async def look() -> Object | None:
        found: Object = (await scene.model(name))["status"].get("health", {})
        return found if found.get("state") == state and "winRate" in found else None

    return await scene.until(f"{name} is {state}", look)


async def _until_planned(scene: Scene) -> Object:
    """The plan of both, which waits for nothing but the policy."""

    async def look() -> Object | None:
        found: Object = (await scene.policy())["status"]["plan"]
        waiting = [job.get("waitingFor") for job in found["jobs"]]
        return found if waiting == ["Suspended", "Suspended"] else None

    plan = await scene.until("both are planned", look)
    assert [(j["model"], j["trigger"], j["priority"], j["reason"]) for j in plan["jobs"]] == [
        ("poor", "Health", "High", "HealthDegraded"),
        ("weak", "Health", "High", "HealthDegraded"),
    ]
    for job in plan["jobs"]:
        measured = (await scene.version(f"{job['model']}-v1"))["status"]["trainingSeconds"]
        assert (job["estimatedSeconds"], job["estimatedFrom"]) == (measured, 1)
    slowest = max(job["estimatedSeconds"] for job in plan["jobs"])
    assert plan["estimatedDuration"] == format_duration(timedelta(seconds=slowest))
    return plan


async def _until_judged(scene: Scene, version: str) -> Object:
    async def look() -> Object | None:
        found = await scene.version(version)
        return found if "verdict" in found.get("status", {}) else None

    return await scene.until(f"{version} has a verdict", look)


async def _states(scene: Scene) -> dict[str, str]:
    """Of the jobs, once none is left to do; the plan is the one that there was."""

    async def look() -> dict[str, str] | None:
        states = {job["model"]: job["state"] for job in (await scene.policy())["status"]["plan"]["jobs"]}
        return states if set(states.values()) == {"Done"} else None

    return await scene.until("the plan is done", look)
