"""RetrainPolicy: view its models, decide the plan, write it, then create the versions that it names."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from perennial.adapters.cluster import MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY, RefusedError
from perennial.api import API_VERSION
from perennial.api.conditions import with_kstatus
from perennial.api.retrain_policy import RetrainPolicySpec, RetrainPolicyStatus
from perennial.api.validation import not_implemented
from perennial.controllers.conditions import with_missing_parts
from perennial.controllers.context import Context
from perennial.controllers.governance import governing_policy
from perennial.controllers.model_view import observe_model
from perennial.controllers.objects import (
    Model,
    Object,
    Policy,
    Version,
    asked_by,
    parse_model,
    parse_policy,
    parse_version,
)
from perennial.controllers.queue import Key
from perennial.domain.plan import NewVersion, PlanDecision, decide_plan
from perennial.domain.rollout_draft import Transition
from perennial.domain.selector import to_query
from perennial.domain.triggers import ModelView
from perennial.resources import names

LOOK_EVERY = timedelta(minutes=1)
"""Without an event: counts of outcomes and back-offs change by themselves."""
IN_A_QUERY = 100
"""Names of models that one query asks for: 40 characters each have to fit into a URL."""


async def reconcile_policy(context: Context, key: Key) -> timedelta | None:
    """One look at a RetrainPolicy; returns when to look again without an event."""
    body = await context.cluster.get(RETRAIN_POLICY, key.namespace, key.name)
    if body is None or "deletionTimestamp" in body["metadata"]:
        context.metrics.forget(key.kind, key.namespace, key.name)
        return None
    policy = parse_policy(body)
    if policy.spec is None:
        await _stall(context, policy, policy.problem or "")
        return None
    now = context.now()
    try:
        models, views = await _observe(context, policy, policy.spec, now)
    except RefusedError as error:
        await _stall(context, policy, f"spec.selector: the API server refuses it: {error}")
        return None
    decision = decide_plan(
        policy.spec,
        policy.status,
        views,
        policy=policy.name,
        running=context.lanes.busy(policy.namespace, {view.next_version for view in views}),
        now=now,
        created_at=policy.created_at,
        operator_slots=context.settings.max_jobs,
        retrain_token=asked_by(policy, names.RETRAIN),
    )
    uncreated = _take_lanes(context, policy, policy.spec, decision.create)
    try:
        status = _status(policy, policy.spec, models.values(), views, decision, now)
        written = await context.write_status(RETRAIN_POLICY, body, status)
        await context.tell(RETRAIN_POLICY, written, _transitions(policy, status, decision))
        context.metrics.show_policy(policy.namespace, policy.name, status)
        for new in decision.create:
            if await _create(context, policy, policy.spec, models[new.model], new):
                uncreated.discard(new.name)
    finally:
        for name in uncreated:
            context.lanes.release(policy.namespace, name)
    again = decision.requeue_after
    return min(LOOK_EVERY, timedelta(seconds=again)) if again is not None else LOOK_EVERY


async def _observe(
    context: Context, policy: Policy, spec: RetrainPolicySpec, now: datetime
) -> tuple[dict[str, Model], Sequence[ModelView]]:
    """The models that the policy selects, and those that an older policy governs."""
    bodies, policy_bodies = await asyncio.gather(
        context.cluster.list(MODEL_DEPLOYMENT, policy.namespace, to_query(spec.selector)),
        context.cluster.list(RETRAIN_POLICY, policy.namespace),
    )
    # This policy as it was read, whatever the list says of it: it may be a moment behind.
    policies = [policy, *(p for p in map(parse_policy, policy_bodies) if p.uid != policy.uid)]
    models = {m.name: m for m in map(parse_model, bodies) if not m.deleting}
    versions = await _list_versions(context, policy.namespace, sorted(models))
    views = await asyncio.gather(
        *(
            observe_model(context, model, versions.get(model.name, []), now, _conflict(policies, policy, model))
            for model in models.values()
            if model.spec
        )
    )
    return models, views


async def _list_versions(context: Context, namespace: str, models: Sequence[str]) -> dict[str, list[Version]]:
    """The versions by model, asked for in pieces that fit into a query."""
    pieces = [models[i : i + IN_A_QUERY] for i in range(0, len(models), IN_A_QUERY)]
    listed = await asyncio.gather(
        *(context.cluster.list(MODEL_VERSION, namespace, f"{names.MODEL} in ({','.join(piece)})") for piece in pieces)
    )
    versions: dict[str, list[Version]] = {}
    for version in (parse_version(body) for bodies in listed for body in bodies):
        of = version.spec.model_deployment if version.spec else version.labels[names.MODEL]
        versions.setdefault(of, []).append(version)
    return versions


def _conflict(policies: Sequence[Policy], policy: Policy, model: Model) -> str | None:
    """The name of an older policy that governs the model."""
    governing = governing_policy(policies, model.labels)
    return governing.name if governing and governing.uid != policy.uid else None


def _status(
    policy: Policy,
    spec: RetrainPolicySpec,
    models: Collection[Model],
    views: Sequence[ModelView],
    decision: PlanDecision,
    now: datetime,
) -> RetrainPolicyStatus:
    generation = policy.generation
    conflicts = [f"{view.name} by {view.conflict}" for view in views if view.conflict]
    invalid = sorted(model.name for model in models if model.spec is None)
    conditions = policy.status.conditions
    if invalid and not views:
        message = f"every ModelDeployment that spec.selector matches is invalid, correct it: {', '.join(invalid)}"
        conditions = with_kstatus(conditions, "Stalled", "ModelsInvalid", message, generation=generation, now=now)
    elif not views:
        selector = spec.selector.model_dump(by_alias=True, exclude_defaults=True)
        message = f"spec.selector: {selector}: matches no ModelDeployment in {policy.namespace}: label one, or widen it"
        conditions = with_kstatus(conditions, "Stalled", "NothingSelected", message, generation=generation, now=now)
    elif len(conflicts) == len(views):
        message = f"an older policy governs every model that this one selects: {', '.join(conflicts)}"
        conditions = with_kstatus(conditions, "Stalled", "Conflict", message, generation=generation, now=now)
    else:
        also = f"; governed by an older policy: {', '.join(conflicts)}" if conflicts else ""
        also += f"; invalid, and so left alone: {', '.join(invalid)}" if invalid else ""
        conditions = with_kstatus(
            conditions, "Ready", decision.reason, decision.message + also, generation=generation, now=now
        )
    return policy.status.model_copy(
        update={
            "observed_generation": generation,
            "models": sum(view.conflict is None for view in views),
            "plan": decision.plan,
            "next_schedule_time": decision.next_schedule_time,
            "last_schedule_time": decision.last_schedule_time,
            "retrain_token": decision.retrain_token,
            "conditions": with_missing_parts(conditions, not_implemented(spec), generation, now),
        }
    )


def _transitions(policy: Policy, status: RetrainPolicyStatus, decision: PlanDecision) -> list[Transition]:
    before, plan = policy.status.plan, status.plan
    if plan is None or (before is not None and before.id == plan.id):
        return []
    return [Transition("PlanMade", f"{plan.id}: {', '.join(f'{j.model} ({j.reason})' for j in plan.jobs)}")]


def _take_lanes(context: Context, policy: Policy, spec: RetrainPolicySpec, wanted: Sequence[NewVersion]) -> set[str]:
    """Lanes are taken before anything else can be decided; returns who takes one that is to be given back.

    One that finds none after all is created no less, and waits for it.
    """
    place = policy.namespace
    new = {version.name for version in wanted if not context.lanes.holds(place, version.name)}
    for name in new:
        context.lanes.take(place, name, policy.name, spec.limits.max_parallel, context.settings.max_jobs)
    return new


async def _create(context: Context, policy: Policy, spec: RetrainPolicySpec, model: Model, new: NewVersion) -> bool:
    """The plan is written already; a version's name is the lock, so creating again changes nothing.

    A name that another model's version has, or an invalid one, is left to it: the next plan takes the next one.
    """
    if await context.cluster.create(MODEL_VERSION, policy.namespace, _version_body(policy, spec, model, new)):
        return True
    found = await context.cluster.get(MODEL_VERSION, policy.namespace, new.name)
    if found and (found["metadata"].get("labels") or {}).get(names.MODEL) != model.name:
        context.taken.add((policy.namespace, new.name))
    return False


def _version_body(policy: Policy, spec: RetrainPolicySpec, model: Model, new: NewVersion) -> Object:
    window = spec.training.data_windows.get(new.trigger.type, spec.training.data_window)
    training = spec.training.model_copy(update={"data_window": window, "data_windows": {}})
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {
            "name": new.name,
            "namespace": policy.namespace,
            "labels": {**names.labels_for(model.name), names.POLICY: policy.name},
            "ownerReferences": [names.owner_reference("ModelDeployment", model.body)],
        },
        "spec": {
            "modelDeployment": model.name,
            "trigger": new.trigger.model_dump(mode="json", by_alias=True, exclude_none=True),
            "training": training.model_dump(mode="json", by_alias=True, exclude_none=True),
            "promotion": spec.promotion.model_dump(mode="json", by_alias=True, exclude_none=True),
        },
    }


async def _stall(context: Context, policy: Policy, message: str) -> None:
    context.metrics.hide("RetrainPolicy", policy.namespace, policy.name)
    conditions = with_kstatus(
        policy.status.conditions, "Stalled", "InvalidSpec", message, generation=policy.generation, now=context.now()
    )
    changes = {"conditions": conditions, "observed_generation": policy.generation}
    await context.write_status(RETRAIN_POLICY, policy.body, policy.status.model_copy(update=changes))
