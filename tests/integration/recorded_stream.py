"""A recorded stream fed to a real operator on a real API server, instant by instant, as a replay lived through it."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import psycopg
from tests.integration.operator_api import Api, Object, eventually
from tests.integration.operator_node import Node
from tests.integration.operator_process import OperatorProcess
from tests.integration.operator_world import WRITTEN
from tests.integration.replays import FEATURES, Row

from perennial.adapters.cluster import (
    CONFIG_MAP,
    EVENT,
    JOB,
    MODEL_DEPLOYMENT,
    MODEL_VERSION,
    POD,
    RETRAIN_POLICY,
    Kind,
)
from perennial.controllers.objects import parse_model
from perennial.replay.node import Node as ReplayNode
from perennial.replay.objects import SimulatedCluster
from perennial.replay.predictions import LIVE, Predictions
from perennial.replay.traffic import Traffic
from perennial.replay.workers import WorkerPool
from perennial.resources import names
from perennial_contract.task import TrainingTask
from perennial_contract.worker import TrainRequest

QUIET_SECONDS = 0.25
"""Nobody writes and nobody reconciles for so long: the operator is at rest."""


class ServingNode(Node):
    """Makes serving pods ready; trainings are the stream's own affair."""

    def _train(self, pod: Object, job: str, version: str) -> None:
        """Left alone."""


class ApiObjects:
    """The reads that a replay's traffic makes, answered by the API server."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._api.find(kind, namespace, name)

    async def list(self, kind: Kind, namespace: str, selector: Mapping[str, str]) -> list[Object]:
        return self._api.list(kind, namespace, ",".join(f"{k}={v}" for k, v in selector.items()))


class Artifacts:
    """Where the models of this test lie: what traffic asks a replay's node for."""

    def __init__(self, folder: Path) -> None:
        self.root = f"file://{folder}"

    def localised(self, uri: str, root: str) -> str:
        return uri.replace(root, self.root, 1) if uri.startswith(root) else uri


class Stream:
    """Samples, outcomes, requests and trainings of one model, as time goes by."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        database: str,
        operator: OperatorProcess,
        clock: Path,
        rows: Sequence[Row],
        predictions: Predictions,
        folder: Path,
    ) -> None:
        self._api, self._namespace, self._database, self._operator = api, namespace, database, operator
        self._clock, self._rows, self._predictions, self._folder = clock, rows, predictions, folder
        self._started: dict[str, datetime] = {}
        self._ended: set[str] = set()
        self._versions: dict[str, Object] = {}
        self._artifacts = Artifacts(folder / "artifacts")

    def set_clock(self, moment: datetime) -> None:
        """Whole or not at all: the operator reads it at any time."""
        partial = self._clock.with_suffix(".partial")
        partial.write_text(moment.isoformat())
        partial.replace(self._clock)

    async def play(self, since: datetime, moments: Sequence[datetime], takes: timedelta) -> None:
        """From the first look to the last."""
        self._arrive(datetime.min.replace(tzinfo=since.tzinfo), since)
        self.set_clock(since)
        self._operator.start()
        self._settle()
        self._plan(since)
        async with WorkerPool(1, self._folder / "workers.log") as workers:
            objects = cast("SimulatedCluster", ApiObjects(self._api))
            node = cast("ReplayNode", self._artifacts)
            traffic = Traffic(objects, self._versions, workers, node, self._folder)
            before = since
            for moment in moments:
                self._note_jobs(before)
                await self._serve(traffic, before, moment)
                self._arrive(before, moment)
                self.set_clock(moment)
                due = [job for job, at in sorted(self._started.items()) if at + takes <= moment]
                for job in [job for job in due if job not in self._ended]:
                    await self._train(workers, job)
                    self._settle()
                self._poke(MODEL_DEPLOYMENT, moment)
                self._settle()
                self._plan(moment)
                before = moment

    def told(self) -> dict[str, list[tuple[str, str]]]:
        """Reason and message of each Event, by object, in order."""
        found = [e for e in self._api.list(EVENT, self._namespace) if e["source"].get("component") == "perennial"]
        events: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for event in sorted(found, key=lambda e: int(e["metadata"]["resourceVersion"])):
            events[event["involvedObject"]["name"]].append((event["reason"], event["message"]))
        return dict(events)

    def _arrive(self, since: datetime, until: datetime) -> None:
        """Samples that happen, and outcomes that become known, in a stretch of time."""
        columns = ("id", "series", "at", *FEATURES)
        new = [[row[c] for c in columns] for row in self._rows if since < row["at"] <= until]
        known = [
            (row["target"], row["reward"], row["resolved_at"], row["id"])
            for row in self._rows
            if since < row["resolved_at"] <= until
        ]
        with self._connect() as connection, connection.cursor() as cursor:
            places = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO samples ({', '.join(columns)}) VALUES ({places})".encode(), new)
            cursor.executemany(b"UPDATE samples SET target = %s, reward = %s, resolved_at = %s WHERE id = %s", known)

    async def _serve(self, traffic: Traffic, since: datetime, until: datetime) -> None:
        self._versions.update({v["metadata"]["uid"]: v for v in self._api.list(MODEL_VERSION, self._namespace)})
        for body in self._api.list(MODEL_DEPLOYMENT, self._namespace):
            model = parse_model(body)
            first, end = np.searchsorted(
                self._predictions.history.at, [int(t.timestamp() * 1_000_000) for t in (since, until)], "right"
            )
            await traffic.serve(model, self._predictions, since, until)
            with self._connect() as connection, connection.cursor() as cursor:
                for uid, scored in self._predictions.versions.items():
                    rows = slice(int(first), int(end))
                    said = zip(range(rows.start, rows.stop), scored.tracks(rows), scored.of(rows), strict=True)
                    cursor.executemany(
                        b"INSERT INTO predictions (model, version, sample_id, track, score, at)"
                        b" VALUES (%s, %s, %s, %s, %s, %s)",
                        [
                            (
                                f"{self._namespace}/{model.name}",
                                uid,
                                self._rows[row]["id"],
                                "live" if track == LIVE else "shadow",
                                float(score),
                                self._rows[row]["at"],
                            )
                            for row, track, score in said
                            if track
                        ],
                    )

    def _note_jobs(self, now: datetime) -> None:
        for job in self._api.list(JOB, self._namespace):
            self._started.setdefault(job["metadata"]["name"], now)

    async def _train(self, workers: WorkerPool, job: str) -> None:
        """What the Job's container would do, and its end as a kubelet tells it."""
        version = self._api.get(JOB, self._namespace, job)["metadata"]["labels"][names.VERSION]
        document = self._api.get(CONFIG_MAP, self._namespace, f"{version}-task")["data"]["task.json"]
        task = TrainingTask.model_validate_json(document)
        champion = task.champion
        if champion:
            uri = self._artifacts.localised(champion.artifact.uri, task.store)
            champion = champion.model_copy(update={"artifact": champion.artifact.model_copy(update={"uri": uri})})
        path = self._folder / f"{job}.json"
        path.write_text(task.model_copy(update={"store": self._artifacts.root, "champion": champion}).to_json())
        answer = await workers.ask(TrainRequest(task=str(path), samples=self._database, now=task.until))
        pods = eventually(lambda: self._api.list(POD, self._namespace, f"job-name={job}"), f"a pod of {job}")
        terminated = {"exitCode": answer.exit_code, "message": answer.error or "", "reason": "Completed"}
        container = {"name": "trainer", "ready": False, "restartCount": 0, "image": "t", "imageID": ""}
        status = {"phase": "Failed" if answer.exit_code else "Succeeded"}
        status |= {"containerStatuses": [{**container, "state": {"terminated": terminated}}]}
        self._api.patch(POD, self._namespace, pods[0]["metadata"]["name"], {"status": status}, "status")
        eventually(lambda: self._api.get(JOB, self._namespace, job)["status"].get("conditions"), f"{job} is over")
        self._ended.add(job)

    def _plan(self, moment: datetime) -> None:
        """Monitors have looked: policies have their turn."""
        turn = self._clock.with_suffix(".plans")
        turn.touch()
        self._poke(RETRAIN_POLICY, moment)
        self._settle()
        turn.unlink()

    def _poke(self, kind: Kind, moment: datetime) -> None:
        """An event on whatever looks by the clock, which the operator's own timers follow in real time."""
        for body in self._api.list(kind, self._namespace):
            annotations = {"metadata": {"annotations": {"example.com/now": moment.isoformat()}}}
            self._api.patch(kind, self._namespace, body["metadata"]["name"], annotations)

    def _settle(self) -> None:
        """Until nothing is written and nothing reconciled for a while, all pods wanted are ready included."""
        seen, since, deadline = self._state(), time.monotonic(), time.monotonic() + 60
        while time.monotonic() - since < QUIET_SECONDS:
            assert time.monotonic() < deadline, "the operator does not come to rest"
            time.sleep(0.05)
            now = self._state()
            if now != seen:
                seen, since = now, time.monotonic()

    def _state(self) -> Any:
        versions = {
            f"{kind.kind}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for kind in WRITTEN
            for item in self._api.list(kind, self._namespace, latest=False)
        }
        reconciled = sum(v for name, v in self._operator.metrics().items() if "reconcile_seconds_count" in name)
        return versions, reconciled

    def _connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self._database.replace("+psycopg", ""))
