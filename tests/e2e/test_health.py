"""Models whose live win rates are known: the poor ones are trained again, in one plan, and nobody else is."""

from datetime import UTC, datetime, timedelta

from tests.e2e import book
from tests.e2e.market import times
from tests.e2e.scene import Object, Scene
from tests.e2e.specs import model, policy

from perennial_contract.durations import format_duration

WIN_PERCENT = {"poor": 45, "weak": 48, "good": 52, "young": 45}
YOUNG_OUTCOMES = 60


async def test_health(scene: Scene) -> None:
    """Two poor models make one plan with two urgent jobs; a good one and one with too few outcomes are left alone."""
    old = times(book.OLD_OUTCOMES, datetime.now(UTC) - book.OLD_OUTCOMES * book.STEP, book.STEP)
    samples = await book.load(scene, old, seed=5)
    await _train_first_versions(scene)
    await book.suspend(scene, True)
    new = times(book.NEW_OUTCOMES, datetime.now(UTC) - timedelta(seconds=7), timedelta(milliseconds=20))
    samples += await book.load(scene, new, seed=6)
    for name, percent in WIN_PERCENT.items():
        served = book.predictions(samples, percent)
        served = served[:YOUNG_OUTCOMES] if name == "young" else served
        await scene.database.record(f"{scene.namespace}/{name}", await scene.uid(f"{name}-v1"), served)
    await book.until_weighed(scene, {name: percent for name, percent in WIN_PERCENT.items() if name != "young"})
    young = await book.until_health(scene, "young", "Unknown")
    assert (young["reason"], young["winRate"]["outcomes"]) == ("NotEnoughOutcomes", YOUNG_OUTCOMES)
    planned = await book.until_planned(scene)
    await _assert_planned(scene, planned)

    await book.suspend(scene, False)
    for name in ("poor", "weak"):
        judged = await book.until_judged(scene, f"{name}-v2")
        assert judged["spec"]["trigger"]["plan"] == planned["id"]
        assert judged["spec"]["trigger"]["type"] == "Health"
        assert judged["status"]["evaluation"]["champion"] is not None
        (job,) = await scene.jobs(f"{name}-v2")
        assert job["status"]["succeeded"] == 1
    assert (await book.until_done(scene, "poor", "weak"))["id"] == planned["id"]
    assert {name: len(await scene.versions(name)) for name in WIN_PERCENT} == {
        "poor": 2,
        "weak": 2,
        "good": 1,
        "young": 1,
    }


async def _train_first_versions(scene: Scene) -> None:
    small = {"name": "xgboost", "parameters": {"num_boost_round": 20, "max_depth": 2}}
    await scene.apply(policy(triggers={"health": {}}))
    await scene.apply(*(model(name, algorithm=small, health=book.HEALTH) for name in WIN_PERCENT))
    for name in WIN_PERCENT:
        await scene.until_stable(name, f"{name}-v1")


async def _assert_planned(scene: Scene, plan: Object) -> None:
    assert [(j["model"], j["trigger"], j["priority"], j["reason"]) for j in plan["jobs"]] == [
        ("poor", "Health", "High", "HealthDegraded"),
        ("weak", "Health", "High", "HealthDegraded"),
    ]
    for job in plan["jobs"]:
        measured = (await scene.version(f"{job['model']}-v1"))["status"]["trainingSeconds"]
        assert (job["estimatedSeconds"], job["estimatedFrom"]) == (measured, 1)
    slowest = max(job["estimatedSeconds"] for job in plan["jobs"])
    assert plan["estimatedDuration"] == format_duration(timedelta(seconds=slowest))
