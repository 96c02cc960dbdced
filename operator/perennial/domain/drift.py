"""Do live features still look like the training data? Judged by whole windows, never on rows that were trained on."""

from collections.abc import Sequence

from perennial.api.model_deployment import Drift
from perennial.api.model_deployment_status import DriftState, DriftStatus, FeatureDrift, ScoreDrift
from perennial.domain.drift_evidence import DriftLook, DriftWindow, Span
from perennial.domain.drift_family import Finding, WindowFindings, judge_window
from perennial.domain.statistics import significant
from perennial_contract.durations import format_duration
from perennial_contract.profile import ReferenceProfile

MOST_LEVEL = 0.1
"""However seldom windows end: a chance of one in ten is no evidence."""
SHOWN = 5
"""Features named in the status: the worst."""


def level_of(spec: Drift) -> float:
    """The chance that a window without drift is flagged: once in `falseAlarmEvery` by itself."""
    return min(MOST_LEVEL, spec.window / spec.false_alarm_every)


def decide_drift(
    spec: Drift, profile: ReferenceProfile | None, look: DriftLook, span: Span, version: str
) -> DriftStatus:
    """The state of a version's features over the newest complete windows.

    Args:
        profile: of the version; None: it has none that can be believed.
        look: at the windows of the span.
        span: the newest complete windows.
        version: the ModelVersion's name.

    `Drifting`: the same feature (or the scores) in all of the windows; `Suspected`: in the newest alone.
    """
    seen = _blank(span, version)
    if profile is None:
        return _unknown(seen, "NoProfile", f"{version} has no reference profile: the next version will have one")
    windows = {window.number: window for window in look.windows}
    numbers = range(span.first + span.count - 1, span.first - 1, -1)
    judged: list[WindowFindings] = []
    for number in numbers:
        problem = _unusable(spec, profile, span, number, windows.get(number))
        if problem is None:
            findings = judge_window(spec.threshold, level_of(spec), profile, windows[number])
            if findings.judged:
                judged.append(findings)
                continue
            problem = _too_dependent(findings)
        if number == numbers[0]:
            return _unknown(seen, *problem)
        break
    return _conclude(spec, seen, judged, windows[numbers[0]].rows)


def _unusable(
    spec: Drift, profile: ReferenceProfile, span: Span, number: int, window: DriftWindow | None
) -> tuple[str, str] | None:
    """Why a window says nothing."""
    begins = span.start_of(number)
    if begins <= profile.until:
        line = f"no window of {format_duration(spec.window)} has ended that begins after the training data"
        return "NoCompleteWindow", f"{line} ({profile.until:%Y-%m-%d %H:%M} UTC)"
    rows = window.rows if window else 0
    if rows < spec.min_rows:
        return (
            "NotEnoughRows",
            f"{rows} rows in the window from {begins:%Y-%m-%d %H:%M} UTC, {spec.min_rows} are needed",
        )
    return None


def _too_dependent(findings: WindowFindings) -> tuple[str, str]:
    line = (
        f"rows resemble their past so much that they are worth at most {findings.most_effective:.0f} independent ones"
    )
    return "NotEnoughEffectiveRows", f"{line}: make drift.window longer"


def _conclude(spec: Drift, seen: DriftStatus, judged: Sequence[WindowFindings], rows: int) -> DriftStatus:
    newest = judged[0]
    common = set.intersection(*(set(findings.flagged) for findings in judged))
    drifting = common if len(judged) == spec.consecutive_windows else set()
    named = drifting or set(newest.flagged)
    figures = _figures([finding for finding in newest.findings if finding.name in named] or newest.findings)
    window = format_duration(spec.window)
    state: DriftState
    if drifting:
        state, reason = "Drifting", "FeaturesDrifted"
        line = (
            f"{len(drifting)} of {newest.judged} columns in {spec.consecutive_windows} windows of {window}: {figures}"
        )
    elif named:
        state, reason = "Suspected", "FeaturesSuspected"
        line = f"{len(named)} of {newest.judged} columns in the newest window of {window}: {figures}"
    else:
        state, reason, line = "None", "NoDrift", f"none of {newest.judged} columns; farthest {figures}"
    if newest.unjudged:
        line += f"; {newest.unjudged} not judged, their rows resemble their past too much"
    shown = sorted(newest.findings, key=lambda f: (f.name not in named, f.q_value, -f.psi))
    scores = next((f for f in newest.findings if f.name is None), None)
    return seen.model_copy(
        update={
            "state": state,
            "reason": reason,
            "message": line,
            "features": [
                FeatureDrift(name=f.name, psi=significant(f.psi), q_value=significant(f.q_value), sign=f.sign)
                for f in shown
                if f.name is not None
            ][:SHOWN],
            "scores": ScoreDrift(psi=significant(scores.psi), q_value=significant(scores.q_value)) if scores else None,
            "rows": rows,
            "judged": newest.judged,
            "unjudged": newest.unjudged,
            "evidence_until": seen.window_until,
        }
    )


def _figures(findings: Sequence[Finding]) -> str:
    return ", ".join(f"{f.name or 'scores'} {f.sign or 'PSI'} {f.shown}" for f in findings[:SHOWN])


def drift_unavailable(span: Span, version: str) -> DriftStatus:
    """What is known while the store does not answer."""
    return _unknown(_blank(span, version), "StoreUnavailable", "the sample store does not answer: nothing is known")


def _blank(span: Span, version: str) -> DriftStatus:
    newest = span.start_of(span.first + span.count - 1)
    return DriftStatus(version=version, window_from=newest, window_until=span.until)


def _unknown(seen: DriftStatus, reason: str, message: str) -> DriftStatus:
    return seen.model_copy(update={"reason": reason, "message": message})
