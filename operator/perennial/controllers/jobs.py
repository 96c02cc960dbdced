"""A version's training Jobs: one an attempt, made once, and read only when it was made for this very version."""

from datetime import timedelta

from perennial.adapters.cluster import CONFIG_MAP, JOB, MODEL_VERSION, POD, RETRAIN_POLICY, RefusedError
from perennial.api.model_version import ModelVersionStatus
from perennial.controllers.claims import NAME_TAKEN, NOT_GONE_YET, NameTakenError, NotGoneYetError, Owner, find_own
from perennial.controllers.context import Context, Refusal
from perennial.controllers.lanes import WaitsFor, trains
from perennial.controllers.objects import Model, Version, belongs_to, parse_policy, view_job
from perennial.domain.version import A_LANE, JobView
from perennial.resources.training import Attempt, build_job, build_task_config_map


async def take_lane(context: Context, version: Version) -> WaitsFor | None:
    """A lane for a Job that would start now; what it has to wait for when there is none."""
    if version.spec is None or context.lanes.holds(version.namespace, version.name):
        return None
    policy, lanes = version.spec.trigger.policy, None
    if policy:
        found = await context.cluster.get(RETRAIN_POLICY, version.namespace, policy)
        spec = parse_policy(found).spec if found else None
        lanes = spec.limits.max_parallel if spec else None
    return context.lanes.take(version.namespace, version.name, policy, lanes, context.settings.max_jobs)


def note_lane(context: Context, version: Version, status: ModelVersionStatus) -> None:
    """The lane is held while a Job of the version runs, or is about to be made."""
    if trains(status) and version.uid not in context.refused:
        context.lanes.note(version.namespace, version.name, version.spec.trigger.policy if version.spec else None)
    else:
        context.lanes.release(version.namespace, version.name)


async def observe_job(context: Context, version: Version) -> JobView:
    """The present attempt's Job; one that an earlier version of this name left behind is none."""
    job = version.status.job
    if version.status.phase != "Training" or job is None or job.state != "Running":
        return JobView("Missing")
    found = await context.cluster.get(JOB, version.namespace, job.name)
    if found is None or not belongs_to(found, version.uid):
        return JobView("Missing")
    view = view_job(found, [])
    if view.state == "Failed":
        pods = await context.cluster.list(POD, version.namespace, {"job-name": job.name})
        view = view_job(found, [pod for pod in pods if belongs_to(pod, found["metadata"]["uid"])])
    return view


async def ensure_job(
    context: Context, version: Version, model: Model | None, status: ModelVersionStatus
) -> timedelta | None:
    """Create the attempt's Job unless it is there: its name is the lock. Returns when to look again, if sooner."""
    refusal, again = None, None
    if trains(status) and model is not None and model.spec is not None and not model.deleting:
        try:
            again = await _create_job(context, version, model, status)
        except NotGoneYetError:
            again = NOT_GONE_YET
        except NameTakenError as error:
            refusal, again = Refusal("NameTaken", str(error)), NAME_TAKEN
        except RefusedError as error:
            refusal = Refusal("JobRefused", f"the API server refuses what spec.training asks for: {error}")
    return timedelta(0) if context.note_refusal(version.uid, refusal) else again


async def _create_job(context: Context, version: Version, model: Model, status: ModelVersionStatus) -> timedelta | None:
    assert status.job is not None
    assert status.resolved is not None
    assert model.spec is not None
    assert version.spec is not None
    owner = Owner(MODEL_VERSION, version.body)
    if await find_own(context.cluster, JOB, owner, status.job.name):
        return None
    if await take_lane(context, version):  # one that was refused gave its lane back
        return A_LANE
    attempt = Attempt(
        version=version.body,
        model=model.name,
        model_uid=model.uid,
        resolved=status.resolved,
        job=status.job.name,
        write_url_from=model.spec.samples.write_url_from,
        default_image=context.settings.trainer_image_for(status.resolved.algorithm.name),
        brought=version.spec.artifact,
    )
    task = build_task_config_map(attempt)
    made = await context.cluster.create(CONFIG_MAP, version.namespace, task)
    if not made and not await find_own(context.cluster, CONFIG_MAP, owner, task["metadata"]["name"]):
        return NOT_GONE_YET
    created = await context.cluster.create(JOB, version.namespace, build_job(attempt))
    return None if created else NOT_GONE_YET
