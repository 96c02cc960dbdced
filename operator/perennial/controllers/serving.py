"""Make the cluster's serving objects what the rollout state says, writing only what differs."""

from collections.abc import Mapping, Sequence

from perennial.adapters.cluster import CONFIG_MAP, DEPLOYMENT, MODEL_DEPLOYMENT, SERVICE, Objects
from perennial.controllers.claims import Owner, find_own
from perennial.controllers.objects import Model, Object, Version, belongs_to
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
    cluster: Objects,
    model: Model,
    versions: Mapping[str, Version],
    wanted: Replicas,
    deployments: Sequence[Object],
    image: str,
) -> None:
    """Create and scale Deployments: live pods are asked for before shadows.

    Raises:
        RefusedError: the API server will not have one.
        NameTakenError, NotGoneYetError: something that is not the model's has the name of one.
    """
    existing = {d["metadata"]["name"]: d for d in deployments}
    for (version, track), replicas in sorted(wanted.items(), key=lambda item: item[0][1]):
        served = _served(model, versions[version], track, image) if version in versions else None
        if served:
            await _apply_deployment(cluster, _owner(model), served, replicas, existing.get(served.name))


async def delete_unwanted(cluster: Objects, model: Model, wanted: Replicas, deployments: Sequence[Object]) -> None:
    """What must not run goes even when something that should run was refused, or traffic would stay where it was."""
    kept = {names.serving_name(version, track) for version, track in wanted}
    for name in sorted({d["metadata"]["name"] for d in deployments} - kept):
        await delete_serving(cluster, model.namespace, name)


async def delete_serving(cluster: Objects, namespace: str, name: str) -> None:
    """A Deployment and what its pods were told."""
    await cluster.delete(DEPLOYMENT, namespace, name)
    await cluster.delete(CONFIG_MAP, namespace, f"{name}-server")


async def _apply_deployment(cluster: Objects, owner: Owner, served: Served, replicas: int, live: Object | None) -> None:
    if live is None or _identity(live) != identity_of(served):
        config_map, deployment = build_config_map(served), build_deployment(served, replicas)
        if live is None:
            await find_own(cluster, DEPLOYMENT, owner, served.name)
        await find_own(cluster, CONFIG_MAP, owner, config_map["metadata"]["name"])
        await cluster.apply(CONFIG_MAP, served.namespace, config_map)
        await cluster.apply(DEPLOYMENT, served.namespace, deployment)
    elif live["spec"].get("replicas") != replicas:
        await cluster.patch(DEPLOYMENT, served.namespace, served.name, {"spec": {"replicas": replicas}})


async def apply_services(
    cluster: Objects, model: Model, stable: str | None, peer: str | None, services: Sequence[Object]
) -> None:
    """The endpoint and its two sides.

    Raises:
        RefusedError: the API server will not have one.
        NameTakenError, NotGoneYetError: something that is not the model's has the name of one.
    """
    assert model.spec is not None
    existing = {s["metadata"]["name"]: _identity(s) for s in services if belongs_to(s, model.uid)}
    for service in build_services(model.body, model.spec, stable, peer):
        name = service["metadata"]["name"]
        if name not in existing:
            await find_own(cluster, SERVICE, _owner(model), name)
        if existing.get(name) != _identity(service):
            await cluster.apply(SERVICE, model.namespace, service)


def _owner(model: Model) -> Owner:
    return Owner(MODEL_DEPLOYMENT, model.body, takes_in=names.labels_for(model.name))


def _identity(body: Object) -> str | None:
    annotation: str | None = (body["metadata"].get("annotations") or {}).get(names.IDENTITY)
    return annotation
