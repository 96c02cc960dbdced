"""A namespace with a sample store and the operator: what a test declares in it, and what becomes of it."""

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import create_engine
from tests.integration.operator_api import Api, Object, eventually
from tests.integration.operator_node import NOWHERE, Node
from tests.integration.operator_process import OperatorProcess

from perennial.adapters.cluster import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    JOB,
    MODEL_DEPLOYMENT,
    MODEL_VERSION,
    POD,
    RETRAIN_POLICY,
    SECRET,
    SERVICE,
    Kind,
)
from perennial.adapters.store.schema import predictions_table, reports_table, samples_table
from perennial.resources import names

SECRET_NAME = "samples-store"
LABELS = {"book": "spot"}
WRITTEN = (MODEL_DEPLOYMENT, RETRAIN_POLICY, MODEL_VERSION, DEPLOYMENT, JOB, SERVICE, CONFIG_MAP, EVENT)
"""Everything that the operator writes."""
_MODEL: Object = {
    "algorithm": {"name": "xgboost", "parameters": {"max_depth": 3}},
    "samples": {
        "readUrlFrom": {"name": SECRET_NAME, "key": "read"},
        "writeUrlFrom": {"name": SECRET_NAME, "key": "write"},
        "labelDelay": "1s",
    },
    "artifacts": {"claimName": "models"},
    "server": {"replicas": 1, "podTemplate": {"spec": {"nodeSelector": NOWHERE}}},
    "canary": {"steps": [0.2, 0.5], "minStepDuration": "0s", "minOutcomes": 20, "maxDuration": "2h"},
    "health": {"window": "1h"},
    "rollback": {"window": "0s"},
    "interval": "1s",
}
_TRAINING: Object = {
    "image": "nowhere.invalid/trainer:none",
    "resources": {"requests": {"cpu": "1000"}},  # no node has as many: the pods' status is ours to write
    "retryBackoff": "0s",
}
_POLICY: Object = {
    "selector": {"matchLabels": LABELS},
    "training": _TRAINING,
    "limits": {"cooldown": "0s", "maxPerDay": 1000},
}


def merged(base: Object, changes: Object) -> Object:
    """Changes over a base, objects merged; None removes."""
    result = dict(base)
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        elif value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


def create_tables(url: str) -> None:
    """What `perennial store init --features f0 --features f1` makes."""
    engine = create_engine(url)
    for table in (samples_table("samples", ["f0", "f1"]), predictions_table("predictions"), reports_table()):
        table.metadata.create_all(engine)
    engine.dispose()


@dataclass
class World:
    """One namespace."""

    api: Api
    namespace: str
    database: str
    node: Node
    operator: OperatorProcess

    # --- what a user does

    def new_name(self) -> str:
        """A name that nothing here has."""
        return f"n{secrets.token_hex(4)}"

    def secret(self, **urls: str) -> None:
        """The Secret with the store's URLs, made or changed."""
        given = urls or {"read": self.database, "write": self.database}
        data = {key: base64.b64encode(url.encode()).decode() for key, url in given.items()}
        if self.api.find(SECRET, self.namespace, SECRET_NAME):
            self.api.patch(SECRET, self.namespace, SECRET_NAME, {"data": data})
        else:
            self.api.create(SECRET, self.namespace, {"metadata": {"name": SECRET_NAME}, "data": data})

    def model(self, name: str = "m", *, labels: dict[str, str] = LABELS, **spec: Any) -> Object:
        """A ModelDeployment."""
        body = {"metadata": {"name": name, "labels": labels}, "spec": merged(_MODEL, spec)}
        return self.api.create(MODEL_DEPLOYMENT, self.namespace, body)

    def policy(self, name: str = "p", *, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
        """A RetrainPolicy."""
        body = {"metadata": {"name": name, "annotations": annotations or {}}, "spec": merged(_POLICY, spec)}
        return self.api.create(RETRAIN_POLICY, self.namespace, body)

    def version(self, name: str | None = None, model: str = "m", **spec: Any) -> str:
        """A ModelVersion made by hand; without a name the API server gives one. Returns its name."""
        metadata = {"name": name} if name else {"generateName": f"{model}-"}
        whole = {"modelDeployment": model, "training": _TRAINING, **spec}
        made = self.api.create(MODEL_VERSION, self.namespace, {"metadata": metadata, "spec": whole})
        return str(made["metadata"]["name"])

    def change(self, kind: Kind, name: str, **spec: Any) -> None:
        """Merges into a spec."""
        self.api.patch(kind, self.namespace, name, {"spec": spec})

    def annotate(self, kind: Kind, name: str, **verbs: str) -> None:
        """`kubectl annotate KIND NAME perennial.dev/VERB=VALUE`."""
        given = {f"perennial.dev/{verb}": value for verb, value in verbs.items()}
        self.api.patch(kind, self.namespace, name, {"metadata": {"annotations": given}})

    def retrain(self, token: str, policy: str = "p") -> None:
        """Asks a policy for a retrain."""
        self.annotate(RETRAIN_POLICY, policy, retrain=token)

    # --- what becomes of it

    def status(self, kind: Kind, name: str) -> Object:
        """The status of an object; empty while there is none."""
        found: Object = (self.api.find(kind, self.namespace, name) or {}).get("status", {})
        return found

    def condition(self, kind: Kind, name: str, type_: str) -> Object:
        """A condition; empty while there is none."""
        conditions = self.status(kind, name).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == type_), {})

    def await_condition(self, kind: Kind, name: str, type_: str, reason: str, seconds: float = 30) -> Object:
        """The condition once it has that reason."""

        def look() -> Object | None:
            found = self.condition(kind, name, type_)
            return found if found.get("reason") == reason else None

        return eventually(look, f"{kind.kind} {name}: {type_} with reason {reason}: {self.status(kind, name)}", seconds)

    def await_phase(self, version: str, phase: str, seconds: float = 30) -> Object:
        """The status of a ModelVersion once it is in a phase."""

        def look() -> Object | None:
            found = self.status(MODEL_VERSION, version)
            return found if found.get("phase") == phase else None

        return eventually(look, f"{version} is {phase}", seconds)

    def await_live(self, version: str, model: str = "m", seconds: float = 30) -> Object:
        """The model's status once a version serves alone, and is told so."""
        self.await_phase(version, "Live", seconds)
        found = self.status(MODEL_DEPLOYMENT, model)
        assert found["stable"]["version"] == version
        return found

    def trained(self, name: str = "m", **spec: Any) -> str:
        """A model that serves its first version, trained by hand; returns that version's name."""
        self.model(name, **spec)
        version = self.version(f"{name}-v1", name)
        self.await_live(version, name)
        return version

    def versions(self, model: str = "m") -> dict[str, Object]:
        """A model's ModelVersions by name."""
        found = self.api.list(MODEL_VERSION, self.namespace)
        return {v["metadata"]["name"]: v for v in found if v["spec"]["modelDeployment"] == model}

    def jobs(self, model: str = "m") -> list[str]:
        """The names of a model's training Jobs."""
        found = self.api.list(JOB, self.namespace, f"{names.MODEL}={model}")
        return sorted(job["metadata"]["name"] for job in found)

    def events(self, name: str) -> list[str]:
        """The reasons of the events about an object, oldest first."""
        found = [e for e in self.api.list(EVENT, self.namespace) if e["involvedObject"]["name"] == name]
        found = [e for e in found if e["source"].get("component") == "perennial"]
        return [e["reason"] for e in sorted(found, key=lambda e: int(e["metadata"]["resourceVersion"]))]

    def await_event(self, name: str, reason: str) -> None:
        """An event follows the status that it tells of."""
        eventually(lambda: reason in self.events(name), f"the event {reason} on {name}")

    def resource_versions(self) -> dict[str, str]:
        """resourceVersion by kind and name, of everything that the operator writes."""
        items = [(kind.kind, item) for kind in WRITTEN for item in self.api.list(kind, self.namespace)]
        return {
            f"{kind}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for kind, item in items
            if kind != "Event" or item["source"].get("component") == "perennial"
        }

    def metrics(self) -> dict[str, float]:
        """The series that are about this namespace."""
        marker = f'namespace="{self.namespace}"'
        return {name: value for name, value in self.operator.metrics().items() if marker in name}

    def describe(self) -> str:
        """Everything here and how it stands, for whoever wonders why a test failed."""
        found = [(kind.kind, item) for kind in (*WRITTEN, POD) for item in self.api.list(kind, self.namespace)]
        return "\n".join(
            f"{kind} {item['metadata']['name']}: {item['message'] if kind == 'Event' else item.get('status', '')}"
            for kind, item in found
        )

    # --- the sample store

    def execute(self, statement: str, *parameters: object) -> None:
        """One statement in the sample store."""
        with psycopg.connect(self.database.replace("+psycopg", "")) as connection:
            connection.execute(statement.encode(), parameters)

    def samples(self, rows: list[tuple[str, datetime, int | None]]) -> None:
        """Samples: (id, at, target), resolved a second later."""
        with psycopg.connect(self.database.replace("+psycopg", "")) as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO samples (id, series, at, f0, f1, target, reward, resolved_at)"
                " VALUES (%s, 'A', %s, 0, 0, %s, %s, %s) ON CONFLICT DO NOTHING",
                [(i, at, y, None if y is None else 2 * y - 1, at + timedelta(seconds=1)) for i, at, y in rows],
            )

    def predictions(self, version: str, track: str, rows: list[tuple[str, datetime, float]], model: str = "m") -> None:
        """What a version said of samples: (sample's id, at, score)."""
        uid = self.api.get(MODEL_VERSION, self.namespace, version)["metadata"]["uid"]
        with psycopg.connect(self.database.replace("+psycopg", "")) as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO predictions (model, version, sample_id, track, score, at)"
                " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [(f"{self.namespace}/{model}", uid, i, track, score, at) for i, at, score in rows],
            )
