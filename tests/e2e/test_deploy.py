"""From nothing to a served model, from one version to the next and back, while a client keeps asking."""

from datetime import UTC, datetime, timedelta

from tests.e2e.load import Load
from tests.e2e.market import Market, times
from tests.e2e.scene import Scene, condition
from tests.e2e.specs import model, policy, server

from perennial.adapters.cluster import MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY
from perennial.resources import names

STEP = timedelta(seconds=2)
SLIGHT = Market(share=0.03, fickle=0.6)
"""Who knows of its turn is 1 % better."""
STRONG = Market(share=0.3, fickle=0.65)
"""Who knows of its turn is 17 % better."""


async def test_deploy(scene: Scene) -> None:
    """No version → Job → served; a retrain that gains too little is kept out, one that gains much takes over."""
    start = datetime.now(UTC)
    await _load(scene, SLIGHT, 10_000, start - timedelta(hours=60), seed=1)
    await scene.apply(model("m", server=server(replicas=2)), policy())
    await scene.until_stable("m", "m-v1")
    async with Load(await scene.endpoint("m"), SLIGHT.turn()) as load:
        await _load(scene, SLIGHT.turn(), 20_000, start - timedelta(hours=30), seed=2)
        await scene.retrain("first")
        kept = await scene.until_verdict("m-v2", "Keep")
        assert kept["status"]["phase"] == "Rejected"
        assert 0 < kept["status"]["evaluation"]["lift"] < 0.02

        load.market = STRONG.turn()
        await _load(scene, STRONG.turn(), 12_000, start - timedelta(hours=12), seed=3)
        await scene.retrain("second")
        deployed = await scene.until_verdict("m-v3", "Deploy")
        assert deployed["status"]["evaluation"]["lift"] > 0.05
        await scene.until_stable("m", "m-v3")
        await scene.until_silent("m-v1")
        assert await load.answering() == {await scene.uid("m-v3")}

        await scene.change_model("m", {"version": "m-v1"})
        await scene.until_stable("m", "m-v1")
        await scene.until_silent("m-v3")
        assert await load.answering() == {await scene.uid("m-v1")}
        await _unpin_changes_nothing(scene)
    assert load.failures == []
    assert set(load.answers) == {await scene.uid("m-v1"), await scene.uid("m-v3")}
    assert load.sent == load.answers.total()
    await _deletion_leaves_nothing(scene)


async def _load(scene: Scene, market: Market, count: int, first: datetime, seed: int) -> None:
    await scene.database.load(market.draw(count, seed), times(count, first, STEP), f"history-{seed}")


async def _unpin_changes_nothing(scene: Scene) -> None:
    await scene.change_model("m", {"version": None})
    generation = (await scene.model("m"))["metadata"]["generation"]

    async def look() -> bool:
        seen = await scene.model("m")
        return bool(condition(seen, "Ready")["observedGeneration"] == generation)

    await scene.until("the unpinned model was looked at", look)
    await scene.until_stable("m", "m-v1")
    assert await scene.versions("m") == ["m-v1", "m-v2", "m-v3"]
    assert (await scene.version("m-v3"))["status"]["phase"] == "Archived"


async def _deletion_leaves_nothing(scene: Scene) -> None:
    """A policy's end touches no model, a version's end takes its Job along, a model's end takes everything."""
    await scene.delete(RETRAIN_POLICY, "spot")
    pods = await scene.live_pods("m-v1")
    await scene.delete(MODEL_VERSION, "m-v2")

    async def version_is_gone() -> bool:
        return not await scene.traces(f"{names.VERSION}=m-v2")

    await scene.until("nothing of m-v2 is left", version_is_gone)
    assert await scene.live_pods("m-v1") == pods
    assert await scene.versions("m") == ["m-v1", "m-v3"]
    await scene.delete(MODEL_DEPLOYMENT, "m")

    async def model_is_gone() -> bool:
        left = await scene.traces(names.MODEL)
        assert not left, left
        return True

    await scene.until("nothing of the model is left", model_is_gone)
