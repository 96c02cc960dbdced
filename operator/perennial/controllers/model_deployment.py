"""ModelDeployment: observe the world, decide the rollout, write status, then make the cluster so."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from perennial.adapters.cluster import DEPLOYMENT, MODEL_DEPLOYMENT, MODEL_VERSION, POD, SERVICE, RefusedError
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import ModelDeploymentStatus
from perennial.controllers.claims import NAME_TAKEN, NOT_GONE_YET, NameTakenError, NotGoneYetError
from perennial.controllers.conditions import Hindrance, model_conditions, stalled_model, store_transitions
from perennial.controllers.context import Context, Refusal
from perennial.controllers.drift import drift_transitions, observe_drift
from perennial.controllers.guard import observe_guard
from perennial.controllers.looks import (
    StoreState,
    due,
    observe_canary,
    observe_feasible,
    observe_health,
    observe_probation,
    open_store,
)
from perennial.controllers.objects import (
    Model,
    Object,
    Version,
    owned_by,
    parse_model,
    parse_version,
    view_pods,
    view_version,
)
from perennial.controllers.pruning import choose_prunable
from perennial.controllers.queue import Key
from perennial.controllers.regime import observe_regime, regime_transitions
from perennial.controllers.serving import apply_replicas, apply_services, delete_serving, delete_unwanted
from perennial.domain.evidence import StoreError
from perennial.domain.feasibility import Feasibility
from perennial.domain.rollout import RolloutDecision, decide_rollout
from perennial.domain.rollout_draft import Transition, World
from perennial.domain.traffic import decide_peer, decide_replicas
from perennial.resources import names


async def reconcile_model(context: Context, key: Key) -> timedelta | None:
    """One look at a ModelDeployment; returns when to look again without an event."""
    body = await context.cluster.get(MODEL_DEPLOYMENT, key.namespace, key.name)
    if body is None:
        context.metrics.forget(key.kind, key.namespace, key.name)
        return None
    model = parse_model(body)
    if model.deleting:
        return await _withdraw(context, model)
    if model.spec is None:
        context.metrics.hide(key.kind, key.namespace, key.name)
        await context.write_status(MODEL_DEPLOYMENT, body, stalled_model(model, context.now()))
        return None
    if names.FINALIZER not in body["metadata"].get("finalizers", []):
        finalizers = [*body["metadata"].get("finalizers", []), names.FINALIZER]
        model = parse_model(await _set_finalizers(context, model, finalizers))
    return await _reconcile(context, model)


async def _reconcile(context: Context, model: Model) -> timedelta | None:
    spec = model.spec
    assert spec is not None
    labels = {names.MODEL: model.name}
    listed, labelled, services, store = await asyncio.gather(
        context.cluster.list(MODEL_VERSION, model.namespace, labels),
        context.cluster.list(DEPLOYMENT, model.namespace, labels),
        context.cluster.list(SERVICE, model.namespace, labels),
        open_store(context, model),
    )
    versions = {v.name: v for v in map(parse_version, listed) if v.body["metadata"].get("deletionTimestamp") is None}
    deployments = [d for d in labelled if owned_by(d, model)]
    pods = await _moving_pods(context, model, deployments)
    now = context.now()
    status = model.status
    look = await observe_canary(context, model, status.canary, store, now) if status.canary else None
    if isinstance(look, StoreError):
        store, look = StoreState(store.store, look), None
    world = World(
        now=now,
        cause=canary_cause(spec),
        versions=tuple(view_version(v) for v in versions.values()),
        pods=view_pods(deployments, pods),
        look=look,
        probation=await observe_probation(context, model, store, now),
        guard=await observe_guard(context, model, pods, now),
    )
    decision = decide_rollout(spec, status, world)
    status = _held_for(decision.status, store)
    status, feasible = await _with_monitors(context, model, status, store, versions)
    hindrance = Hindrance(store, decision.pin_problem, context.refused.get(model.uid))
    status = model_conditions(model, spec, status, hindrance, feasible, now)
    written = await context.write_status(MODEL_DEPLOYMENT, model.body, status)
    if feasible is not None:  # what was not written was not seen
        context.monitored[model.uid] = now
    await context.tell(MODEL_DEPLOYMENT, written, store_transitions(model.status.conditions, status.conditions))
    # as it was kept: where the API server cuts a field off, nothing has changed
    await context.tell(MODEL_DEPLOYMENT, written, drift_transitions(model.status, parse_model(written).status))
    await context.tell(MODEL_DEPLOYMENT, written, regime_transitions(model.status.regime, status.regime))
    await _tell(context, model, written, decision, versions)
    context.metrics.show_model(model.namespace, model.name, status)
    again = await _apply(context, model, status, versions, world, deployments, services)
    if again == timedelta(0):
        return again
    await _prune(context, model, spec, status, versions)
    later = _look_again(context, model, spec, status)
    return later if again is None else min(again, later)


async def _apply(
    context: Context,
    model: Model,
    status: ModelDeploymentStatus,
    versions: dict[str, Version],
    world: World,
    deployments: list[Object],
    services: list[Object],
) -> timedelta | None:
    """Make the cluster so; returns when to look again when something is in the way."""
    assert model.spec is not None
    scoring = model.spec.canary.min_replicas
    wanted = decide_replicas(model.spec.server.replicas, status, world.pods, world.now, scoring=scoring)
    stable = status.stable.version if status.stable else None
    refusal, again = None, None
    try:
        await apply_services(context.cluster, model, stable, decide_peer(status, world.now), services)
        await apply_replicas(context.cluster, model, versions, wanted, deployments, context.settings.server_image)
    except RefusedError as error:
        refusal = Refusal("ObjectRefused", f"the API server refuses what spec.server asks for: {error}")
    except NameTakenError as error:
        refusal, again = Refusal("NameTaken", str(error)), NAME_TAKEN
    except NotGoneYetError:
        again = NOT_GONE_YET
    await delete_unwanted(context.cluster, model, wanted, deployments)
    return timedelta(0) if context.note_refusal(model.uid, refusal) else again


def _held_for(status: ModelDeploymentStatus, store: StoreState) -> ModelDeploymentStatus:
    """A canary that is held for want of evidence says what keeps it away."""
    canary = status.canary
    if canary is None or canary.state != "Held" or store.error is None:
        return status
    held = canary.model_copy(update={"message": f"weight holds: {store.error}"})
    return status.model_copy(update={"canary": held})


def canary_cause(spec: ModelDeploymentSpec) -> str:
    """Digest of what a canary stands on: a change ends it. More pods are none, nor is a default of a later release."""
    server = spec.server.model_dump(mode="json", exclude={"replicas"}, exclude_defaults=True)
    others = (v.model_dump(mode="json", exclude_defaults=True) for v in (spec.algorithm, spec.samples, spec.decision))
    return names.digest_of([*others, server])


async def _moving_pods(context: Context, model: Model, deployments: list[Object]) -> list[Object]:
    """Pods are looked at only while something moves: that is when one may fail."""
    settled = all(d.get("status", {}).get("readyReplicas", 0) == d["spec"].get("replicas") for d in deployments)
    if settled and not model.status.canary and not model.status.incoming:
        return []
    return await context.cluster.list(POD, model.namespace, {names.MODEL: model.name})


async def _with_monitors(
    context: Context,
    model: Model,
    status: ModelDeploymentStatus,
    store: StoreState,
    versions: dict[str, Version],
) -> tuple[ModelDeploymentStatus, Feasibility | None]:
    """Health at its interval, at once when the stable version changed; revisions never go back."""
    now = context.now()
    changed = (status.stable.uid if status.stable else None) != (
        model.status.stable.uid if model.status.stable else None
    )
    revisions = [v.status.resolved.revision for v in versions.values() if v.status.resolved]
    status = status.model_copy(
        update={
            "observed_generation": model.generation,
            "last_revision": max([status.last_revision, *revisions]),
            "endpoint": f"http://{model.name}.{model.namespace}.svc:{model.spec.server.port}" if model.spec else None,
        }
    )
    if not changed and due(context, model, now):
        return status, None
    looked = replace(model, status=status)
    stable = versions.get(status.stable.version) if status.stable else None
    health = await observe_health(context, looked, stable, store, now)
    drift = await observe_drift(context, model, stable, store)
    regime = await observe_regime(context, looked, stable, store, now)
    feasible = await observe_feasible(context, model, store, health, now)
    return status.model_copy(update={"health": health, "drift": drift, "regime": regime}), feasible


async def _tell(
    context: Context, model: Model, written: Object, decision: RolloutDecision, versions: dict[str, Version]
) -> None:
    await context.tell(MODEL_DEPLOYMENT, written, decision.transitions)
    owner = ("ModelDeployment", model.namespace, model.name)
    for transition in decision.transitions:
        if transition.reason == "Promoted":
            context.metrics.count(owner, context.metrics.promotions, _reason_in(model, transition))
            if _goes_back(model, versions):
                context.metrics.count(owner, context.metrics.rollbacks)


def _reason_in(model: Model, transition: Transition) -> str:
    incoming = model.status.incoming
    return incoming.reason if incoming and incoming.version == transition.version else "Deploy"


def _goes_back(model: Model, versions: dict[str, Version]) -> bool:
    """Whether what took over is older than what served: a pin may also name a newer version."""
    came, went = model.status.incoming, model.status.stable
    sides = [versions[side.version].status.resolved for side in (came, went) if side and side.version in versions]
    revisions = [resolved.revision for resolved in sides if resolved]
    return len(revisions) == 2 and revisions[0] < revisions[1]


async def _prune(
    context: Context,
    model: Model,
    spec: ModelDeploymentSpec,
    status: ModelDeploymentStatus,
    versions: dict[str, Version],
) -> None:
    """Delete what is beyond the limit and needed for nothing."""
    for version in choose_prunable(spec, status, versions.values(), context.now()):
        await context.cluster.delete(MODEL_VERSION, model.namespace, version.name, version.uid)


async def _withdraw(context: Context, model: Model) -> timedelta | None:
    """Deletion: once the stable version alone takes traffic, owner references do the rest.

    Nothing is created on this way: in a namespace that goes too, the API server takes nothing new.
    """
    if names.FINALIZER not in model.body["metadata"].get("finalizers", []):
        return None
    labelled = await context.cluster.list(DEPLOYMENT, model.namespace, {names.MODEL: model.name})
    deployments = [d for d in labelled if owned_by(d, model)]
    if model.spec is not None:
        now, pods = context.now(), view_pods(deployments, [])
        world = World(now=now, cause="", pods=pods, deleting=True)
        decision = decide_rollout(model.spec, model.status, world)
        model = replace(model, body=await context.write_status(MODEL_DEPLOYMENT, model.body, decision.status))
        await context.tell(MODEL_DEPLOYMENT, model.body, decision.transitions)
    stable = model.status.stable.version if model.status.stable else None
    others = [d["metadata"]["name"] for d in deployments if d["metadata"]["labels"].get(names.VERSION) != stable]
    for name in others:
        await delete_serving(context.cluster, model.namespace, name)
    if others:
        return timedelta(seconds=1)
    await _release(context, model)
    return None


async def _release(context: Context, model: Model) -> None:
    finalizers = [f for f in model.body["metadata"].get("finalizers", []) if f != names.FINALIZER]
    await _set_finalizers(context, model, finalizers)


async def _set_finalizers(context: Context, model: Model, finalizers: list[str]) -> Object:
    metadata = {"finalizers": finalizers, "resourceVersion": model.body["metadata"]["resourceVersion"]}
    return await context.cluster.patch(MODEL_DEPLOYMENT, model.namespace, model.name, {"metadata": metadata})


def _look_again(context: Context, model: Model, spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> timedelta:
    """Soon while something moves, else when the monitors are due."""
    monitors = due(context, model, context.now()) or spec.interval
    moving = status.canary or status.incoming
    return min(monitors, timedelta(seconds=context.settings.poll_seconds)) if moving else monitors
