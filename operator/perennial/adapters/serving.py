"""What servers say of themselves: `/metrics` of their pods."""

import asyncio
from bisect import bisect_left
from collections.abc import Mapping

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from perennial.domain.guard import Served

_TIMEOUT = aiohttp.ClientTimeout(total=2.0)
_REQUESTS = "perennial_server_requests"
_SECONDS = "perennial_server_request_seconds"


async def observe_served(addresses: list[str], port: int, max_latency_seconds: float) -> dict[str, Served]:
    """What each pod that answers has counted since it started, by its address.

    Args:
        addresses: of the pods.
        max_latency_seconds: what is later is slow; rounded up to the next bound of the servers' histogram.
    """
    if not addresses:
        return {}
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        pages = await asyncio.gather(*(_fetch(session, address, port) for address in addresses))
    told = (
        (address, read_served(page, max_latency_seconds))
        for address, page in zip(addresses, pages, strict=True)
        if page
    )
    return {address: served for address, served in told if served}


async def _fetch(session: aiohttp.ClientSession, address: str, port: int) -> str | None:
    host = f"[{address}]" if ":" in address else address
    try:
        async with session.get(f"http://{host}:{port}/metrics") as answer:
            return await answer.text() if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError):
        return None  # what does not answer is told by its readiness


def read_served(page: str, max_latency_seconds: float) -> Served | None:
    """The counts of one pod; None: it is no page of a server's."""
    failed, buckets = 0.0, {}
    try:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == f"{_REQUESTS}_total" and _is_failure(sample.labels["code"]):
                    failed += sample.value
                elif sample.name == f"{_SECONDS}_bucket":
                    buckets[float(sample.labels["le"])] = sample.value
    except (ValueError, KeyError):
        return None
    if not buckets:
        return None
    in_time = _up_to(buckets, max_latency_seconds)
    return Served(round(failed), round(buckets[max(buckets)] - in_time), round(in_time))


def _is_failure(code: str) -> bool:
    """422 is a row that this version cannot score, and another may; what else is wrong is the client's fault."""
    return code.startswith("5") or code == "422"


def _up_to(buckets: Mapping[float, float], seconds: float) -> float:
    bounds = sorted(buckets)
    return buckets[bounds[min(bisect_left(bounds, seconds), len(bounds) - 1)]]
