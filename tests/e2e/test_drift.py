"""A feature that moves in the live stream: suspected after a window, drifting after two, trained anew once."""

from datetime import UTC, datetime, timedelta

from tests.e2e.load import Load
from tests.e2e.market import Market, times
from tests.e2e.scene import Object, Scene, condition
from tests.e2e.specs import model, policy

MARKET = Market(share=0.1)
WINDOW = timedelta(seconds=20)
RATE = 50.0
STEP = timedelta(seconds=1 / RATE)
"""History as dense as the live stream: rows that come faster than in training are worth no more."""
SHIFT = 1.0
"""Standard deviations of the feature that no signal is in: drift that costs no win."""


async def test_drift(scene: Scene) -> None:
    """One Medium job, of the first drifting window; a second would be one too many a day."""
    rows = MARKET.draw(10_000, seed=3)
    await scene.database.load(rows, times(len(rows), datetime.now(UTC) - timedelta(hours=60), STEP), "before")
    drift = {"window": f"{WINDOW.total_seconds():.0f}s", "minRows": 500, "falseAlarmEvery": "1d"}
    health = {"window": "7d", "minWinRate": 0.3, "minOutcomes": 200}
    limits = {"maxParallel": 2, "cooldown": "0s", "maxPerDay": 2}
    await scene.apply(policy(triggers={"drift": {}}, training={"dataWindow": "7d"}, limits=limits))
    await scene.apply(model("m", drift=drift, health=health))
    await scene.until_stable("m", "m-v1")

    async with Load(await scene.endpoint("m"), MARKET, rate=RATE) as load:
        await _until_drift(scene, "None")
        assert await scene.versions("m") == ["m-v1"]
        load.market = MARKET.shift(SHIFT)
        suspected = await _until_drift(scene, "Suspected", "Drifting")
        drifting = await _until_drift(scene, "Drifting")
        assert suspected["windowUntil"] <= drifting["windowUntil"]
        worst = drifting["features"][0]
        assert (worst["name"], worst["sign"]) == ("noise", "PSI")
        planned = await _until_planned(scene)
        judged = await scene.until_phase("m-v2", "Live", "Rejected", "Canary")
    assert load.failures == []
    assert (planned["trigger"], planned["priority"]) == ("Drift", "Medium")
    assert judged["spec"]["trigger"]["type"] == "Drift"
    assert judged["spec"]["trigger"]["reason"] == "FeaturesDrifted"
    assert "DriftDetected" in await scene.events("m")
    assert await scene.versions("m") == ["m-v1", "m-v2"]


async def _until_drift(scene: Scene, *states: str) -> Object:
    async def look() -> Object | None:
        found = await scene.model("m")
        drift: Object = found["status"].get("drift", {})
        if drift.get("state") not in states or "features" not in drift:
            return None
        assert (condition(found, "Drifting")["status"] == "True") == (drift["state"] == "Drifting")
        return drift

    return await scene.until(f"drift is {' or '.join(states)}", look)


async def _until_planned(scene: Scene) -> Object:
    async def look() -> Object | None:
        jobs = (await scene.policy())["status"].get("plan", {}).get("jobs", [])
        return next((job for job in jobs if job["trigger"] == "Drift"), None)

    return await scene.until("a job for drift is planned", look)
