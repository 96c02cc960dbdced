"""`make bench`: each benchmark after the other, then RESULTS.md from what they measured."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from operator import ge, le, lt
from pathlib import Path

from tests.bench.record import RESULTS

BENCHMARKS = ("store", "trainer", "neural", "images", "server", "drift", "replay", "operator")
AIMS: dict[str, tuple[str, float]] = {
    "trainer.xgboost.overhead": ("at most", 1.10),
    "trainer.lightgbm.overhead": ("at most", 1.10),
    "trainer.nhits.overhead": ("at most", 1.10),
    "trainer.patchtst.overhead": ("at most", 1.10),
    "server.image_mb": ("under", 350),
    "trainer_neural.image_mb": ("under", 2500),
    "server.p50_ms.tree": ("at most", 1),
    "server.p50_ms.neural": ("at most", 5),
    "server.cold_start_s": ("under", 3),
    "server.throughput_over_mlserver": ("at least", 3),
    "server.throughput_over_mlserver_100_rows": ("at least", 3),
    "server.p50_over_mlserver": ("at most", 0.5),
    "server.p50_over_mlserver_100_rows": ("at most", 0.5),
    "operator.idle_writes": ("at most", 0),
    "operator.rss_mib": ("under", 250),
    "drift.time_over_evidently": ("at most", 0.05),
    "drift.memory_over_evidently": ("at most", 0.1),
    "evidence.drift.false_alarm_ratio": ("at most", 1),
    "evidence.drift.power": ("at least", 0.9),
    "evidence.health.false_alarm_ratio": ("at most", 1),
    "evidence.health.delay_median": ("at most", 300),
    "evidence.verdict.false_deploy": ("at most", 0.05),
    "evidence.verdict.false_deploy_shared": ("at most", 0.05),
    "evidence.verdict.power_8pct": ("at least", 0.9),
    "evidence.canary.false_promotion": ("at most", 0.05),
    "evidence.canary.median_pairs_5pct": ("at most", 2000),
    "evidence.rollback.wrongful": ("at most", 0.05),
}
_MEETS: dict[str, Callable[[float, float], bool]] = {"at most": le, "at least": ge, "under": lt}


def describe_machine() -> str:
    """Cores, memory and processor, as the kernel tells them."""
    cpu = next(line.split(":")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({cpu.strip()}), {memory:.0f} GiB, Python {sys.version.split()[0]}"


def _aim(name: str) -> str:
    relation, aim = AIMS.get(name, ("", 0.0))
    return f"{relation} {aim:g}" if relation else ""


def _met(name: str, value: float) -> bool:
    relation, aim = AIMS[name]
    return _MEETS[relation](value, aim)


def write_report() -> None:
    """RESULTS.md: every figure beside its aim, and which aims were missed."""
    known = json.loads(RESULTS.read_text())
    figures = {name: figure for name, figure in known.items() if "value" in figure}
    reasons = {name: figure["missing"] for name, figure in known.items() if "missing" in figure}
    rows = [
        f"| `{name}` | {figure['value']:g} {figure['unit']} | {_aim(name)} | {figure['measured']} |"
        for name, figure in sorted(figures.items())
    ]
    missing = [f"`{name}`" for name in AIMS if name not in known]
    missed = [f"`{name}`" for name in AIMS if name in figures and not _met(name, figures[name]["value"])]
    text = "\n".join(
        [
            "# Benchmarks",
            "",
            f"`make bench` on a machine with {describe_machine()}.",
            "Ratios are of measurements that took turns in one run; absolute figures depend on what else ran there.",
            "`evidence.*` is from `make simulate`, and stands with its intervals in [EVIDENCE.md](EVIDENCE.md).",
            "",
            "| figure | value | aim | measured |",
            "|---|---|---|---|",
            *rows,
            "",
            *([f"Missed: {', '.join(missed)}.", ""] if missed else []),
            *([f"Not measured yet: {', '.join(missing)}.", ""] if missing else []),
            *(f"Not measured: `{name}` ({reason})." for name, reason in sorted(reasons.items())),
        ]
    )
    RESULTS.with_name("RESULTS.md").write_text(text)


def _ran(name: str) -> bool:
    return subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=False).returncode == 0


def main() -> int:
    """0 when every benchmark ran; the report is written either way."""
    here = Path(__file__).parent
    found = [name for name in BENCHMARKS if (here / f"{name}.py").exists()]
    failed = [name for name in found if not _ran(name)]
    write_report()
    if failed:
        sys.stderr.write(f"bench: failed: {', '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
