"""Every file of manifests/examples, as it is: the API server takes it, and the operator finds nothing amiss."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import yaml
from tests.cluster.providers import ROOT
from tests.e2e.market import Market, times
from tests.e2e.scene import Object, Scene, condition

from perennial.adapters.cluster import MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY
from perennial.api.retrain_policy import Selector
from perennial.domain.selector import matches
from perennial.resources import names

EXAMPLES = ROOT / "manifests" / "examples"
HOLDOUT = 5_000
"""The most that an example wants for its comparison."""
HOUR = timedelta(hours=1)


async def test_examples(scene: Scene) -> None:
    """Prerequisites, all models together, policy after policy; none is Stalled, and in the end none is left."""
    examples = _read_examples()
    models, policies = examples.pop("ModelDeployment"), examples.pop("RetrainPolicy")
    await _assert_prerequisites(scene, [body for kind in examples.values() for body in kind])
    await _fill_tables(scene, models)
    await scene.apply(*models)
    for body in models:
        await _until_accepted(scene, body["metadata"]["name"])
    await _assert_nothing_stalled(scene)

    # One at a time: of two policies that match a model the older one governs.
    for body in policies:
        await scene.apply(body)
        await _until_governing(scene, body, models)
        await _assert_nothing_stalled(scene)
        await scene.delete(RETRAIN_POLICY, body["metadata"]["name"])
    trained = {body["metadata"]["name"] for body in models if body["metadata"].get("labels")}
    await scene.until("a Job trains for every model of a book", lambda: _jobs_of(scene, trained))
    await _assert_nothing_stalled(scene)

    for body in models:
        await scene.delete(MODEL_DEPLOYMENT, body["metadata"]["name"])

    async def nothing_left() -> bool:
        left = await scene.traces(names.MODEL)
        assert not left, left
        return True

    await scene.until("nothing is left", nothing_left)


def _read_examples() -> dict[str, list[Object]]:
    """All documents of all files, by kind."""
    found = defaultdict(list)
    for path in sorted(EXAMPLES.rglob("*.yaml")):
        bodies = [body for body in yaml.safe_load_all(path.read_text()) if body]
        assert bodies, f"{path} is empty"
        for body in bodies:
            found[body["kind"]].append(body)
    return found


async def _assert_prerequisites(scene: Scene, bodies: list[Object]) -> None:
    """The API server takes them (under other names), and they are what this namespace has."""
    copies = [{**body, "metadata": {**body["metadata"], "namespace": scene.namespace}} for body in bodies]
    for body in copies:
        name = body["metadata"]["name"]
        found = await asyncio.to_thread(scene.cluster.get, "-n", scene.namespace, body["kind"], name)
        assert set(found.get("data", {})) == set(body.get("stringData", {}))
        body["metadata"]["name"] = f"{name}-example"
    await asyncio.to_thread(scene.cluster.apply, *copies)


async def _fill_tables(scene: Scene, models: list[Object]) -> None:
    """What `perennial example` would bring, with made-up features and enough rows for a training."""
    count = HOLDOUT + 1_500
    first = datetime.now(UTC) - count * HOUR
    samples = [body["spec"]["samples"] for body in models]
    for table, predictions in {(s.get("table", "samples"), s.get("predictionsTable", "predictions")) for s in samples}:
        await scene.database.create_tables(table, predictions)
        await scene.database.load(Market(share=0.1).draw(count, seed=8), times(count, first, HOUR), table, table)


async def _until_accepted(scene: Scene, model: str) -> None:
    async def look() -> bool:
        found = await scene.model(model)
        seen = condition(found, "StoreReady")
        assert seen["status"] == "True", seen
        return bool(condition(found, "Ready")["observedGeneration"] == found["metadata"]["generation"])

    await scene.until(f"{model} is looked at", look)


async def _until_governing(scene: Scene, body: Object, models: list[Object]) -> None:
    """The policy is in force for all models that it selects."""
    name, selector = body["metadata"]["name"], Selector.model_validate(body["spec"]["selector"])
    selected = {m["metadata"]["name"] for m in models if matches(selector, m["metadata"].get("labels", {}))}
    assert selected, f"{name} selects no model of the examples"

    async def look() -> bool:
        found = await scene.policy(name)
        return condition(found, "Ready")["status"] == "True" and bool(found["status"]["models"] == len(selected))

    await scene.until(f"{name} governs {selected}", look)


async def _jobs_of(scene: Scene, models: set[str]) -> bool:
    """Also a Job is something that the API server has to accept."""
    return {job["metadata"]["labels"][names.MODEL] for job in await scene.jobs()} == models


async def _assert_nothing_stalled(scene: Scene) -> None:
    for kind in (MODEL_DEPLOYMENT, RETRAIN_POLICY, MODEL_VERSION):
        for body in await scene.api.list(kind, scene.namespace):
            conditions = {c["type"]: c for c in body.get("status", {}).get("conditions", [])}
            assert "Stalled" not in conditions, f"{body['metadata']['name']}: {conditions['Stalled']}"
