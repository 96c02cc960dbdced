"""Who answers which sample, and who scores it beside: requests as the recorded samples would have made them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from perennial.adapters.cluster import DEPLOYMENT, MODEL_VERSION, Object
from perennial.adapters.recording import Floats, to_micros
from perennial.api.model_deployment_status import ModelDeploymentStatus
from perennial.controllers.objects import Model, parse_version
from perennial.domain.traffic import decide_peer
from perennial.replay.node import Node
from perennial.replay.objects import SimulatedCluster
from perennial.replay.predictions import LIVE, SHADOW, Predictions
from perennial.replay.workers import WorkerPool
from perennial.resources import names
from perennial.resources.pods import store_root
from perennial_contract.task import ArtifactRef
from perennial_contract.worker import ScoreRequest

SCORED_AHEAD = 8192
"""Rows that a version scores at a time: what it says of them does not depend on when it is asked."""


class ScoringError(Exception):
    """A version cannot be scored. One line."""


@dataclass(frozen=True, slots=True)
class Serving:
    """The pods of a model as requests meet them, for as long as nothing moves."""

    pods: tuple[str, ...]
    """The versions (UIDs) of the endpoint's ready pods, a pod each."""
    beside: Mapping[str, str]
    """Who scores in the shadow what a version answers."""


class Traffic:
    """Lets versions score samples as time goes by, and records what they say."""

    def __init__(
        self, cluster: SimulatedCluster, versions: Mapping[str, Object], workers: WorkerPool, node: Node, work: Path
    ) -> None:
        self._cluster, self._versions, self._workers, self._node = cluster, versions, workers, node
        self._scores = work / "scores.npy"
        self.cpu_seconds: dict[str, float] = {}
        """That scoring took, by model."""
        self.waited = 0.0
        """Seconds, by the clock on the wall, that went by until scores were there."""

    async def serve(self, model: Model, predictions: Predictions, since: datetime, until: datetime) -> None:
        """The samples with since < at ≤ until meet the pods that were ready at ``since``."""
        ends = np.searchsorted(predictions.history.at, [to_micros(since), to_micros(until)], "right")
        first, end = int(ends[0]), int(ends[1])
        serving = await self._observe(model, since)
        predictions.forget_all_but(_needed(model.status))
        if first == end or not serving.pods:
            return
        rows = np.arange(first, end)
        drawn = (predictions.history.id_hash[first:end] & 0x7FFF_FFFF) % len(serving.pods)
        answered = np.array(serving.pods)[drawn]
        for uid in dict.fromkeys((*serving.pods, *serving.beside.values())):
            await self.score(model, predictions, uid, first, end)
            predictions.record(uid, rows[answered == uid], LIVE)
            shadowed = [by for by, beside in serving.beside.items() if beside == uid and by != uid]
            predictions.record(uid, rows[np.isin(answered, shadowed)], SHADOW)

    async def _observe(self, model: Model, now: datetime) -> Serving:
        status = model.status
        if status.stable is None:
            return Serving((), {})
        listed = await self._cluster.list(DEPLOYMENT, model.namespace, {names.MODEL: model.name})
        ready = {
            (d["metadata"]["labels"][names.VERSION], d["metadata"]["labels"][names.TRACK]): d["status"]["readyReplicas"]
            for d in listed
            if d.get("status", {}).get("readyReplicas")
        }
        uids = {name: await self._uid(model, name) for name, _ in ready}
        pods = [uids[name] for (name, track), count in sorted(ready.items()) if track == "live" for _ in range(count)]
        stable, peer = status.stable.version, decide_peer(status, now)
        beside = {}
        if peer in uids and stable in uids:
            beside = {uids[stable]: uids[peer], uids[peer]: uids[stable]}
        return Serving(tuple(pods), beside)

    async def _uid(self, model: Model, version: str) -> str:
        found = await self._cluster.get(MODEL_VERSION, model.namespace, version)
        assert found is not None
        return str(found["metadata"]["uid"])

    async def score(self, model: Model, predictions: Predictions, uid: str, first: int, end: int) -> None:
        """Sees that the version has scores up to a row.

        Raises:
            ScoringError: its model cannot be loaded.
        """
        scored = predictions.begin(uid, first)
        if scored.asked_until >= end:
            return
        begin = scored.asked_until
        ahead = min(len(predictions.history), max(end, begin + SCORED_AHEAD))
        found = await self.score_with(f"{model.namespace}/{model.name}", predictions, uid, begin, ahead)
        scored.scores[begin - scored.first : ahead - scored.first] = found
        scored.asked_until = ahead

    async def score_with(self, model: str, predictions: Predictions, uid: str, first: int, end: int) -> Floats:
        """A version's scores on rows first..end, of a version that may be gone from the cluster by now.

        Raises:
            ScoringError: its model cannot be loaded.
        """
        request = ScoreRequest(
            artifact=self._artifact(uid),
            recording=str(predictions.history.folder),
            first=first,
            count=end - first,
            output=str(self._scores),
        )
        began = time.perf_counter()
        answer = await self._workers.ask(request)
        self.waited += time.perf_counter() - began
        if answer.exit_code:
            raise ScoringError(f"{model}: {answer.error}")
        self.cpu_seconds[model] = self.cpu_seconds.get(model, 0.0) + answer.cpu_seconds
        scores: Floats = np.load(self._scores, allow_pickle=False)
        return scores

    def _artifact(self, uid: str) -> ArtifactRef:
        status = parse_version(self._versions[uid]).status
        assert status.artifact is not None
        assert status.resolved is not None
        uri = self._node.localised(status.artifact.uri, store_root(status.resolved.artifacts))
        return ArtifactRef(uri=uri, digest=status.artifact.digest)


def _needed(status: ModelDeploymentStatus) -> set[str]:
    """Whose predictions a look may still be about."""
    return {side.uid for side in (status.stable, status.canary, status.incoming, status.previous) if side}
