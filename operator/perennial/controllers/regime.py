"""The regime of a model's market: looked at as the monitors look, and told when another one comes."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from perennial.api.conditions import ConditionStatus, with_condition, without_condition
from perennial.api.model_deployment_status import ModelDeploymentStatus, RegimeStatus
from perennial.api.shared import Condition
from perennial.controllers.context import Context
from perennial.controllers.looks import StoreState
from perennial.controllers.objects import Model, Version
from perennial.controllers.profiles import observe_profile
from perennial.domain.evidence import StoreError, StoreMisconfigured
from perennial.domain.regime import decide_regime, unknown
from perennial.domain.rollout_draft import Transition

CHANGED = "RegimeChanged"
_SAID: Mapping[str, ConditionStatus] = {"AsTrained": "False", "Changed": "True", "Unknown": "Unknown"}


async def observe_regime(
    context: Context, model: Model, version: Version | None, state: StoreState, now: datetime
) -> RegimeStatus | None:
    """Which regime the series is in; None without a stable version, or where regimes are off."""
    spec, stable, previous = model.spec, model.status.stable, model.status.regime
    if spec is None or spec.regime is None or stable is None:
        return None
    profile, look = None, None
    try:
        if state.store is not None and version is not None:
            profile = await observe_profile(context, state.store, version)
        if state.store is not None:
            regime, contract = spec.regime, spec.samples.contract
            look = await state.store.observe_series(contract, regime.column, until=now, limit=regime.lookback)
    except StoreMisconfigured as error:
        return unknown(stable.version, previous, "StoreMisconfigured", str(error))
    except StoreError:
        look = None
    fitted = profile.regime if profile else None
    return await asyncio.to_thread(decide_regime, spec.regime, fitted, look, stable.version, previous)


def with_regime(
    conditions: list[Condition], status: ModelDeploymentStatus, watched: bool, generation: int, now: datetime
) -> list[Condition]:
    """The conditions with `RegimeChanged` where regimes are watched, and without it where they are off."""
    if not watched:
        return without_condition(conditions, CHANGED)
    regime = status.regime or RegimeStatus(reason="NoVersion")
    said = _SAID[regime.state], regime.reason, regime.message
    return with_condition(conditions, CHANGED, *said, generation=generation, now=now)


def regime_transitions(before: RegimeStatus | None, after: RegimeStatus | None) -> Sequence[Transition]:
    """Another regime is worth an Event; that it may be a short one is for triggers to see to."""
    if after is None or after.candidate is None:
        return []
    known = before is not None and (before.version, before.candidate) == (after.version, after.candidate)
    return [] if known else [Transition("RegimeCandidate", after.message)]
