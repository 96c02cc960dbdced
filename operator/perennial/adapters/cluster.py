"""The Kubernetes API as a handful of verbs on plain objects. Only this module knows the client's exceptions."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import aiohttp
from kubernetes.aio import client, config

Object = dict[str, Any]
FIELD_MANAGER = "perennial"


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource type."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL's path of a collection, an object or a subresource."""
        root = "/api/" if "/" not in self.api_version else "/apis/"
        parts = [root + self.api_version]
        if namespace:
            parts.append(f"namespaces/{namespace}")
        return "/".join([*parts, self.plural, *filter(None, (name, subresource))])


MODEL_DEPLOYMENT = Kind("perennial.dev/v1alpha1", "ModelDeployment", "modeldeployments")
RETRAIN_POLICY = Kind("perennial.dev/v1alpha1", "RetrainPolicy", "retrainpolicies")
MODEL_VERSION = Kind("perennial.dev/v1alpha1", "ModelVersion", "modelversions")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
SERVICE = Kind("v1", "Service", "services")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SECRET = Kind("v1", "Secret", "secrets")
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
JOB = Kind("batch/v1", "Job", "jobs")
KEPT = (
    *(MODEL_DEPLOYMENT, RETRAIN_POLICY, MODEL_VERSION),
    *(DEPLOYMENT, SERVICE, CONFIG_MAP, SECRET, POD, JOB),
)
"""All of them but Events, which are told and not kept."""


class ClusterError(Exception):
    """The API server refused or did not answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class ConflictError(ClusterError):
    """Somebody else wrote first, or the object exists: observe again."""


class NotFoundError(ClusterError):
    """There is no such object."""


class RefusedError(ClusterError):
    """The API server will not have it: invalid, forbidden, over a quota. A person has to change something."""


_ERRORS: Mapping[int, type[ClusterError]] = {
    400: RefusedError,
    403: RefusedError,
    404: NotFoundError,
    409: ConflictError,
    422: RefusedError,
}


Observer = Callable[[str], None]
"""Told the HTTP method of each request."""


class Objects(Protocol):
    """What controllers ask of an API server. `Cluster` has one behind it; a replay keeps the objects itself."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None."""
        ...

    async def list(
        self, kind: Kind, namespace: str | None, selector: str | Mapping[str, str] = "", *, latest: bool = False
    ) -> list[Object]:
        """The objects of a namespace (or of all) that a label selector matches."""
        ...

    async def create(self, kind: Kind, namespace: str, body: Object) -> bool:
        """Create it; False when an object of that name is there already."""
        ...

    async def apply(self, kind: Kind, namespace: str, body: Object) -> Object:
        """What we declare becomes so, what others own stays."""
        ...

    async def patch(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """Merge patch; with metadata.resourceVersion in the body it fails when somebody wrote first."""
        ...

    async def replace_status(self, kind: Kind, observed: Object, status: Object) -> Object:
        """Write the whole status, provided that nobody wrote since `observed` was read."""
        ...

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete it and what it owns; gone already is as good."""
        ...


class Cluster:
    """An API server. Every method raises `ClusterError` or one of its kinds, and nothing else."""

    def __init__(self, api: client.ApiClient, observer: Observer) -> None:
        self._api, self._observer = api, observer

    @classmethod
    async def connect(cls, observer: Observer) -> Self:
        """In a pod by its service account, else by the kubeconfig."""
        try:
            config.load_incluster_config()
        except config.ConfigException:
            await config.load_kube_config()
        configuration = client.Configuration.get_default_copy()
        configuration.connection_pool_maxsize = 32
        return cls(client.ApiClient(configuration), observer)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None."""
        try:
            return await self._call("GET", kind.path(namespace, name))
        except NotFoundError:
            return None

    async def list(
        self, kind: Kind, namespace: str | None, selector: str | Mapping[str, str] = "", *, latest: bool = False
    ) -> list[Object]:
        """The objects of a namespace (or of all) that a label selector matches.

        From the API server's cache, as informers do: it may be a moment old, and costs a thousandth of what reading all
        objects of the kind from etcd does. `latest` is for where a moment matters.
        """
        text = selector if isinstance(selector, str) else ",".join(f"{k}={v}" for k, v in selector.items())
        query = ({"labelSelector": text} if text else {}) | ({} if latest else {"resourceVersion": "0"})
        items: list[Object] = (await self._call("GET", kind.path(namespace), query=query))["items"]
        return items

    async def discover(self, api_version: str) -> set[str]:
        """The plurals of the resources that a group's version has; none when it is not there."""
        try:
            found = await self._call("GET", f"/apis/{api_version}")
        except NotFoundError:
            return set()
        return {resource["name"] for resource in found["resources"]}

    async def create(self, kind: Kind, namespace: str, body: Object) -> bool:
        """Create it; False when an object of that name is there already."""
        try:
            await self._call("POST", kind.path(namespace), body=body)
        except ConflictError:
            return False
        return True

    async def apply(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Server-side apply: what we declare becomes so, what others own stays."""
        return await self._call(
            "PATCH",
            kind.path(namespace, body["metadata"]["name"]),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=body,
            content="application/apply-patch+yaml",
        )

    async def patch(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """Merge patch; with metadata.resourceVersion in the body it fails when somebody wrote first."""
        return await self._call("PATCH", kind.path(namespace, name), body=body, content="application/merge-patch+json")

    async def replace_status(self, kind: Kind, observed: Object, status: Object) -> Object:
        """Write the whole status, provided that nobody wrote since `observed` was read."""
        metadata = observed["metadata"]
        body = {**observed, "apiVersion": kind.api_version, "kind": kind.kind, "status": status}
        return await self._call("PUT", kind.path(metadata["namespace"], metadata["name"], "status"), body=body)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete it and, in the background, what it owns; gone already is as good."""
        body: Object = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._call("DELETE", kind.path(namespace, name), body=body)
        except (NotFoundError, ConflictError):
            return

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content: str = "application/json",
    ) -> Object:
        self._observer(method)
        headers = {"Accept": "application/json", "Content-Type": content}
        try:
            parameters = await self._api.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._api.call_api(*parameters, _request_timeout=30)
            await response.read()
        except client.ApiException as error:
            raise _translate(error.status, error.reason, error.body) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterError(0, f"the API server does not answer: {type(error).__name__}") from error
        if response.status >= 400:
            raise _translate(response.status, response.reason, response.data)
        result: Object = json.loads(response.data or b"{}")
        return result


def _translate(status: int, reason: str | None, body: str | bytes | None) -> ClusterError:
    try:
        message = json.loads(body or "{}").get("message") or reason or ""
    except (ValueError, AttributeError):
        message = reason or ""
    if status == 500 and "typed patch object" in message:
        return RefusedError(status, message)  # what an old API server says of an applied field of the wrong type
    return _ERRORS.get(status, ClusterError)(status, message)
