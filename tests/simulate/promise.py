"""A promise: what is said, the cases that it is tried on, and what the intervals make of it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf, isfinite
from typing import Literal, Protocol, Self

from scipy.stats import beta, binom, chi2

CONFIDENCE = 0.95
"""Of each interval, both sides together."""

Judgement = Literal["kept", "missed", "undecided", "told"]
FAILURES: tuple[Judgement, ...] = ("missed", "undecided")


@dataclass(frozen=True)
class Estimate:
    """What was measured, and between what it lies."""

    value: float
    low: float
    high: float
    size: float
    """Runs, or what else it rests on."""


class Tally(Protocol):
    """What some runs came to; tallies of one case add up."""

    def __add__(self, other: Self) -> Self: ...

    def estimate(self) -> Estimate: ...


@dataclass(frozen=True)
class Share:
    """So many of so many. Interval: Clopper & Pearson, "The use of confidence or fiducial limits" (1934): exact."""

    hits: int
    of: int

    def __add__(self, other: Self) -> "Share":
        return Share(self.hits + other.hits, self.of + other.of)

    def estimate(self) -> Estimate:
        tail, missed = (1 - CONFIDENCE) / 2, self.of - self.hits
        low = float(beta.ppf(tail, self.hits, missed + 1)) if self.hits else 0.0
        high = float(beta.isf(tail, self.hits + 1, missed)) if missed else 1.0
        return Estimate(self.hits / self.of, low, high, self.of)


@dataclass(frozen=True)
class Frequency:
    """Events over what was promised to bring one: 1 is the promise itself.

    Interval: exact for counts that are Poisson (Garwood, "Fiducial limits for the Poisson distribution", 1936).
    """

    events: int
    expected: float
    """How many the promise allows over all that was simulated."""

    def __add__(self, other: Self) -> "Frequency":
        return Frequency(self.events + other.events, self.expected + other.expected)

    def estimate(self) -> Estimate:
        tail = (1 - CONFIDENCE) / 2
        low = float(chi2.ppf(tail, 2 * self.events)) / 2 if self.events else 0.0
        high = float(chi2.isf(tail, 2 * self.events + 2)) / 2
        return Estimate(self.events / self.expected, low / self.expected, high / self.expected, self.expected)


@dataclass(frozen=True)
class Quantile:
    """A quantile of values, of which infinity is one: it never came. Interval: order statistics (Thompson, 1936)."""

    values: tuple[float, ...]
    q: float = 0.5

    def __add__(self, other: Self) -> "Quantile":
        return Quantile(self.values + other.values, self.q)

    def estimate(self) -> Estimate:
        ordered, n, tail = sorted(self.values), len(self.values), (1 - CONFIDENCE) / 2
        # P(the quantile lies below the j-th smallest of n) = P(Bin(n, q) < j).
        below, above = int(binom.ppf(tail, n, self.q)), int(binom.isf(tail, n, self.q)) + 1
        low = ordered[below - 1] if below >= 1 else -inf
        high = ordered[above - 1] if above <= n else inf
        return Estimate(ordered[max(ceil(self.q * n), 1) - 1], low, high, n)


@dataclass(frozen=True)
class Computed:
    """A figure from a formula, to compare with: nothing to be unsure of."""

    value: float

    def __add__(self, other: Self) -> "Computed":
        return self

    def estimate(self) -> Estimate:
        return Estimate(self.value, self.value, self.value, 0)


@dataclass(frozen=True)
class Aim:
    """What the whole interval has to be."""

    relation: Literal["at most", "at least"]
    value: float

    def judge(self, estimate: Estimate) -> Judgement:
        low, high = estimate.low - self.value, estimate.high - self.value
        if self.relation == "at least":
            low, high = -high, -low
        return "kept" if high <= 0 else "missed" if low > 0 else "undecided"


class Simulation(Protocol):
    """Must be picklable: a function of a module, or a ``functools.partial`` of one. The same seed gives the same."""

    def __call__(self, *, runs: int, seed: int) -> Tally: ...


@dataclass(frozen=True)
class Case:
    """One row of a promise's table."""

    name: str
    simulate: Simulation
    runs: int
    aim: Aim | None = None
    """None: it is told, and nothing is promised."""
    batch: int = 100
    """Runs that one process does at a time: some seconds."""
    unit: str = "%"
    """``%``: a share, shown as a percentage."""
    figure: str = ""
    """Where it is recorded; of several cases the worst."""
    note: str = ""

    def show(self, value: float) -> str:
        if not isfinite(value):
            return "never" if value > 0 else "unknown"
        if self.unit == "%":
            return f"{value:.2%}"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

    @property
    def shown_unit(self) -> str:
        return "" if self.unit == "%" else f" {self.unit}"


@dataclass(frozen=True)
class Promise:
    """One section of the page."""

    name: str
    """What it is called on the command line."""
    title: str
    promised: str
    simulated: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Finding:
    """A case and what it came to."""

    case: Case
    estimate: Estimate

    @property
    def judgement(self) -> Judgement:
        return self.case.aim.judge(self.estimate) if self.case.aim else "told"

    @property
    def in_words(self) -> str:
        case, found = self.case, self.estimate
        aim = f", {case.aim.relation} {case.show(case.aim.value)} is promised" if case.aim else ""
        between = f"{case.show(found.low)} to {case.show(found.high)}"
        return f"{case.name}: {case.show(found.value)}{case.shown_unit} ({between}){aim}: {self.judgement}"


def worst_figures(findings: list[Finding]) -> dict[str, tuple[float, str]]:
    """Name → value and unit, of the cases that name one: the largest where little is promised, else the smallest."""
    found: dict[str, tuple[float, str]] = {}
    for finding in findings:
        case, value = finding.case, finding.estimate.value
        if not case.figure:
            continue
        pick: Callable[[float, float], float] = min if case.aim and case.aim.relation == "at least" else max
        known = found.get(case.figure)
        unit = "share" if case.unit == "%" else case.unit
        found[case.figure] = (pick(known[0], value) if known else value, unit)
    return found
