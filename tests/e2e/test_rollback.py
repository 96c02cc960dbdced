"""A version that was promoted, and whose market then turns, is taken back by itself, and no request is lost."""

from datetime import UTC, datetime, timedelta

from tests.e2e.load import Load
from tests.e2e.market import Market, times
from tests.e2e.scene import Object, Scene
from tests.e2e.specs import model, policy, server

STEP = timedelta(seconds=2)
MARKET = Market(share=0.5, fickle=0.8)
"""Half of the rows turn their meaning: who knows of it wins 70 %, who does not 40 %."""


async def test_rollback(scene: Scene) -> None:
    """Deployed on the holdout's evidence; in live traffic worse than the version before, which scores beside it."""
    rows = MARKET.draw(10_000, seed=3)
    await scene.database.load(rows, times(len(rows), datetime.now(UTC) - timedelta(hours=60), STEP), "before")
    await scene.apply(model("m", server=server(replicas=2), rollback={"window": "15m", "minPairs": 200}), policy())
    await scene.until_stable("m", "m-v1")
    rows = MARKET.turn().draw(20_000, seed=4)
    await scene.database.load(rows, times(len(rows), datetime.now(UTC) - timedelta(hours=12), STEP), "after")
    await scene.retrain("after the turn")
    await scene.until_verdict("m-v2", "Deploy")
    promoted = await scene.until_stable("m", "m-v2")
    assert promoted["status"]["previous"]["version"] == "m-v1"

    async with Load(await scene.endpoint("m"), MARKET) as load:
        await scene.until_stable("m", "m-v1", seconds=480)
        await scene.until_silent("m-v2")
        assert await load.answering() == {await scene.uid("m-v1")}
    assert load.failures == []
    assert set(load.answers) == {await scene.uid("m-v1"), await scene.uid("m-v2")}
    await _assert_taken_back(scene)


async def _assert_taken_back(scene: Scene) -> None:
    status = (await scene.model("m"))["status"]
    assert [(o["version"], o["phase"], o["reason"]) for o in status["outcomes"]] == [("m-v2", "Rejected", "RolledBack")]
    assert (await scene.version("m-v2"))["status"]["phase"] == "Rejected"
    previous: Object = status["previous"]
    assert "warmUntil" not in previous, "what was taken back must not come out again without a new training"
    told = await scene.events("m")
    assert [reason for reason in told if reason in ("RollingBack", "RolledBack")] == ["RollingBack", "RolledBack"]
    assert await scene.versions("m") == ["m-v1", "m-v2"]
