"""500 ModelDeployments with policies on a real API server: how soon all are seen to, and what they cost at rest."""

import argparse
import json
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from pathlib import Path
from urllib.request import urlopen

import psycopg
from tests.bench.record import record
from tests.cluster import Cluster, ensure_cluster
from tests.integration.operator_api import NAMESPACE, Api, Object, eventually, proxied
from tests.integration.operator_node import Node
from tests.integration.operator_process import OperatorProcess
from tests.integration.operator_reports import digest
from tests.integration.operator_world import WRITTEN, World, create_tables
from tests.integration.postgres import fresh_database, running_postgres

from perennial.adapters.cluster import (
    DEPLOYMENT,
    MODEL_DEPLOYMENT,
    MODEL_VERSION,
    RETRAIN_POLICY,
    Kind,
)
from perennial.resources import names

CRDS = Path(__file__).parents[2] / "manifests" / "crds"
ROWS = 400
"""Predictions of each model that its monitor counts."""


def say(text: str) -> None:
    """Progress."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


class Field:
    """Models that serve a version and have outcomes, and the policies that govern them."""

    def __init__(self, world: World, models: int, policies: int) -> None:
        self._world, self.policies = world, policies
        self.models = [f"m{i:03}" for i in range(models)]

    def sow(self) -> None:
        """Everything but the operator."""
        say(f"{len(self.models)} models under {self.policies} policies")
        with ThreadPoolExecutor(4) as threads:
            uids = list(threads.map(self._model, range(len(self.models))))
            for i in range(self.policies):
                selector = {"matchLabels": {"policy": f"p{i}"}}
                self._world.policy(f"p{i}", selector=selector, triggers={"health": {}, "schedule": {"every": "30d"}})
        self._outcomes(uids)

    def _model(self, number: int) -> str:
        world, name = self._world, self.models[number]
        labels = {"policy": f"p{number % self.policies}"}
        model = world.model(name, labels=labels, interval="5m", health={"window": "30d"})
        version: Object = {
            "metadata": {
                "name": f"{name}-v1",
                "labels": names.labels_for(name),
                "ownerReferences": [names.owner_reference("ModelDeployment", {**model})],
            },
            "spec": {"modelDeployment": name},
        }
        created = world.api.create(MODEL_VERSION, world.namespace, version)
        uid: str = created["metadata"]["uid"]
        world.api.patch(MODEL_VERSION, world.namespace, f"{name}-v1", {"status": _trained(model, created)}, "status")
        stable = {"version": f"{name}-v1", "uid": uid, "weight": 1, "readyReplicas": 0}
        status = {"status": {"stable": stable, "lastRevision": 1, "observedGeneration": 0}}
        world.api.patch(MODEL_DEPLOYMENT, world.namespace, name, status, "status")
        return uid

    def _outcomes(self, uids: list[str]) -> None:
        """Every model has scored the same samples, and about half of the time it was right."""
        now = datetime.now(UTC)
        rows = [(f"s{i}", now - timedelta(minutes=1 + i)) for i in range(ROWS)]
        self._world.samples([(name, at, i % 2) for i, (name, at) in enumerate(rows)])
        with psycopg.connect(self._world.database.replace("+psycopg", "")) as connection:
            columns = "(model, version, sample_id, track, score, at)"
            with connection.cursor().copy(f"COPY predictions {columns} FROM STDIN".encode()) as copy:
                for model, uid in zip(self.models, uids, strict=True):
                    for sample, at in rows:
                        copy.write_row((f"{self._world.namespace}/{model}", uid, sample, "live", 0.55, at))
            connection.execute(b"ANALYZE")

    def seen_to(self) -> bool:
        """Whether every model was looked at by its monitor, and every policy has a word on its models."""
        looked = self._all(MODEL_DEPLOYMENT, lambda status: "health" in status)
        return looked and self._all(RETRAIN_POLICY, lambda status: "models" in status)

    def ready(self) -> bool:
        """Whether every model serves."""
        return self._all(MODEL_DEPLOYMENT, lambda s: s["stable"]["readyReplicas"] == 1)

    def _all(self, kind: Kind, holds: Callable[[Object], bool]) -> bool:
        items = self._world.api.list(kind, self._world.namespace, latest=False)
        statuses = [item.get("status", {}) for item in items]
        return all(s.get("conditions") and holds(s) for s in statuses)


def _trained(model: Object, version: Object) -> Object:
    """The status of a version that was trained and is live."""
    name, now = version["metadata"]["name"], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    spec, samples = version["spec"], model["spec"]["samples"]
    contract = ("table", "predictionsTable", "labelDelay", "outcomes")
    return {
        "phase": "Live",
        "resolved": {
            "revision": 1,
            "algorithm": model["spec"]["algorithm"],
            "samples": {field: samples[field] for field in contract},
            "decision": model["spec"]["decision"],
            "artifacts": {"claimName": "models"},
            "training": spec["training"],
            "promotion": spec["promotion"],
            "startedAt": now,
        },
        "artifact": {"uri": f"file:///artifacts/{name}", "digest": digest(name), "bytes": 1},
        "verdict": {"decision": "Deploy", "reason": "NoChampion", "message": "first of its kind", "at": now},
        "startedAt": now,
        "evaluatedAt": now,
    }


class WriteCounter:
    """Counts what changes in a namespace, whoever changed it: one event of a watch a write.

    The scheduler tells for ever of pods that it finds no node for, as it must here: only our own Events count.
    """

    def __init__(self, api: Api, namespace: str) -> None:
        self.written: list[str] = []
        for kind in WRITTEN:
            listed = api.call("GET", kind.path(namespace))
            version = listed["metadata"]["resourceVersion"]
            url = f"{api.url}{kind.path(namespace)}?watch=1&resourceVersion={version}"
            response: HTTPResponse = urlopen(url)
            threading.Thread(target=self._watch, args=(kind.kind, response), daemon=True).start()

    def _watch(self, kind: str, response: HTTPResponse) -> None:
        for line in response:
            event = json.loads(line)
            if kind == "Event" and event["object"]["source"].get("component") != "perennial":
                continue
            self.written.append(f"{kind} {event['object']['metadata']['name']} {event['type']}")


def _peak_mib(pid: int) -> float:
    """The most memory that a process has had resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def _writes(operator: OperatorProcess) -> float:
    series = operator.metrics()
    methods = ("POST", "PUT", "PATCH", "DELETE")
    return sum(series.get(f'perennial_api_requests_total{{method="{method}"}}', 0) for method in methods)


@contextmanager
def _stage(kubeconfig: Path, directory: Path) -> Iterator[World]:
    namespace = f"bench-{secrets.token_hex(4)}"
    operator = OperatorProcess(kubeconfig, directory / "log", [namespace], poll_seconds="5")
    with proxied(kubeconfig) as api, running_postgres() as server, fresh_database(server) as url:
        create_tables(url)
        api.create(NAMESPACE, None, {"metadata": {"name": namespace}})
        world = World(api, namespace, url, Node(api, namespace, url, pause=2.0), operator)
        world.secret()
        try:
            yield world
        finally:
            try:
                say("clearing up")
                for kind in (RETRAIN_POLICY, MODEL_DEPLOYMENT):
                    for item in api.list(kind, namespace):
                        api.delete(kind, namespace, item["metadata"]["name"])
                eventually(
                    lambda: not api.list(MODEL_DEPLOYMENT, namespace, latest=False), "every model goes", 600, pause=2
                )
            finally:
                operator.stop()
                api.delete(NAMESPACE, None, namespace)


def measure(world: World, models: int, policies: int, idle: int) -> dict[str, tuple[float, str]]:
    """Figures by name, each with its unit."""
    field, operator = Field(world, models, policies), world.operator
    field.sow()
    say("the operator starts")
    started = time.monotonic()
    operator.launch()
    eventually(field.seen_to, "all are seen to", 900, pause=0.5)
    settled = time.monotonic() - started
    say(f"all are seen to after {settled:.1f} s; their pods come up")
    world.node.start()
    eventually(field.ready, "all serve", 1800, pause=2)
    eventually(
        lambda: len(world.api.list(DEPLOYMENT, world.namespace, latest=False)) == models,
        "nothing else runs",
        300,
        pause=2,
    )
    quiet = WriteCounter(world.api, world.namespace)
    say("waiting for a first quiet half minute")
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < 30:
        if len(quiet.written) != seen:
            seen, since = len(quiet.written), time.monotonic()
        time.sleep(1)
    before, asked = len(quiet.written), _writes(operator)
    say(f"{idle} s of rest")
    time.sleep(idle)
    changes = quiet.written[before:]
    writes = max(len(changes), _writes(operator) - asked)
    say(f"{_writes(operator) - asked:.0f} write requests; {len(changes)} changes: {Counter(changes).most_common(20)}")
    world.node.stop()
    return {
        "operator.settle_s": (round(settled, 1), "s"),
        "operator.rss_mib": (round(_peak_mib(operator.pid), 1), "MiB"),
        "operator.idle_writes": (writes, f"writes in {idle} s"),
    }


def main() -> int:
    """Prints the figures and records them, when it is the whole field that was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.operator", description=__doc__)
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--policies", type=int, default=50)
    parser.add_argument("--idle", type=int, default=300, metavar="SECONDS")
    options = parser.parse_args()
    kubeconfig = ensure_cluster(control_plane_only=True)
    Cluster(kubeconfig).kubectl("apply", "--validate=false", "-k", str(CRDS))
    with tempfile.TemporaryDirectory() as directory, _stage(kubeconfig, Path(directory)) as world:
        figures = measure(world, options.models, options.policies, options.idle)
    whole = (options.models, options.policies, options.idle) == (500, 50, 300)
    for name, (value, unit) in figures.items():
        print(f"{name}: {value:g} {unit}")
        if whole:
            record(name, value, unit)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
