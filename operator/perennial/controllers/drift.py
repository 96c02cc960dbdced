"""The monitor of features: looks once a window, and tells when drift begins and ends."""

from perennial.api.conditions import ConditionStatus
from perennial.api.model_deployment_status import DriftStatus, ModelDeploymentStatus
from perennial.controllers.context import Context, Kept
from perennial.controllers.looks import StoreState
from perennial.controllers.objects import Model, Version
from perennial.controllers.profiles import observe_profile
from perennial.domain.drift import decide_drift, drift_unavailable
from perennial.domain.drift_evidence import DriftLook, complete_windows
from perennial.domain.evidence import StoreError, StoreMisconfigured
from perennial.domain.rollout_draft import Transition


async def observe_drift(
    context: Context, model: Model, version: Version | None, state: StoreState
) -> DriftStatus | None:
    """What the newest complete windows say of the stable version; None without one, or where drift is not watched.

    A window that has been judged is not counted again: samples that are recorded later than labelDelay after it are not
    seen, and losing what is kept costs a look.
    """
    spec = model.spec
    if spec is None or spec.drift is None or version is None:
        return None
    span = complete_windows(spec.drift, spec.samples.label_delay, context.now())
    asked, kept = (version.uid, spec.drift, span), context.drifts.get(model.uid)
    if kept and kept.asked == asked:
        return kept.look
    if state.store is None:
        return drift_unavailable(span, version.name)
    try:
        profile = await observe_profile(context, state.store, version)
        look = DriftLook(())
        if profile is not None and span.until > profile.until:
            look = await state.store.observe_drift(
                spec.samples.contract,
                profile,
                model=f"{model.namespace}/{model.name}",
                version=version.uid,
                span=span,
            )
    except StoreMisconfigured as error:
        return DriftStatus(reason="StoreMisconfigured", message=str(error), version=version.name)
    except StoreError:
        return drift_unavailable(span, version.name)
    status = decide_drift(spec.drift, profile, look, span, version.name)
    if status.state != "Unknown":
        context.drifts[model.uid] = Kept(asked, context.now(), status)
    return status


def drifting(status: ModelDeploymentStatus) -> tuple[ConditionStatus, str, str]:
    """The condition `Drifting`."""
    drift = status.drift
    if drift is None or drift.state == "Unknown":
        return "Unknown", drift.reason if drift else "NoVersion", drift.message if drift else ""
    return "True" if drift.state == "Drifting" else "False", drift.reason, drift.message


def drift_transitions(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> list[Transition]:
    """Drift that begins is worth an Event, and its end in the same version; a suspicion is not."""
    was, now = before.drift, after.drift
    if now is None or now.state == "Unknown" or (was is not None and was.state == now.state):
        return []
    if now.state == "Drifting":
        return [Transition("DriftDetected", now.message, now.version, warning=True)]
    if was is not None and was.state == "Drifting" and was.version == now.version:
        return [Transition("DriftEnded", now.message, now.version)]
    return []
