"""The API server as the operator's tests speak to it: plain objects through `kubectl proxy`."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from perennial.adapters.cluster import Kind

Object = dict[str, Any]
T = TypeVar("T")
NAMESPACE = Kind("v1", "Namespace", "namespaces")
REPLICA_SET = Kind("apps/v1", "ReplicaSet", "replicasets")


class ApiError(Exception):
    """The API server refused."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True)
class Api:
    """A handful of verbs on one API server."""

    url: str

    def call(self, method: str, path: str, body: object = None, content: str = "application/json") -> Object:
        """One request; the answer is an object."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}{path}", data, {"Content-Type": content}, method=method)
        try:
            with urlopen(request, timeout=30) as response:
                found: Object = json.load(response)
                return found
        except HTTPError as error:
            raise ApiError(error.code, error.read().decode(errors="replace")[:500]) from error

    def text(self, path: str) -> str:
        """What a path answers that is no object."""
        with urlopen(f"{self.url}{path}", timeout=30) as response:
            return str(response.read().decode())

    def find(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """The object, or None."""
        try:
            return self.call("GET", kind.path(namespace, name))
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """The object, which must be there."""
        return self.call("GET", kind.path(namespace, name))

    def list(self, kind: Kind, namespace: str | None, selector: str = "", *, latest: bool = True) -> list[Object]:
        """The objects of a namespace, or of all; a view that may be a moment old costs the server next to nothing."""
        query = f"labelSelector={quote(selector)}" + ("" if latest else "&resourceVersion=0")
        items: list[Object] = self.call("GET", f"{kind.path(namespace)}?{query}")["items"]
        return items

    def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        """Creates it; the body needs no more than what is particular about it."""
        whole = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        return self.call("POST", kind.path(namespace), whole)

    def patch(self, kind: Kind, namespace: str, name: str, body: Object, subresource: str | None = None) -> Object:
        """Merge patch."""
        return self.call("PATCH", kind.path(namespace, name, subresource), body, "application/merge-patch+json")

    def delete(self, kind: Kind, namespace: str | None, name: str) -> None:
        """Deletes it and, in the background, what it owns."""
        self.call("DELETE", kind.path(namespace, name), {"propagationPolicy": "Background"})


@contextmanager
def proxied(kubeconfig: Path) -> Iterator[Api]:
    """The API server behind a kubeconfig, whatever credentials it holds."""
    command = ["kubectl", f"--kubeconfig={kubeconfig}", "proxy", "--port=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
        assert found, "kubectl proxy did not start"
        yield Api(f"http://{found.group()}")
    finally:
        process.terminate()
        process.communicate()


def eventually(look: Callable[[], T], what: str, seconds: float = 30, pause: float = 0.1) -> T:
    """The first answer that is not empty; fails with the last one when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}; last seen: {found!r}"
        time.sleep(pause)
