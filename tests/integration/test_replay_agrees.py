"""One recorded stream, fed to a replay and to the operator on a real API server: both do the same."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml
from tests.cluster import Cluster
from tests.integration.operator_api import NAMESPACE, Api, eventually
from tests.integration.operator_node import NOWHERE
from tests.integration.operator_process import OperatorProcess
from tests.integration.operator_stand import SERVICE_ACCOUNT
from tests.integration.operator_world import World
from tests.integration.recorded_stream import ServingNode, Stream
from tests.integration.replays import FEATURES, MODEL, POLICY, Row, merged, record, run, turning_market

from perennial.adapters.cluster import MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY
from perennial.adapters.recording import open_history
from perennial.adapters.store.schema import predictions_table, reports_table, samples_table
from perennial.replay.predictions import Predictions
from perennial.replay.runner import Watcher
from perennial.replay.simulation import Simulation

ROWS, TURN, SEED = 2100, 1600, 5
RUN_UP = timedelta(hours=1120)
"""History that is there when the model is declared."""
LOUD = (slice(900, 1000), slice(1400, ROWS))
"""Hours of another regime, by the feature that tells nothing else."""
LOOK_EVERY = timedelta(hours=8)
TAKES = timedelta(minutes=15)
CHANGES: dict[str, Any] = {
    "canary": {"minOutcomes": 15},
    "regime": {"column": "noise"},
    "server": {"podTemplate": {"spec": {"nodeSelector": NOWHERE}}},
}
PROMOTION = {"deployAbove": 10.0}
"""Whoever beats a champion has to earn it as a canary."""
TRIGGERS = {"regime": {"sustainedFor": "2d"}}
TRAINING = {
    "dataWindows": {"Regime": "15d"},
    "image": "nowhere.invalid/trainer:none",
    "resources": {"requests": {"cpu": "1000"}},
}


def market() -> list[Row]:
    """The market of `turning_market`, with regimes."""
    rows = turning_market(ROWS, TURN, SEED)
    for row in (row for part in LOUD for row in rows[part]):
        row["noise"] *= 5
    return rows


def shifted(rows: list[Row], start: datetime) -> list[Row]:
    """The market with its first hour at another instant."""
    by = start - rows[0]["at"]
    return [{**row, "at": row["at"] + by, "resolved_at": row["resolved_at"] + by} for row in rows]


@contextmanager
def namespace_of(cluster: Cluster, api: Api, database: str, folder: Path) -> Iterator[World]:
    """A namespace with an empty store, and an operator that has not been started."""
    namespace = f"agree-{secrets.token_hex(4)}"
    engine = sa.create_engine(database)
    for table in (samples_table("samples", FEATURES), predictions_table("predictions"), reports_table()):
        table.metadata.create_all(engine)
    engine.dispose()
    operator = OperatorProcess(cluster.kubeconfig, folder / "log", [namespace], artifacts_claim="models")
    operator.program = ("tests.integration.operator_on_clock", str(folder / "clock"))
    api.create(NAMESPACE, None, {"metadata": {"name": namespace}})
    eventually(lambda: api.find(SERVICE_ACCOUNT, namespace, "default"), "pods can be made")
    node = ServingNode(api, namespace, database)
    world = World(api, namespace, database, node, operator)
    world.secret()
    node.start()
    try:
        yield world
        assert node.problems == []
    finally:
        node.stop()
        for kind in (RETRAIN_POLICY, MODEL_DEPLOYMENT):
            api.call("DELETE", kind.path(namespace))
        eventually(lambda: not api.list(MODEL_DEPLOYMENT, namespace), "the operator lets go of its model")
        operator.stop()
        api.delete(NAMESPACE, None, namespace)
        print(operator.log.read_text()[-5_000:])


def test_the_operator_does_what_its_replay_did(cluster: Cluster, api: Api, postgres_url: str, tmp_path: Path) -> None:
    secret = {"readUrlFrom": {"name": "samples-store"}, "writeUrlFrom": {"name": "samples-store"}}
    model = {**MODEL, "spec": merged(merged(MODEL["spec"], CHANGES), {"samples": secret})}
    changes = {"training": TRAINING, "promotion": PROMOTION, "triggers": TRIGGERS}
    policy = {**POLICY, "spec": merged(POLICY["spec"], changes)}
    with namespace_of(cluster, api, postgres_url, tmp_path) as world:
        api.create(MODEL_DEPLOYMENT, world.namespace, model)
        created = api.create(RETRAIN_POLICY, world.namespace, policy)
        since = datetime.fromisoformat(created["metadata"]["creationTimestamp"])
        rows = shifted(market(), since - RUN_UP + timedelta(minutes=30))

        for document in (model, policy):
            document["metadata"] = {**document["metadata"], "namespace": world.namespace}
        files = tmp_path / "book.yaml"
        files.write_text(yaml.safe_dump_all([model, policy]))
        moments: list[datetime] = []

        def note(_: str, moment: datetime, __: Simulation) -> None:
            moments.append(moment)

        options = {"since": since, "look_every": LOOK_EVERY, "training_duration": TAKES}
        _, [book] = run([files], record(tmp_path, rows), tmp_path / "work", Watcher(progress=note), **options)
        assert book.simulation is not None
        journal = book.simulation.journal

        history = open_history(tmp_path / "work" / "recording" / "samples")
        predictions = Predictions(history, timedelta(hours=2))
        folder = tmp_path / "stream"
        folder.mkdir()
        stream = Stream(
            api, world.namespace, postgres_url, world.operator, tmp_path / "clock", rows, predictions, folder
        )
        asyncio.run(stream.play(since, moments, TAKES))

        expected: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for entry in journal.entries:
            if entry.kind != "Trigger":
                about = entry.version if entry.about == MODEL_VERSION.kind else None
                name = about or ("m" if entry.about == MODEL_DEPLOYMENT.kind else "p")
                expected[name].append((entry.reason, entry.message))
        told = stream.told()
        for name in sorted({*told, *expected}):
            assert told.get(name) == expected.get(name), name
        reasons = {reason for events in told.values() for reason, _ in events}
        # How the last canary ends depends on where time blocks begin, and so on the hour at which this runs.
        lived = {"PlanMade", "VerdictDeploy", "VerdictCanary", "VerdictKeep", "CanaryStep", "Promoted"}
        lived |= {"RegimeCandidate"}
        assert lived <= reasons, "the stream leads through every part of the loop"

        left = {v["metadata"]["name"]: v["spec"]["trigger"] for v in api.list(MODEL_VERSION, world.namespace)}
        objects = list(book.simulation.cluster.all())
        assert left == {v["metadata"]["name"]: v["spec"]["trigger"] for kind, v in objects if kind is MODEL_VERSION}
        assert "Regime" in {trigger["type"] for trigger in left.values()}
        status = world.status(MODEL_DEPLOYMENT, "m")
        [simulated] = [body for kind, body in objects if kind is MODEL_DEPLOYMENT]
        assert status["regime"]["state"] != "Unknown"
        for monitor in ("health", "regime"):
            assert status[monitor] == simulated["status"][monitor]
