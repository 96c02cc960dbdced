"""Make the cluster's serving objects what the rollout state says, writing only what differs."""

from collections.abc import Mapping, Sequence

from perennial.adapters.cluster import CONFIG_MAP, DEPLOYMENT, SERVICE, Cluster
from perennial.controllers.objects import Model, Object, Version
from perennial.domain.traffic import Replicas
from perennial.resources import names
from perennial.resources.serving import (
    Served,
    build_config_map,
    build_deployment,
    build_services,
    identity_of,
)
from perennial_contract.samples import Track


def _served(model: Model, version: Version, track: Track, image: str) -> Served | None:
    if model.spec is None or version.status.resolved is None or version.status.artifact is None:
        return None
    return Served(
        model=model.body,
        spec=model.spec,
        version=version.name,
        uid=version.uid,
        resolved=version.status.resolved,
        artifact=version.status.artifact,
        track=track,
        default_image=image,
    )


async def apply_replicas(
    cluster: Cluster,
    model: Model,
    versions: Mapping[str, Version],
    wanted: Replicas,
    deployments: Sequence[Object],
    image: str,
) -> None:
    """Create, scale and remove Deployments: live pods are asked for before shadows.

    What must not run goes even when something that should run was refused, or traffic would stay where it was.
    """
    existing = {d["metadata"]["name"]: d for d in deployments}
    kept = {names.serving_name(version, track) for version, track in wanted}
    try:
        for (version, track), replicas in sorted(wanted.items(), key=lambda item: item[0][1]):
            served = _served(model, versions[version], track, image) if version in versions else None
            if served:
                await _apply_deployment(cluster, served, replicas, existing.get(served.name))
    finally:
        for name in existing.keys() - kept:
            await delete_serving(cluster, model.namespace, name)


async def delete_serving(cluster: Cluster, namespace: str, name: str) -> None:
    """A Deployment and what its pods were told."""
    await cluster.delete(DEPLOYMENT, namespace, name)
    await cluster.delete(CONFIG_MAP, namespace, f"{name}-server")


async def _apply_deployment(cluster: Cluster, served: Served, replicas: int, live: Object | None) -> None:
    if live is None or _identity(live) != identity_of(served):
        await cluster.apply(CONFIG_MAP, served.namespace, build_config_map(served))
        await cluster.apply(DEPLOYMENT, served.namespace, build_deployment(served, replicas))
    elif live["spec"].get("replicas") != replicas:
        await cluster.patch(DEPLOYMENT, served.namespace, served.name, {"spec": {"replicas": replicas}})


async def apply_services(
    cluster: Cluster, model: Model, stable: str | None, peer: str | None, services: Sequence[Object]
) -> None:
    """The endpoint and its two sides."""
    assert model.spec is not None
    existing = {s["metadata"]["name"]: _identity(s) for s in services}
    for service in build_services(model.body, model.spec, stable, peer):
        if existing.get(service["metadata"]["name"]) != _identity(service):
            await cluster.apply(SERVICE, model.namespace, service)


def _identity(body: Object) -> str | None:
    annotation: str | None = (body["metadata"].get("annotations") or {}).get(names.IDENTITY)
    return annotation
