"""Kubelet, trainer and clients of one namespace in a thread: what a control plane alone does not have."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
from tests.integration.operator_api import Api, ApiError, Object
from tests.integration.operator_reports import DEPLOY, Training, build_row, write_row

from perennial.adapters.cluster import CONFIG_MAP, POD
from perennial.resources import names
from perennial_contract.task import TrainingTask

NOWHERE = {"perennial.dev/nowhere": "true"}
"""A nodeSelector that no node meets: the pods' status is ours to write."""


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Node(threading.Thread):
    """Makes serving pods ready and ends training pods, each as a test has told it to."""

    def __init__(self, api: Api, namespace: str, database: str, pause: float = 0.1) -> None:
        super().__init__(name=f"node-{namespace}", daemon=True)
        self.trainings: dict[str, Training] = {}
        """By ModelVersion or by Job; `DEPLOY` where nothing is said."""
        self.broken: set[str] = set()
        """Versions whose serving pods crash."""
        self.unready: set[str] = set()
        """Versions whose serving pods never become ready."""
        self.addresses: dict[str, str] = {}
        """Of a version's serving pods; none where nothing is said."""
        self.before_done: Callable[[], None] = lambda: None
        """Called between a trainer's row and its end."""
        self.trained: Counter[str] = Counter()
        """Pods that ran, by Job."""
        self.problems: list[str] = []
        self._api, self._namespace, self._database = api, namespace, database
        self._ended, self._pause = threading.Event(), pause
        self._finished: set[str] = set()

    def run(self) -> None:
        """Until stopped."""
        while not self._ended.wait(self._pause):
            try:
                for pod in self._api.list(POD, self._namespace, latest=False):
                    self._tend(pod)
            except (ApiError, OSError, psycopg.OperationalError):
                continue  # a pod that went meanwhile, or a server that is stopped: the next round sees
            except Exception as error:  # noqa: BLE001 - the test asserts that there is none
                self.problems.append(repr(error))

    def stop(self) -> None:
        """Ends the thread."""
        self._ended.set()
        self.join()

    def _tend(self, pod: Object) -> None:
        labels = pod["metadata"].get("labels", {})
        if "deletionTimestamp" in pod["metadata"]:
            return
        if "job-name" in labels:
            self._train(pod, labels["job-name"], labels[names.VERSION])
        elif names.TRACK in labels:
            self._serve(pod, labels[names.VERSION])

    def _serve(self, pod: Object, version: str) -> None:
        was = next((c["status"] for c in pod["status"].get("conditions", []) if c["type"] == "Ready"), "Unknown")
        broken = version in self.broken
        ready = "False" if broken or version in self.unready else "True"
        if ready == was:
            return
        terminated = {"exitCode": 1, "reason": "Error", "message": "model.ubj: digest is wrong: refused"}
        container: Object = {"name": "server", "ready": ready == "True", "restartCount": int(broken), "image": "s"}
        container |= {"imageID": "", "state": {"running": {"startedAt": _now()}}}
        if broken:
            container |= {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": terminated}}
        condition = {"type": "Ready", "status": ready, "lastTransitionTime": _now()}
        status: Object = {"phase": "Running", "conditions": [condition], "containerStatuses": [container]}
        if address := self.addresses.get(version):
            status |= {"podIP": address, "podIPs": [{"ip": address}]}
        self._write(pod, status)

    def _train(self, pod: Object, job: str, version: str) -> None:
        training = self.trainings.get(job, self.trainings.get(version, DEPLOY))
        uid = pod["metadata"]["uid"]
        if training.hangs or uid in self._finished:
            return
        text = self._api.get(CONFIG_MAP, self._namespace, f"{version}-task")["data"]["task.json"]
        task = TrainingTask.model_validate_json(text)
        if training.tampering != "no row":
            write_row(self._database, build_row(task, training))
        self.before_done()
        terminated = {"exitCode": training.exit_code, "message": training.said, "reason": "Completed"}
        container = {"name": "trainer", "ready": False, "restartCount": 0, "image": "t", "imageID": ""}
        status = {"phase": "Failed" if training.exit_code else "Succeeded"}
        self._write(pod, {**status, "containerStatuses": [{**container, "state": {"terminated": terminated}}]})
        self._finished.add(uid)
        self.trained[job] += 1

    def _write(self, pod: Object, status: Object) -> None:
        self._api.patch(POD, self._namespace, pod["metadata"]["name"], {"status": status}, "status")
