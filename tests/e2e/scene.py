"""A scenario's stage: a namespace with a database of its own, and ways to wait for what should happen there."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.cluster import installation
from tests.cluster.kubectl import Cluster
from tests.e2e.database import Database
from tests.e2e.load import Endpoint
from tests.e2e.specs import TOKEN_SECRET, secret

from perennial.adapters.cluster import (
    DEPLOYMENT,
    EVENT,
    JOB,
    MODEL_DEPLOYMENT,
    MODEL_VERSION,
    POD,
    RETRAIN_POLICY,
    SECRET,
    Kind,
)
from perennial.adapters.cluster import Cluster as Api
from perennial.resources import names

Object = dict[str, Any]
T = TypeVar("T")
KINDS = {kind.kind: kind for kind in (MODEL_DEPLOYMENT, RETRAIN_POLICY, MODEL_VERSION, SECRET)}
POLL_SECONDS = 0.25
WAIT_SECONDS = 240.0
"""On a busy machine a pod may take a minute to come or to go."""
STATUSES = "jsonpath={range .items[*]}{.kind} {.metadata.name} {.status}\\n{end}"
TOKEN = "let-me-in"


@dataclass(frozen=True)
class Scene:
    """One scenario's namespace."""

    namespace: str
    cluster: Cluster
    api: Api
    database: Database
    python_image: str
    """Any image with Python in it."""

    async def apply(self, *bodies: Object) -> None:
        """What a user would apply, as it is."""
        for body in bodies:
            placed = {**body, "metadata": {**body["metadata"], "namespace": self.namespace}}
            await self.api.apply(KINDS[body["kind"]], self.namespace, placed)

    async def allow_outcomes(self) -> None:
        """The Secret that the servers know clients by."""
        await self.apply(secret(TOKEN_SECRET, token=TOKEN))

    async def model(self, name: str) -> Object:
        """A ModelDeployment."""
        return await self._must(MODEL_DEPLOYMENT, name)

    async def version(self, name: str) -> Object:
        """A ModelVersion."""
        return await self._must(MODEL_VERSION, name)

    async def uid(self, version: str) -> str:
        """A ModelVersion's UID, by which answers and predictions name it."""
        return str((await self.version(version))["metadata"]["uid"])

    async def policy(self, name: str = "spot") -> Object:
        """A RetrainPolicy."""
        return await self._must(RETRAIN_POLICY, name)

    async def _must(self, kind: Kind, name: str) -> Object:
        found = await self.api.get(kind, self.namespace, name)
        assert found is not None, f"{kind.kind} {name} is not there"
        return found

    async def versions(self, model: str) -> list[str]:
        """Names of a model's versions, in order of age."""
        found = await self.api.list(MODEL_VERSION, self.namespace)
        mine = [v for v in found if v["spec"]["modelDeployment"] == model]
        return [v["metadata"]["name"] for v in sorted(mine, key=lambda v: v["metadata"]["creationTimestamp"])]

    async def jobs(self, version: str | None = None) -> list[Object]:
        """Training Jobs, of one version or of all."""
        return await self.api.list(JOB, self.namespace, {names.VERSION: version} if version else {})

    async def deployments(self, model: str) -> list[str]:
        """Names of a model's serving Deployments."""
        found = await self.api.list(DEPLOYMENT, self.namespace, {names.MODEL: model})
        return sorted(d["metadata"]["name"] for d in found)

    async def live_pods(self, version: str) -> list[str]:
        """Names of the pods by which a version answers clients, going ones included."""
        found = await self.api.list(POD, self.namespace, {names.VERSION: version, names.TRACK: "live"})
        return sorted(p["metadata"]["name"] for p in found)

    async def until_silent(self, version: str, seconds: float = WAIT_SECONDS) -> None:
        """Returns when no pod is left by which a version could answer a client."""

        async def look() -> bool:
            return not await self.live_pods(version)

        await self.until(f"{version} has no live pods", look, seconds)

    async def until(self, what: str, look: Callable[[], Awaitable[T | None]], seconds: float = WAIT_SECONDS) -> T:
        """The first true thing that `look` brings. What is not there yet counts as not true."""
        deadline = time.monotonic() + seconds
        last: object = None
        while time.monotonic() < deadline:
            try:
                if found := await look():
                    return found
            except AssertionError as error:
                last = error
            await asyncio.sleep(POLL_SECONDS)
        raise AssertionError(f"not within {seconds:.0f} s: {what}" + (f" ({last})" if last else ""))

    async def until_stable(self, model: str, version: str, seconds: float = WAIT_SECONDS) -> Object:
        """The ModelDeployment once a version serves all of its traffic and nothing moves."""

        async def look() -> Object | None:
            found = await self.model(model)
            status = found.get("status", {})
            still = "canary" not in status and "incoming" not in status
            serves = status.get("stable", {}).get("version") == version
            return found if still and serves and condition(found, "Ready")["status"] == "True" else None

        return await self.until(f"{version} serves", look, seconds)

    async def until_phase(self, version: str, *phases: str, seconds: float = WAIT_SECONDS) -> Object:
        """The ModelVersion once it is in one of the phases."""

        async def look() -> Object | None:
            found = await self.version(version)
            return found if found.get("status", {}).get("phase") in phases else None

        return await self.until(f"{version} is {' or '.join(phases)}", look, seconds)

    async def until_verdict(self, version: str, decision: str, seconds: float = WAIT_SECONDS) -> Object:
        """The ModelVersion once it is judged; what it was judged must be this."""

        async def look() -> Object | None:
            found = await self.version(version)
            status = found.get("status", {})
            assert status.get("phase") != "Failed", f"{version} failed: {status['job'].get('message')}"
            return found if "verdict" in status else None

        judged = await self.until(f"{version} is judged", look, seconds)
        verdict = judged["status"]["verdict"]
        assert verdict["decision"] == decision, f"{version}: {verdict['decision']}: {verdict['message']}"
        return judged

    async def annotate(self, kind: Kind, name: str, annotation: str, value: str) -> None:
        """`kubectl annotate`."""
        await self.api.patch(kind, self.namespace, name, {"metadata": {"annotations": {annotation: value}}})

    async def retrain(self, token: str, policy: str = "spot") -> None:
        """Ask a policy for a retrain of its models by hand."""
        await self.annotate(RETRAIN_POLICY, policy, names.RETRAIN, token)

    async def change_model(self, name: str, spec: Object) -> None:
        """Merge into a ModelDeployment's spec; None removes a field."""
        await self.api.patch(MODEL_DEPLOYMENT, self.namespace, name, {"spec": spec})

    async def delete(self, kind: Kind, name: str) -> None:
        """`kubectl delete`; returns when it is gone."""
        await self.api.delete(kind, self.namespace, name)

        async def look() -> bool:
            return await self.api.get(kind, self.namespace, name) is None

        await self.until(f"{kind.kind} {name} is gone", look)

    async def events(self, name: str) -> list[str]:
        """Reasons of the Events about an object, in the order in which they were told."""
        found = await self.api.list(EVENT, self.namespace)
        about = [e for e in found if e["involvedObject"]["name"] == name]
        return [
            e["reason"]
            for e in sorted(about, key=lambda e: (e["firstTimestamp"], int(e["metadata"]["resourceVersion"])))
        ]

    async def traces(self, label: str) -> list[str]:
        """Everything in the namespace, of whatever kind, that has a label NAME or NAME=VALUE."""
        listing = ("api-resources", "--verbs=list", "--namespaced", "-o", "name")
        kinds = (await asyncio.to_thread(self.cluster.kubectl, *listing)).split()
        listed = await asyncio.to_thread(self.cluster.get, "-n", self.namespace, ",".join(kinds))
        name, _, value = label.partition("=")
        return sorted(
            f"{body['kind']} {body['metadata']['name']}"
            for body in listed["items"]
            if (found := body["metadata"].get("labels", {}).get(name)) is not None and found == (value or found)
        )

    async def endpoint(self, model: str) -> Endpoint:
        """Where the model answers, from this machine: a node takes a moment to learn of a new Service."""
        address = await asyncio.to_thread(self.cluster.address, self.namespace, model)
        endpoint = Endpoint(model, address, TOKEN)

        async def look() -> bool:
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(address, endpoint.port), 1)
            except (OSError, TimeoutError):
                return False
            writer.close()
            return True

        await self.until(f"{address} takes connections", look)
        return endpoint

    async def until_looked_at(self, model: str) -> None:
        """Returns when the operator that runs now has reconciled a model: when it has seen a change of its spec."""
        interval = f"{time.time_ns() % 1000 + 2}s"
        await self.change_model(model, {"rollback": {"window": interval}})
        generation = (await self.model(model))["metadata"]["generation"]

        async def look() -> bool:
            return bool(condition(await self.model(model), "Ready")["observedGeneration"] >= generation)

        await self.until(f"{model} is looked at", look)

    def describe(self) -> str:
        """All that a person would look at when a scenario fails."""
        in_namespace = ("-n", self.namespace)
        looks: Sequence[tuple[str, ...]] = (
            (*in_namespace, "get", "mdep,rpol,mver,jobs,deployments,pods", "-o", "wide"),
            (*in_namespace, "get", "events", "--sort-by=.lastTimestamp"),
            (*in_namespace, "get", "mdep,rpol,mver", "-o", STATUSES),
            ("-n", installation.NAMESPACE, "logs", f"deployment/{installation.DEPLOYMENT}", "--tail=400"),
        )
        return "\n\n".join(self._said(look) for look in looks)

    def _said(self, arguments: Sequence[str]) -> str:
        try:
            text = self.cluster.kubectl(*arguments)
        except RuntimeError as error:
            text = str(error)
        if "logs" in arguments:
            text = "\n".join(line for line in text.splitlines() if f"{self.namespace}/" in line or "ERROR" in line)
        return f"$ kubectl {' '.join(arguments)}\n{text}"


def condition(body: Object, type_: str) -> Object:
    """A condition of an object.

    Raises:
        AssertionError: it has none of that type (yet).
    """
    found = [c for c in body.get("status", {}).get("conditions", []) if c["type"] == type_]
    assert found, (
        f"{body['kind']} {body['metadata']['name']} has no condition {type_}: {json.dumps(body.get('status'))}"
    )
    return dict(found[0])
