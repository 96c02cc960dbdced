"""The cluster under test as its users have it: a kubeconfig and `kubectl`."""

import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]
VOLUMES = Path("/var/lib/perennial-tests")
"""Where the volumes of clusters without a StorageClass lie, a folder a namespace."""
_OWNER = "perennial.dev/test-namespace"


def await_condition(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Returns as soon as the condition holds.

    Raises:
        TimeoutError: it did not within that time.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)


class KubectlError(RuntimeError):
    """kubectl refused; the message is what it said."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers."""

    kubeconfig: Path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints."""
        done = subprocess.run(
            ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> Object:
        """`kubectl get … -o json`, read."""
        found: Object = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def apply(self, *objects: Object) -> None:
        """Creates or changes objects. Servers before 1.28 know not all fields of CEL rules: kubectl must not judge."""
        items = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl("apply", "--validate=false", "-f", "-", stdin=items)

    def wait_rolled_out(self, namespace: str, name: str, seconds: int = 180) -> None:
        """Returns when all pods of a Deployment are ready."""
        self.kubectl("-n", namespace, "rollout", "status", f"deployment/{name}", f"--timeout={seconds}s")

    def address(self, namespace: str, service: str) -> str:
        """The Service's address, which answers on this machine when it is a node of the cluster (localcluster is)."""
        return str(self.get("-n", namespace, "service", service)["spec"]["clusterIP"])

    @contextmanager
    def namespace(self, prefix: str, *, keep: bool = False) -> Iterator[str]:
        """A namespace of one's own, gone in the end with everything in it, volumes included."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        self.kubectl("create", "namespace", name)
        try:
            yield name
        finally:
            if not keep:
                self.remove_namespace(name)

    def remove_namespace(self, name: str, seconds: int = 180) -> None:
        """Deletes a namespace and its volumes, and returns when they are gone."""
        self.kubectl("delete", "namespace", name, "--ignore-not-found", f"--timeout={seconds}s")
        self.kubectl("delete", "persistentvolume", "-l", f"{_OWNER}={name}", f"--timeout={seconds}s")
        shutil.rmtree(VOLUMES / name, ignore_errors=True)

    def claim(self, namespace: str, name: str, uid: int, size: str = "2Gi") -> None:
        """A PersistentVolumeClaim that the user `uid` may write to: of the default StorageClass, or a folder here."""
        claim: Object = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
        }
        if self.get("storageclass")["items"]:
            self.apply(claim)
            return
        folder = VOLUMES / namespace / name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.chown(folder, uid, uid)
        claim["spec"] |= {"storageClassName": "", "volumeName": f"{namespace}-{name}"}
        volume: Object = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{namespace}-{name}", "labels": {_OWNER: namespace}},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": size},
                "claimRef": {"namespace": namespace, "name": name},
                "hostPath": {"path": str(folder), "type": "Directory"},
            },
        }
        self.apply(volume)
        self.apply(claim)
        # a Pod that is scheduled before its claim is bound waits for the scheduler's back-off
        await_condition(
            lambda: self.get("-n", namespace, "pvc", name)["status"]["phase"] == "Bound", 60, f"{name} bound"
        )
