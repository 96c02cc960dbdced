"""`make demo`: the whole loop on real market data, on a real cluster, in minutes."""

import argparse
import asyncio
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.live import Live
from tests.cluster.images import build_and_load_images
from tests.cluster.installation import deploy_operator
from tests.cluster.kubectl import Cluster
from tests.cluster.providers import ROOT, ensure_cluster
from tests.cluster.store import Store, deploy_store
from tests.demo.board import build_board
from tests.demo.market import Bar, Market, read_bars
from tests.demo.timescale import FACTOR, quicken

Object = dict[str, Any]
NAMESPACE = "perennial-demo"
EXAMPLES = ROOT / "manifests/examples/btc"
OPENS = datetime(2019, 1, 1, tzinfo=UTC)
"""Bars before are history, bars from here on are live."""
OVERRIDES: dict[str, Object] = {
    # At this pace a training takes a week of market time: schedule and daily budget are the demo's own.
    "RetrainPolicy": {"triggers": {"schedule": {"every": "30s"}}, "limits": {"maxPerDay": 100, "cooldown": "20s"}},
    "ModelDeployment": {"interval": "2s"},
}
KINDS = ("modeldeployments", "retrainpolicies", "modelversions")
console = Console(width=None if sys.stdout.isatty() else 140)


def say(text: str) -> None:
    """A step, with the time since the start."""
    console.print(f"[dim]{time.monotonic() - STARTED:5.0f} s[/dim]  {text}")


def merge(base: Object, changes: Object) -> Object:
    """`base` with `changes` on top."""
    merged = dict(base)
    for name, value in changes.items():
        merged[name] = merge(base[name], value) if isinstance(value, dict) and name in base else value
    return merged


def example_objects() -> list[Object]:
    """The BTC examples as they are in the repository, in quick time."""
    documents = [d for path in sorted(EXAMPLES.glob("*.yaml")) for d in yaml.safe_load_all(path.read_text()) if d]
    return [{**d, "spec": merge(quicken(d["spec"]), OVERRIDES[d["kind"]])} for d in documents]


def perennial(*arguments: str) -> None:
    """The command-line tool, as a user would call it."""
    subprocess.run([Path(sys.executable).with_name("perennial"), *arguments], check=True)


def await_until(what: str, seconds: float, holds: Callable[[], bool]) -> None:
    """Poll until it holds; a demo that hangs says on what."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"demo: {what} not within {seconds:.0f} s: see kubectl -n {NAMESPACE} get all,events")
        time.sleep(0.5)


def prepare(cluster: Cluster) -> Store:
    """Operator and database in place."""
    images = build_and_load_images("operator", "trainer", "server", "postgres")
    say("images are on the node; installing the operator and a database")
    deploy_operator(cluster, images, {"PERENNIAL_POLL_SECONDS": "1", "PERENNIAL_NAMESPACES": NAMESPACE})
    if f"namespace/{NAMESPACE}" in cluster.kubectl("get", "namespaces", "-o", "name").split():
        cluster.remove_namespace(NAMESPACE)  # of a run before; its models go with the operator's help
    cluster.kubectl("create", "namespace", NAMESPACE)
    return deploy_store(cluster, NAMESPACE, images["postgres"])


def load(store: Store) -> list[Bar]:
    """The history goes into the store, in quick time that ends now; what comes after it is returned, as quick."""
    with tempfile.TemporaryDirectory() as folder:
        url, live = Path(folder) / "url", Path(folder) / "live.csv"
        url.write_text(store.local_write_url)
        quick = ("--split", f"{OPENS:%Y-%m-%d}", "--compress", str(FACTOR))
        perennial("example", "btc", *quick, "--load", "--url-file", str(url), "--live-out", str(live))
        return read_bars(live)


def serving(cluster: Cluster) -> bool:
    """Whether every model has a stable version that is ready."""
    models = cluster.get("modeldeployments", "-n", NAMESPACE)["items"]
    return bool(models) and all(m.get("status", {}).get("stable", {}).get("readyReplicas") for m in models)


async def watch(cluster: Cluster, market: Market, seconds: float) -> None:
    """Play the market and show the loop."""
    playing = asyncio.create_task(market.play(seconds))
    with Live(console=console, refresh_per_second=2) as live:
        while not playing.done():
            listed = await asyncio.gather(*(asyncio.to_thread(cluster.get, kind, "-n", NAMESPACE) for kind in KINDS))
            live.update(build_board(*(items["items"] for items in listed), market))
            await asyncio.wait([playing], timeout=1.0)
    await playing


def summarise(cluster: Cluster, market: Market) -> None:
    """What happened, and what kubectl says of it."""
    versions = {
        v["metadata"]["uid"]: v["metadata"]["name"] for v in cluster.get("modelversions", "-n", NAMESPACE)["items"]
    }
    for model, counts in sorted(market.versions.items()):
        shares = ", ".join(f"{versions.get(uid, uid)} {count}" for uid, count in counts.most_common())
        console.print(f"{model}: {market.answered[model]} answers ({shares})")
    console.print(f"{market.outcomes} outcomes, {sum(market.failed.values())} failed requests {dict(market.failed)}")
    for kind in ("mdep", "rpol", "mver"):
        console.print(f"\n[bold]$ kubectl get {kind}[/bold]")
        print(cluster.kubectl("-n", NAMESPACE, "get", kind), end="")


def main() -> int:
    """Run the demo; 0 when every request was answered."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long the market is replayed")
    parser.add_argument("--keep", action="store_true", help="leave the namespace in place")
    arguments = parser.parse_args()
    say("bringing the cluster up (the first time it is built, which takes about 10 minutes)")
    cluster = Cluster(ensure_cluster())
    store, token = prepare(cluster), secrets.token_hex(16)
    say("loading history and market")
    live = load(store)
    secret = {"metadata": {"name": "outcomes-token", "namespace": NAMESPACE}, "stringData": {"token": token}}
    cluster.apply({"apiVersion": "v1", "kind": "Secret", **secret})
    objects = example_objects()
    cluster.apply(*({**o, "metadata": {**o["metadata"], "namespace": NAMESPACE}} for o in objects))
    names = [o["metadata"]["name"] for o in objects if o["kind"] == "ModelDeployment"]
    say(f"applied {', '.join(names)} and a policy; waiting for first versions to be trained and to serve")
    await_until("first versions serve", 150, lambda: serving(cluster))
    addresses = {name: cluster.address(NAMESPACE, name) for name in names}
    market = Market(
        {name: f"http://{address}:8080" for name, address in addresses.items()},
        f"http://{addresses[names[0]]}:8081",
        token,
        live,
        OPENS,
    )
    say(f"the market opens on {OPENS:%Y-%m-%d}")
    asyncio.run(watch(cluster, market, arguments.seconds))
    summarise(cluster, market)
    if not arguments.keep:
        cluster.remove_namespace(NAMESPACE)
        cluster.kubectl("delete", "namespace", "perennial-system")
    say("done")
    return 1 if market.failed else 0


STARTED = time.monotonic()

if __name__ == "__main__":
    raise SystemExit(main())
