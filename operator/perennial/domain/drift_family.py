"""All columns of one window as one family of tests: what moved, by how much, and how surely."""

from collections.abc import Sequence
from dataclasses import dataclass

from perennial.api.model_deployment_status import DriftSign
from perennial.domain.drift_evidence import ColumnCounts, DriftWindow
from perennial.domain.drift_tests import (
    Tail,
    bin_tails,
    harmonic,
    population_stability_index,
    q_values,
    share_tails,
    smallest_p,
)
from perennial_contract.profile import FeatureProfile, Histogram, ReferenceProfile

LEAST_EFFECTIVE = 30.0
"""Fewer effective rows than this in a window, in any bin, and a column is not judged."""
MISSING_CHANGE = 0.1
"""By so much the share of missing values must have moved."""
OUT_OF_RANGE = 0.05
"""So large must the share of values be that training never saw."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One column in one window."""

    name: str | None
    """None: the model's own scores."""
    psi: float
    q_value: float
    sign: DriftSign | None
    """What is beyond its limit and significant."""
    shown: str
    """The figure behind the sign, else the PSI."""


@dataclass(frozen=True, slots=True)
class WindowFindings:
    """The family of one window."""

    findings: tuple[Finding, ...]
    """By q-value, the worst first."""
    unjudged: int
    most_effective: float
    """The largest effective number of rows among those not judged."""

    @property
    def judged(self) -> int:
        """Columns, the scores among them."""
        return len(self.findings)

    @property
    def flagged(self) -> dict[str | None, Finding]:
        """Those that moved, surely and by enough."""
        return {finding.name: finding for finding in self.findings if finding.sign is not None}


@dataclass(frozen=True, slots=True)
class _Column:
    name: str | None
    psi: float
    signs: tuple[tuple[DriftSign, bool, str, tuple[Tail, ...]], ...]
    """(name, beyond its limit, figure, tails)."""

    def p_value(self, level: float, *, beyond: bool) -> float:
        """Bonferroni's over all the column's tests; ``beyond``: only what is over its limit may be the smallest."""
        everything = [tail for *_, tails in self.signs for tail in tails]
        kept = [tail for _, over, _, tails in self.signs if over or not beyond for tail in tails]
        return smallest_p(kept, level, everything)


def judge_window(threshold: float, level: float, profile: ReferenceProfile, window: DriftWindow) -> WindowFindings:
    """Every column of the profile against the window's counts.

    Args:
        threshold: the PSI that a column must exceed.
        level: chance that a window without drift is flagged.
    """
    columns: list[_Column] = []
    refused: list[float] = []
    capped = _most_rows(profile, window)
    for feature, counts in zip(profile.features, window.columns, strict=True):
        worth = min(capped, window.rows) / profile.rows
        # Of a feature that was never there the missing rate alone is tested. Elsewhere it has no say here: where
        # nothing was ever missing, what rows are worth for that is a guess on the safe side.
        known = feature.low is not None
        least = worth * (min(feature.effective_rows) if known else feature.missing_effective_rows)
        if least < LEAST_EFFECTIVE:
            refused.append(least)
        else:
            columns.append(_feature(threshold, feature, counts, window.rows, worth))
    if profile.scores is not None and window.scores:
        worth = min(capped, sum(window.scores)) / profile.scores.rows
        least = worth * min(profile.scores.effective_rows)
        if least < LEAST_EFFECTIVE:
            refused.append(least)
        else:
            columns.append(_binned(None, threshold, profile.scores, window.scores, worth, ()))
    each = level / max(len(columns), 1)
    shown = q_values([column.p_value(each, beyond=False) for column in columns])
    flagged = q_values([column.p_value(each, beyond=True) for column in columns])
    findings = [
        _finding(column, q, level if sure <= level else None, each)
        for column, q, sure in zip(columns, shown, flagged, strict=True)
    ]
    order = sorted(findings, key=lambda finding: (finding.q_value, -finding.psi, finding.name or ""))
    return WindowFindings(tuple(order), len(refused), max(refused, default=0.0))


def _finding(column: _Column, q: float, level: float | None, each: float) -> Finding:
    sign, figure = None, f"{column.psi:.2f}"
    if level is not None:
        beyond = [(smallest_p(tails, each), name, text) for name, over, text, tails in column.signs if over]
        _, sign, figure = min(beyond, key=lambda found: found[0])
    return Finding(column.name, column.psi, q, sign, figure)


def _most_rows(profile: ReferenceProfile, window: DriftWindow) -> float:
    """Rows that training would have had in the window's time: live rows that come faster resemble each other more."""
    span = (profile.until - profile.from_).total_seconds()
    if span <= 0:
        return float(window.rows)
    return profile.rows * ((window.newest - window.oldest).total_seconds() / span) + 1


def _feature(threshold: float, profile: FeatureProfile, counts: ColumnCounts, rows: int, worth: float) -> _Column:
    missing = counts.missing / rows
    effective = profile.missing_effective_rows
    # A rate of exactly 0 or 1 would make a single row infinitely surprising: the reference is an estimate too.
    expected = min(max(profile.missing_rate, 1 / (effective + 2)), 1 - 1 / (effective + 2))
    known = rows - counts.missing
    outside = counts.out_of_range / known if known else 0.0
    seen = min(profile.effective_rows) if known and profile.low is not None else 0.0
    both = harmonic(effective, effective * worth)
    changed, beyond = abs(missing - profile.missing_rate) > MISSING_CHANGE, outside > OUT_OF_RANGE
    freedom = profile.degrees_of_freedom
    others: tuple[tuple[DriftSign, bool, str, tuple[Tail, ...]], ...] = (
        ("MissingRate", changed, f"{missing:.0%}", share_tails(missing, expected, both, freedom)),
        # Of a new value, P(outside n earlier ones) = 2/(n + 1): Wilks, "Determination of sample sizes for setting
        # tolerance limits" (Annals of Mathematical Statistics, 1941).
        ("OutOfRange", beyond, f"{outside:.0%}", share_tails(outside, 2 / (seen + 1), seen * worth, freedom)[:1]),
    )
    return _binned(profile.name, threshold, profile, counts.bins, worth * known / rows, others)


def _binned(
    name: str | None,
    threshold: float,
    reference: Histogram,
    counts: Sequence[int],
    worth: float,
    others: tuple[tuple[DriftSign, bool, str, tuple[Tail, ...]], ...],
) -> _Column:
    total = sum(counts)
    psi = population_stability_index(reference.shares, [count / total for count in counts]) if total else 0.0
    tails = tuple(bin_tails(reference, counts, worth)) if sum(reference.shares) > 0 else ()
    return _Column(name, psi, (("PSI", psi > threshold, f"{psi:.2f}", tails), *others))
