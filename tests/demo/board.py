"""The loop in a live table: models, health, plan, versions, weights."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from tests.demo.market import Market

Object = dict[str, Any]
_COLOURS = {"Healthy": "green", "Degraded": "yellow", "Critical": "red", "Live": "green", "Canary": "cyan"}


def build_board(
    models: Sequence[Object], policies: Sequence[Object], versions: Sequence[Object], market: Market
) -> RenderableType:
    """One frame."""
    return Group(_headline(market), _models(models), _plan(policies), _versions(versions))


def _coloured(text: str) -> Text:
    return Text(text, style=_COLOURS.get(text, ""))


def _headline(market: Market) -> Text:
    date = f"{market.today:%Y-%m-%d %H:%M}" if market.today else "not open yet"
    failed = sum(market.failed.values())
    return Text(
        f"market {date}   answered {sum(market.answered.values())}   outcomes {market.outcomes}   failed {failed}",
        style="bold red" if failed else "bold",
    )


def _models(models: Sequence[Object]) -> Table:
    table = Table("MODEL", "PHASE", "STABLE", "CANARY", "WEIGHT", "PAIRS", "HEALTH", "WIN RATE", "EFFECTIVE")
    for model in models:
        status = model.get("status", {})
        canary, health = status.get("canary", {}), status.get("health", {})
        rate = health.get("winRate")
        table.add_row(
            model["metadata"]["name"],
            status.get("phase", ""),
            status.get("stable", {}).get("version", ""),
            canary.get("version", ""),
            f"{canary['weight']:.0%}" if canary else "",
            str(canary.get("evidence", {}).get("pairs", "")),
            _coloured(health.get("state", "")),
            f"{rate['value']:.1%} ({rate['lower']:.1%} to {rate['upper']:.1%})" if rate else "",
            f"{rate['effectiveOutcomes']:.0f}" if rate else "",
        )
    return table


def _plan(policies: Sequence[Object]) -> Table:
    table = Table("POLICY", "PLAN", "MODEL", "PRIORITY", "REASON", "STATE", "ESTIMATE")
    for policy in policies:
        plan = policy.get("status", {}).get("plan")
        for job in plan["jobs"] if plan else []:
            waits = f" ({job['waitingFor']})" if job.get("waitingFor") else ""
            table.add_row(
                policy["metadata"]["name"],
                plan["id"],
                job["model"],
                job["priority"],
                job["reason"],
                job["state"] + waits,
                f"{job['estimatedSeconds']:.0f} s",
            )
    return table


def _versions(versions: Sequence[Object]) -> Table:
    table = Table("VERSION", "PHASE", "TRIGGER", "VERDICT", "WHY")
    newest = sorted(versions, key=lambda v: v["metadata"]["creationTimestamp"], reverse=True)
    for version in newest[:8]:
        status = version.get("status", {})
        verdict = status.get("verdict", {})
        table.add_row(
            version["metadata"]["name"],
            _coloured(status.get("phase", "")),
            version["spec"].get("trigger", {}).get("reason", ""),
            verdict.get("decision", ""),
            verdict.get("message", "")[:90],
        )
    return table
