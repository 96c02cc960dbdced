"""What a control plane alone does not have: pods that become ready at once, and Jobs that workers carry out."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from perennial.adapters.cluster import CONFIG_MAP, DEPLOYMENT, JOB, POD, Kind, Object
from perennial.replay.objects import SimulatedCluster
from perennial.replay.workers import WorkerPool
from perennial.resources import names
from perennial_contract.report import JobSummary
from perennial_contract.task import TrainingTask
from perennial_contract.worker import TrainRequest, WorkerAnswer


@dataclass(slots=True)
class _Run:
    """A training Job under way."""

    body: Object
    ends_at: datetime
    task: TrainingTask
    answer: "asyncio.Task[WorkerAnswer] | None"
    """None: it will be stopped at its deadline, and so leaves nothing."""


class Node:
    """Kubelet and controllers of Kubernetes, as far as Perennial's objects are concerned."""

    def __init__(
        self,
        cluster: SimulatedCluster,
        workers: WorkerPool,
        work: Path,
        duration: Callable[[str], timedelta],
        now: Callable[[], datetime],
    ) -> None:
        self._cluster, self._workers, self._work = cluster, workers, work
        self._duration, self._now = duration, now
        self._runs: dict[tuple[str, str], _Run] = {}
        self._tasks = work / "tasks"
        self._tasks.mkdir(parents=True, exist_ok=True)
        self._abandoned: set[asyncio.Task[WorkerAnswer]] = set()
        self.cpu_seconds: dict[str, float] = {}
        """That trainings took, by model."""
        self.waited = 0.0
        """Seconds, by the clock on the wall, in which nothing could go on before a training had ended."""
        cluster.listeners.append(self.notice)

    def notice(self, kind: Kind, body: Object, gone: bool) -> None:
        """An object was written."""
        if kind is DEPLOYMENT and not gone:
            self._make_ready(body)
        elif kind is JOB:
            key = (body["metadata"]["namespace"], body["metadata"]["name"])
            if gone:
                self._drop(key)
            elif "status" not in body and key not in self._runs:
                self._runs[key] = self._start(body)

    def resume(self) -> None:
        """Takes up the Jobs of a run that was interrupted; what a trainer had finished by then it finds again."""
        for kind, body in list(self._cluster.all()):
            self.notice(kind, body, gone=False)

    @property
    def next_end(self) -> datetime | None:
        """When the next Job ends; None while none runs."""
        return min((run.ends_at for run in self._runs.values()), default=None)

    async def advance(self) -> None:
        """Ends the Jobs whose time has come, in the order of their names."""
        for key, run in sorted(self._runs.items()):
            if run.ends_at <= self._now():
                await self._end(key, run)

    async def stop(self) -> None:
        """Lets go of what still runs; the workers that are at it are lost."""
        answers = [*(run.answer for run in self._runs.values() if run.answer), *self._abandoned]
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)

    def localised(self, uri: str, root: str) -> str:
        """Where an artifact of a model's own store lies in a replay."""
        return uri.replace(root, self.artifacts, 1) if uri.startswith(root) else uri

    @property
    def artifacts(self) -> str:
        """The store's root in a replay."""
        return f"file://{self._work / 'artifacts'}"

    def _make_ready(self, body: Object) -> None:
        wanted = body["spec"].get("replicas", 1)
        if body.get("status", {}).get("readyReplicas", 0) != wanted:
            self._cluster.put_status(DEPLOYMENT, body, {"replicas": wanted, "readyReplicas": wanted})

    def _start(self, body: Object) -> _Run:
        namespace, labels = body["metadata"]["namespace"], body["metadata"]["labels"]
        task = TrainingTask.model_validate_json(self._read(namespace, f"{labels[names.VERSION]}-task", "task.json"))
        started = datetime.fromisoformat(body["metadata"]["creationTimestamp"])
        takes, limit = self._duration(task.version.model_key), timedelta(seconds=body["spec"]["activeDeadlineSeconds"])
        if takes > limit:
            return _Run(body, started + limit, task, None)
        path = self._tasks / f"{task.version.uid}.json"
        path.write_text(self._local(task).to_json())
        request = TrainRequest(task=str(path), samples=f"file://{self._work}", now=task.until)
        return _Run(body, started + takes, task, asyncio.get_running_loop().create_task(self._workers.ask(request)))

    def _read(self, namespace: str, config_map: str, key: str) -> str:
        return str(self._cluster.find(CONFIG_MAP, namespace, config_map)["data"][key])

    def _local(self, task: TrainingTask) -> TrainingTask:
        champion = task.champion
        if champion:
            uri = self.localised(champion.artifact.uri, task.store)
            champion = champion.model_copy(update={"artifact": champion.artifact.model_copy(update={"uri": uri})})
        return task.model_copy(update={"store": self.artifacts, "threads": 1, "champion": champion})

    async def _end(self, key: tuple[str, str], run: _Run) -> None:
        del self._runs[key]
        began = time.perf_counter()
        answer = await run.answer if run.answer else None
        self.waited += time.perf_counter() - began
        if answer:
            model = run.task.version.model_key
            self.cpu_seconds[model] = self.cpu_seconds.get(model, 0.0) + answer.cpu_seconds
        if answer and answer.exit_code:
            await self._leave_pod(run, answer)
        self._cluster.put_status(JOB, run.body, _job_status(run, answer))

    async def _leave_pod(self, run: _Run, answer: WorkerAnswer) -> None:
        metadata = run.body["metadata"]
        terminated = {"exitCode": answer.exit_code, "message": JobSummary(error=answer.error).to_json()}
        body = {
            "metadata": {
                "name": f"{metadata['name']}-pod",
                "labels": {**metadata["labels"], "job-name": metadata["name"]},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "uid": metadata["uid"], "name": ""}],
            },
            "status": {"containerStatuses": [{"name": "trainer", "state": {"terminated": terminated}}]},
        }
        await self._cluster.create(POD, metadata["namespace"], body)

    def _drop(self, key: tuple[str, str]) -> None:
        """A Job that was deleted: its worker brings it to an end, and nobody is told."""
        run = self._runs.pop(key, None)
        if run and run.answer:
            self._abandoned.add(run.answer)


def _job_status(run: _Run, answer: WorkerAnswer | None) -> Object:
    """What Kubernetes' Job controller says of a Job that ended."""
    ended, started = run.ends_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), run.body["metadata"]["creationTimestamp"]
    if answer and not answer.exit_code:
        done = {"type": "Complete", "status": "True", "lastTransitionTime": ended}
        return {"startTime": started, "completionTime": ended, "succeeded": 1, "conditions": [done]}
    reason = "BackoffLimitExceeded" if answer else "DeadlineExceeded"
    failed = {"type": "Failed", "status": "True", "reason": reason, "message": "", "lastTransitionTime": ended}
    return {"startTime": started, "failed": 1, "conditions": [failed]}
