"""The four kinds of model as ensembles under one policy, and a deep one that takes a tree's place."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e import book
from tests.e2e.load import Load
from tests.e2e.market import Market, times
from tests.e2e.scene import Scene
from tests.e2e.specs import model, policy, server

from perennial.adapters.cluster import RETRAIN_POLICY

WIN_PERCENT = {"xgboost-ensemble": 45, "lightgbm-ensemble": 48, "nhits-ensemble": 52, "patchtst-ensemble": 55}
POOR = ("xgboost-ensemble", "lightgbm-ensemble")
DEEP: dict[str, Any] = {"input_size": 4, "max_steps": 60, "val_check_steps": 20, "learning_rate": 0.01}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "xgboost": {"num_boost_round": 20, "max_depth": 2},
    "lightgbm": {"num_boost_round": 20, "num_leaves": 4},
    "nhits": {**DEEP, "mlp_units": [[16, 16]] * 3},
    "patchtst": {
        **DEEP,
        "hidden_size": 16,
        "n_heads": 2,
        "encoder_layers": 1,
        "linear_hidden_size": 16,
        "patch_len": 2,
        "stride": 1,
    },
}
"""Small enough for seconds of training."""

MARKET = Market(share=0.1, fickle=0.6)
"""Who knows of its turn is 3.4 % better: enough for a canary, not enough to be deployed."""
LIVE = Market(share=0.5, fickle=0.8)
"""In live traffic the versions differ on every second row, so that minutes bring the evidence that takes weeks else."""
EVERY = timedelta(seconds=2)


async def test_four_ensembles(scene: Scene) -> None:
    """The two that win too little are retrained, both with high priority; the next day's schedule retrains all four."""
    old = times(book.OLD_OUTCOMES, datetime.now(UTC) - book.OLD_OUTCOMES * book.STEP, book.STEP)
    samples = await book.load(scene, old, seed=7)
    await _train_first_versions(scene)
    await book.suspend(scene, True)
    samples += await book.load(scene, _just_now(), seed=8)
    for name, percent in WIN_PERCENT.items():
        served = book.predictions(samples, percent)
        await scene.database.record(f"{scene.namespace}/{name}", await scene.uid(f"{name}-v1"), served)
    await book.until_weighed(scene, WIN_PERCENT)
    planned = await book.until_planned(scene)
    assert {(job["model"], job["trigger"], job["priority"]) for job in planned["jobs"]} == {
        (name, "Health", "High") for name in POOR
    }
    await book.suspend(scene, False)
    assert (await book.until_done(scene, *POOR))["id"] == planned["id"]
    assert await _revisions(scene) == {name: 2 if name in POOR else 1 for name in WIN_PERCENT}

    await book.load(scene, _just_now(), seed=9)  # a schedule, too, needs outcomes that no attempt has seen
    await _schedule_soon(scene)
    daily = await book.until_done(scene, *WIN_PERCENT, seconds=480)
    assert {(job["trigger"], job["priority"]) for job in daily["jobs"]} == {("Schedule", "Low")}
    assert await _revisions(scene) == {name: 3 if name in POOR else 2 for name in WIN_PERCENT}
    for name, revisions in (await _revisions(scene)).items():
        judged = await book.until_judged(scene, f"{name}-v{revisions}")
        assert judged["status"]["evaluation"]["champion"] is not None
        assert judged["status"]["resolved"]["algorithm"]["members"] == 2


def _just_now() -> list[datetime]:
    return times(book.NEW_OUTCOMES, datetime.now(UTC) - timedelta(seconds=7), timedelta(milliseconds=20))


async def _train_first_versions(scene: Scene) -> None:
    await scene.apply(policy(triggers={"health": {}}))
    for algorithm, parameters in ALGORITHMS.items():
        ensemble = {"name": algorithm, "parameters": parameters, "members": 2}
        await scene.apply(model(f"{algorithm}-ensemble", algorithm=ensemble, health=book.HEALTH))
    for name in WIN_PERCENT:
        await scene.until_stable(name, f"{name}-v1")


async def _revisions(scene: Scene) -> dict[str, int]:
    return {name: len(await scene.versions(name)) for name in WIN_PERCENT}


async def _schedule_soon(scene: Scene) -> None:
    """Every day at a time that comes within 80 seconds: nobody waits a day for a test."""
    due = datetime.now(UTC) + timedelta(seconds=80)
    triggers = {"schedule": {"cron": f"{due.minute} {due.hour} * * *"}}
    await scene.api.patch(RETRAIN_POLICY, scene.namespace, "spot", {"spec": {"triggers": triggers}})


async def test_deep_challenger(scene: Scene) -> None:
    """A tree's model becomes N-HiTS: the challenger meets the tree on the same rows, then in traffic, and serves."""
    rows = MARKET.draw(10_000, seed=3)
    await scene.database.load(rows, times(len(rows), datetime.now(UTC) - timedelta(hours=60), EVERY), "before")
    await scene.apply(model("m", server=server(replicas=2)), policy())
    await scene.until_stable("m", "m-v1")
    rows = MARKET.turn().draw(20_000, seed=4)
    await scene.database.load(rows, times(len(rows), datetime.now(UTC) - timedelta(hours=12), EVERY), "after")
    of_tree = dict.fromkeys((await scene.model("m"))["spec"]["algorithm"]["parameters"])  # a merge removes what is None
    await scene.change_model(
        "m", {"algorithm": {"name": "nhits", "parameters": {**of_tree, **ALGORITHMS["nhits"], "max_steps": 200}}}
    )
    await scene.retrain("with a network")
    judged = await scene.until_verdict("m-v2", "Canary")
    assert judged["status"]["resolved"]["algorithm"]["name"] == "nhits"
    assert 0.02 <= judged["status"]["evaluation"]["lift"] <= 0.05
    async with Load(await scene.endpoint("m"), LIVE.turn(), keep_alive=False) as load:
        await scene.until_phase("m-v2", "Canary")
        canary, stable = await scene.uid("m-v2"), await scene.uid("m-v1")
        await scene.until_stable("m", "m-v2", seconds=480)
        await scene.until_silent("m-v1")
        assert await load.answering() == {canary}
    assert load.failures == []
    assert set(load.answers) == {canary, stable}
