"""The canary's requests, as its pods count them."""

import asyncio
from collections.abc import Sequence

from perennial.adapters.serving import observe_served
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import ModelDeploymentStatus
from perennial.controllers.objects import Object, ready_addresses
from perennial.domain.guard import Served, decide_guard


async def observe_guard(spec: ModelDeploymentSpec, status: ModelDeploymentStatus, pods: Sequence[Object]) -> str | None:
    """What is wrong with the canary's answers; None: nothing that is known, or no canary."""
    if status.canary is None:
        return None
    limit = spec.canary.guard

    async def observe(version: str) -> Served | None:
        addresses = ready_addresses(pods, version)
        return await observe_served(addresses, spec.server.port, limit.max_latency_seconds) if addresses else None

    stable = status.stable.version if status.stable else ""
    canary, beside = await asyncio.gather(observe(status.canary.version), observe(stable))
    return decide_guard(limit, canary, beside)
