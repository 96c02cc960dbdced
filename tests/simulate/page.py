"""EVIDENCE.md: each promise, how it was tried, and what was measured."""

from dataclasses import dataclass
from datetime import date

from tests.simulate.promise import Finding, Promise

_MARKS = {"kept": "kept", "missed": "**missed**", "undecided": "**undecided**", "told": ""}


@dataclass(frozen=True)
class Run:
    """How a page came about."""

    day: date
    seed: int
    seconds: float
    workers: int
    machine: str


def write_page(promises: tuple[Promise, ...], findings: dict[str, list[Finding]], run: Run) -> str:
    """The page as Markdown."""
    lines = [
        "# Evidence",
        "",
        "Perennial promises how often it is wrong. `make simulate` feeds its own decisions with streams whose truth is",
        "known, and counts. A promise is kept when the whole 95 % interval of what was measured is on its side; where",
        "it is not, the command fails. Rows without an aim are told for comparison.",
        "",
        f"{run.day.isoformat()}, seed {run.seed}: {run.seconds / 60:.0f} minutes with {run.workers} processes on "
        f"{run.machine}.",
        "",
        "| promise | kept |",
        "|---|---|",
        *(f"| [{p.title}](#{_anchor(p.title)}) | {_summary(findings[p.name])} |" for p in promises),
        "",
    ]
    for promise in promises:
        lines += _section(promise, findings[promise.name])
    return "\n".join(lines)


def _summary(findings: list[Finding]) -> str:
    aimed = [finding.judgement for finding in findings if finding.case.aim]
    kept = aimed.count("kept")
    return f"{kept} of {len(aimed)}" if kept == len(aimed) else f"**{kept} of {len(aimed)}**"


def _anchor(title: str) -> str:
    """As GitHub makes it of a heading."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _section(promise: Promise, findings: list[Finding]) -> list[str]:
    noted = any(finding.case.note for finding in findings)
    head = ["case", "measured", "95 % interval", "runs", "aim", "", *(["note"] if noted else [])]
    return [
        f"## {promise.title}",
        "",
        f"**Promised.** {promise.promised}",
        "",
        f"**Simulated.** {promise.simulated}",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(_row(finding, noted=noted))} |" for finding in findings),
        "",
    ]


def _row(finding: Finding, *, noted: bool) -> list[str]:
    case, found = finding.case, finding.estimate
    exact = found.low == found.high and not found.size
    return [
        case.name,
        f"{case.show(found.value)}{case.shown_unit}",
        "computed" if exact else f"{case.show(found.low)} to {case.show(found.high)}",
        "" if exact else f"{found.size:,.0f}",
        f"{case.aim.relation} {case.aim.value:.0%}" if case.aim and case.unit == "%" else _aim(finding),
        _MARKS[finding.judgement],
        *([case.note] if noted else []),
    ]


def _aim(finding: Finding) -> str:
    aim = finding.case.aim
    return f"{aim.relation} {finding.case.show(aim.value)}" if aim else ""
