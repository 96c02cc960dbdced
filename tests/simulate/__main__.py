"""Whether Perennial keeps the error rates that it promises: its own decisions, on streams whose truth is known.

    python -m tests.simulate                        # all of it; writes tests/bench/EVIDENCE.md and records figures
    python -m tests.simulate canary                 # some promises: prints alone
    python -m tests.simulate --runs-scale 0.1       # a quick look: prints alone

Exit code 1, and a line for each case, when the interval of what was measured does not decide in our favour.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: the processes are the parallelism

import argparse
import sys
import time
from datetime import UTC, datetime
from math import isfinite

from tests.bench.__main__ import describe_machine, write_report
from tests.bench.record import RESULTS, record
from tests.simulate.page import Run, write_page
from tests.simulate.promise import FAILURES, Finding, Promise, worst_figures
from tests.simulate.promises import PROMISES
from tests.simulate.running import SEED, processes, run, show_progress

PAGE = RESULTS.with_name("EVIDENCE.md")


def chosen(names: list[str]) -> tuple[Promise, ...]:
    """Those named, or all."""
    known = {promise.name: promise for promise in PROMISES}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no promise {', '.join(unknown)}: choose from {', '.join(known)}")
    return tuple(known[name] for name in names) or PROMISES


def print_table(promises: tuple[Promise, ...], findings: dict[str, list[Finding]]) -> None:
    """A line a case."""
    for promise in promises:
        print(f"\n{promise.title}")
        for finding in findings[promise.name]:
            print(f"  {finding.in_words}")


def keep(promises: tuple[Promise, ...], findings: dict[str, list[Finding]], seed: int, seconds: float) -> None:
    """The page and the figures."""
    made = Run(datetime.now(UTC).date(), seed, seconds, os.cpu_count() or 1, describe_machine())
    PAGE.write_text(write_page(promises, findings, made))
    for name, (value, unit) in worst_figures([one for some in findings.values() for one in some]).items():
        if isfinite(value):
            record(name, round(value, 4), unit)
    write_report()


def main() -> int:
    """Simulates, prints and records."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="PROMISE", help=", ".join(promise.name for promise in PROMISES))
    parser.add_argument("--runs-scale", type=float, default=1.0, help="times the runs; under 1 nothing is written")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    promises = chosen(arguments.names)
    began = time.monotonic()
    with show_progress() as watcher:
        findings = run(
            promises,
            scale=arguments.runs_scale,
            seed=arguments.seed,
            executor=processes(os.cpu_count() or 1),
            watcher=watcher,
        )
    seconds = time.monotonic() - began
    print_table(promises, findings)
    if promises == PROMISES and arguments.runs_scale >= 1:
        keep(promises, findings, arguments.seed, seconds)
    failed = [(name, one) for name, some in findings.items() for one in some if one.judgement in FAILURES]
    for name, finding in failed:
        sys.stderr.write(f"simulate: {name}: {finding.in_words}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
