"""A book of models whose live win rates are known: history, predictions that win so often, and what becomes of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tests.e2e.database import Prediction
from tests.e2e.market import Market
from tests.e2e.scene import WAIT_SECONDS, Object, Scene

from perennial.adapters.cluster import RETRAIN_POLICY

MARKET = Market(share=0.1)
STEP = timedelta(seconds=10)
"""Longer than two time blocks: each outcome is evidence of its own."""
OLD_OUTCOMES = 6_000
"""So many make 48 % surely less than 50 %: its upper bound is 49.1 %. Of 45 % it is 46.1 %, Degraded, not Critical."""
NEW_OUTCOMES = 300
"""That the first versions were not trained on: more than minOutcomes, for the same evidence never triggers twice."""
HEALTH = {"window": "7d", "minOutcomes": 200}


class Sample(NamedTuple):
    """What a prediction needs to know of a sample."""

    name: str
    target: int
    at: datetime


async def load(scene: Scene, at: list[datetime], seed: int) -> list[Sample]:
    """Rows of the market at these times."""
    rows = MARKET.draw(len(at), seed)
    ids = await scene.database.load(rows, at, f"s{seed}")
    return [Sample(*sample) for sample in zip(ids, rows.target.tolist(), at, strict=True)]


def predictions(samples: Sequence[Sample], percent: int) -> list[Prediction]:
    """Scores near ½, of which every hundred on end wins exactly so many, evenly spread."""
    found = []
    for i, sample in enumerate(samples):
        wins = (i + 1) * percent // 100 > i * percent // 100
        up = (sample.target == 1) == wins
        found.append(Prediction(sample.name, 0.51 if up else 0.49, sample.at))
    return found


async def suspend(scene: Scene, suspended: bool) -> None:
    """All models must have turned poor before any is trained, or each would have a plan of its own."""
    await scene.api.patch(RETRAIN_POLICY, scene.namespace, "spot", {"spec": {"suspend": suspended}})


async def until_health(scene: Scene, name: str, state: str) -> Object:
    """`status.health` of a model once it is so."""

    async def look() -> Object | None:
        found: Object = (await scene.model(name))["status"].get("health", {})
        return found if found.get("state") == state and "winRate" in found else None

    return await scene.until(f"{name} is {state}", look)


async def until_weighed(scene: Scene, percents: dict[str, int]) -> None:
    """Returns once all outcomes of these models are counted, and those that surely win less than half are Degraded."""
    for name, percent in percents.items():
        state = "Degraded" if percent < 50 else "Healthy"
        health = await until_health(scene, name, state)
        assert health["winRate"]["outcomes"] == OLD_OUTCOMES + NEW_OUTCOMES
        assert abs(health["winRate"]["value"] - percent / 100) < 0.001
        assert (health["winRate"]["upper"] < 0.5) == (state == "Degraded")


async def until_planned(scene: Scene) -> Object:
    """The plan, which waits for nothing but the policy."""

    async def look() -> Object | None:
        found: Object = (await scene.policy())["status"]["plan"]
        waiting = {job.get("waitingFor") for job in found["jobs"]}
        return found if waiting == {"Suspended"} and len(found["jobs"]) == 2 else None

    return await scene.until("two are planned", look)


async def until_judged(scene: Scene, version: str) -> Object:
    """The version with its verdict, whatever that is."""

    async def look() -> Object | None:
        found = await scene.version(version)
        return found if "verdict" in found.get("status", {}) else None

    return await scene.until(f"{version} has a verdict", look)


async def until_done(scene: Scene, *models: str, seconds: float = WAIT_SECONDS) -> Object:
    """The plan, once these models are in it and no job is left to do."""

    async def look() -> Object | None:
        plan: Object = (await scene.policy())["status"]["plan"]
        states = {job["model"]: job["state"] for job in plan["jobs"]}
        return plan if states == dict.fromkeys(models, "Done") else None

    return await scene.until(f"the plan of {', '.join(models)} is done", look, seconds)
