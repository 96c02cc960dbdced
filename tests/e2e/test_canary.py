"""A challenger that may be better earns its traffic, and loses it at once when it turns out worse or fails."""

import asyncio
import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from tests.cluster.store import MODELS_CLAIM
from tests.e2e.load import Load
from tests.e2e.market import Market, times
from tests.e2e.pods import run_in_volume
from tests.e2e.scene import Object, Scene
from tests.e2e.specs import model, policy, server

from perennial.adapters.cluster import MODEL_VERSION
from perennial.resources import names

STEP = timedelta(seconds=2)
MARKET = Market(share=0.1, fickle=0.6)
"""Who knows of its turn is 3.4 % better: enough for a canary, not enough to be deployed."""
CALM = Market(share=0.0)
"""Live traffic in which the versions agree: nothing is decided."""
LIVE = Market(share=0.5, fickle=0.8)
"""In live traffic the versions differ on every second row, so that minutes bring the evidence that takes weeks else."""


async def _prepare(scene: Scene, policy_body: Object) -> None:
    """A policy, a model, and its history up to the market's turn."""
    rows = MARKET.draw(10_000, seed=3)
    await scene.database.load(rows, times(len(rows), datetime.now(UTC) - timedelta(hours=60), STEP), "before")
    await scene.apply(model("m", server=server(replicas=2)), policy_body)


async def _retrain_after_turn(scene: Scene) -> None:
    """Before any traffic: live rows are the holdout's newest, and the more of them there are the more they decide."""
    rows = MARKET.turn().draw(20_000, seed=4)
    await scene.database.load(rows, times(len(rows), datetime.now(UTC) - timedelta(hours=12), STEP), "after")
    await scene.retrain("after the turn")
    judged = await scene.until_verdict("m-v2", "Canary")
    assert 0.02 <= judged["status"]["evaluation"]["lift"] <= 0.05


class Watched:
    """The canary's states as the API showed them one after the other."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.seen: list[Object] = []
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            canary = (await self._scene.model("m")).get("status", {}).get("canary")
            if canary and canary not in self.seen[-1:]:
                self.seen.append(canary)
            await asyncio.sleep(0.2)

    async def stop(self) -> list[Object]:
        """What was seen."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        return self.seen


async def test_canary_promoted(scene: Scene) -> None:
    """Weights climb step by step, pairs accumulate, the evidence passes, and the new version takes over."""
    await _prepare(scene, policy())
    await scene.until_stable("m", "m-v1")
    await _retrain_after_turn(scene)
    async with Load(await scene.endpoint("m"), LIVE.turn(), keep_alive=False) as load:
        watched = Watched(scene)
        await scene.until_phase("m-v2", "Canary")
        await scene.until_stable("m", "m-v2", seconds=480)
        states = await watched.stop()
        await scene.until_silent("m-v1")
        assert await load.answering() == {await scene.uid("m-v2")}
    assert load.failures == []
    weights = [state["weight"] for state in states]
    pairs = [state["evidence"]["pairs"] for state in states if state["evidence"]["pairs"]]
    assert sorted(set(weights)) == [0.34, 0.5]
    assert weights == sorted(weights)
    assert len(set(pairs)) > 3
    assert pairs == sorted(pairs)
    assert states[-1]["evidence"]["eValue"] >= 20
    _assert_weights(states)
    assert (await scene.version("m-v1"))["status"]["phase"] == "Archived"
    await _assert_pairs(scene)
    live = load.answers[await scene.uid("m-v2")]
    assert live > 0


def _assert_weights(states: list[Object]) -> None:
    """What each step's last look counted is not more than the step allows, and at the last step it is something.

    With a connection a request, each of a step's n live requests falls on one of the endpoint's ready pods by itself,
    and on the canary's with a chance of at most the step's weight w (pods that start yet only lower it). So the share
    is above w + 4·√(w(1 − w)/n) in 3 of 100 000 runs, and one look a step is judged: its last. For n stand the pairs
    that became known between the step's first look and its last: under steady load as many requests came in during
    that time, which the step outlasts, so that n is no smaller. Status rounds to hundredths.
    """
    for step in sorted({state["weight"] for state in states}):
        looks = [state for state in states if state["weight"] == step and "observedWeight" in state]
        assert looks, f"nothing was counted at weight {step}"
        first, last = looks[0], looks[-1]
        requests = last["evidence"]["pairs"] - first["evidence"]["pairs"]
        slack = 4 * math.sqrt(step * (1 - step) / max(requests, 1)) + 0.005
        assert last["observedWeight"] <= step + slack, f"at weight {step}, of {requests} requests"
    # of an earlier step it may be nothing: it can end with pods ready in the shadow, and no live one yet
    assert states[-1]["observedWeight"] > 0


async def _assert_pairs(scene: Scene) -> None:
    """Both versions scored the same samples, the one live and the other in the shadow."""
    query = """
        SELECT count(*) FILTER (WHERE a.track = 'live' AND b.track = 'shadow'),
               count(*) FILTER (WHERE a.track = 'shadow' AND b.track = 'live'),
               count(*) FILTER (WHERE a.track = b.track)
        FROM predictions a JOIN predictions b USING (model, sample_id)
        WHERE a.version = %(stable)s AND b.version = %(canary)s"""
    stable, canary = await scene.uid("m-v1"), await scene.uid("m-v2")
    (by_stable, by_canary, by_both), *_ = await scene.database.fetch(query, stable=stable, canary=canary)
    assert by_stable > 300
    assert by_canary > 100
    assert by_both == 0


async def test_canary_worse(scene: Scene) -> None:
    """It has live traffic, in which it turns out wrong: weight 0, rejected, and the stable version untouched."""
    await _prepare(scene, policy())
    await scene.until_stable("m", "m-v1")
    pods = await scene.live_pods("m-v1")
    await _retrain_after_turn(scene)
    async with Load(await scene.endpoint("m"), CALM) as load:
        await scene.until_phase("m-v2", "Canary")
        canary = await scene.uid("m-v2")

        async def answers() -> bool:
            return load.answers[canary] > 0

        await scene.until("the canary answers clients", answers)
        load.market = LIVE
        await scene.until_phase("m-v2", "Rejected", seconds=480)
        await scene.until_silent("m-v2")
        assert await load.answering() == {await scene.uid("m-v1")}
    assert load.failures == []
    await _assert_taken_out(scene, "CanaryWorse", pods)


async def test_canary_crashes(scene: Scene) -> None:
    """A canary whose artifact was changed by one byte: its server refuses it, and the canary ends at once."""
    await _prepare(scene, policy(promotion={"approval": "Required"}))
    await scene.until_verdict("m-v1", "Deploy")
    await scene.annotate(MODEL_VERSION, "m-v1", names.ONE_SHOT["approve"], "yes")
    await scene.until_stable("m", "m-v1")
    pods = await scene.live_pods("m-v1")
    await _retrain_after_turn(scene)
    async with Load(await scene.endpoint("m"), LIVE.turn()) as load:
        await _change_one_byte(scene)
        await scene.annotate(MODEL_VERSION, "m-v2", names.ONE_SHOT["approve"], "yes")
        await scene.until_phase("m-v2", "Rejected")
        await scene.until_silent("m-v2")
    assert load.failures == []
    await _assert_taken_out(scene, "PodsFailing", pods)
    assert set(load.answers) == {await scene.uid("m-v1")}


async def _change_one_byte(scene: Scene) -> None:
    """In the model file of the version that waits for its approval."""
    version = await scene.version("m-v2")
    path = version["status"]["artifact"]["uri"].removeprefix("file://") + "/model.ubj"
    program = f"""
        file = open({path!r}, "r+b")
        file.seek(200)
        byte = file.read(1)[0]
        file.seek(200)
        file.write(bytes([byte ^ 1]))
        file.close()"""
    await run_in_volume(scene, MODELS_CLAIM, program)


async def _assert_taken_out(scene: Scene, reason: str, pods: list[str]) -> None:
    status = (await scene.model("m"))["status"]
    assert "canary" not in status
    assert (status["stable"]["version"], status["stable"]["weight"]) == ("m-v1", 1)
    assert [(o["version"], o["phase"], o["reason"]) for o in status["outcomes"]] == [("m-v2", "Rejected", reason)]
    assert await scene.live_pods("m-v1") == pods
    assert await scene.deployments("m") == ["m-v1"]
