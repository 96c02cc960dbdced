"""The canary's requests, as its pods count them."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from perennial.adapters.serving import observe_served
from perennial.controllers.context import Context
from perennial.controllers.objects import Model, Object, ready_addresses
from perennial.domain.guard import Served, decide_guard, decide_watch


async def observe_guard(context: Context, model: Model, pods: Sequence[Object], now: datetime) -> str | None:
    """What is wrong with the canary's answers; None: nothing that is known, or no canary.

    A look serves for `poll_seconds`: so long is the shortest stretch that is judged.
    """
    spec, canary, stable = model.spec, model.status.canary, model.status.stable
    if spec is None or canary is None:
        context.watched.pop(model.uid, None)
        return None
    limit = spec.canary.guard

    async def observe(version: str) -> Mapping[str, Served]:
        return await observe_served(ready_addresses(pods, version), spec.server.port, limit.max_latency_seconds)

    of = (canary.uid, stable.uid if stable else None, limit.max_latency_seconds)
    watch = context.watched.get(model.uid)
    if watch is None or watch.of != of or now - watch.at >= timedelta(seconds=context.settings.poll_seconds):
        seen = await asyncio.gather(observe(canary.version), observe(stable.version if stable else ""))
        watch = context.watched[model.uid] = decide_watch(watch, of, *seen, now)
    return decide_guard(limit, watch)
