"""Is the market still in the regime that the stable version was trained on? Told from the newest points alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from perennial.api.model_deployment import Regime
from perennial.api.model_deployment_status import RegimeStatus
from perennial.domain.evidence import SeriesLook
from perennial_contract.durations import format_duration
from perennial_contract.profile import RegimeProfile
from perennial_contract.regime import ENTER, filter_states, hold_states, likeliest_of

SETTLING = 100
"""Points that a filter is given to forget where it began; it takes 46 on 33 years of S&P 500 shares by the day."""
STALE_AFTER = 3
"""A series has ended when it pauses for more than so many times its longest pause, nights and weekends among those."""
_MEMORY = ("trained_on", "candidate", "candidate_since", "evidence_until")


class Spell(NamedTuple):
    """A regime, and since when."""

    regime: str
    since: datetime


def decide_regime(
    spec: Regime,
    profile: RegimeProfile | None,
    look: SeriesLook | None,
    version: str,
    previous: RegimeStatus | None,
) -> RegimeStatus:
    """The regime now, and the candidate: another one than ``version`` was trained on, entered without a return since.

    Without a profile or a look (the store is down) it is Unknown. However often one looks, the points alone decide, but
    for one memory: ``previous`` knows a candidate that is older than the oldest point.
    """
    before = previous if previous is not None and previous.version == version else None
    if look is None:
        return unknown(version, before, "StoreUnavailable", "the sample store does not answer: nothing is known")
    column = spec.column
    if profile is None:
        line = f"{version} knows no regimes of {column}: the next training fits them, given {spec.lookback} timestamps"
        return unknown(version, None, "NotFitted", line)
    if profile.column != column:
        line = f"{version} knows the regimes of {profile.column}, not of {column}: the next training fits them"
        return unknown(version, None, "OtherColumn", line)
    if len(look.at) < spec.lookback:
        line = f"{len(look.at)} timestamps with a {column}, spec.regime.lookback needs {spec.lookback}"
        return unknown(version, before, "NotEnoughPoints", line)
    if (pause := _ended_after(look)) is not None:
        last, most = f"{look.at[-1]:%Y-%m-%d %H:%M}", format_duration(pause)
        line = f"no {column} since {last} UTC: {STALE_AFTER} times as long as its longest pause before, {most}"
        return unknown(version, before, "SeriesEnded", line)
    return _judge(profile, look, version, before)


def unknown(version: str, before: RegimeStatus | None, reason: str, message: str) -> RegimeStatus:
    """Nothing is known now. What was known of a candidate stays: it may be older than the next look reaches."""
    kept: dict[str, Any] = {}
    if before is not None and before.version == version:
        kept = {name: getattr(before, name) for name in _MEMORY}
    return RegimeStatus(state="Unknown", reason=reason, message=message, version=version, **kept)


def _judge(profile: RegimeProfile, look: SeriesLook, version: str, before: RegimeStatus | None) -> RegimeStatus:
    probabilities = filter_states(profile, look.mean)
    held, names = hold_states(probabilities), [state.name for state in profile.states]
    state = held[-1] if held[-1] is not None else likeliest_of(probabilities[-1])
    share = probabilities[-1][state]
    regimes = [None if s is None else names[s] for s in held]
    shares = [dict(zip(names, point, strict=True)) for point in probabilities[SETTLING:]]
    candidate = _candidate(profile, look.at[SETTLING:], regimes[SETTLING:], shares, before)
    place = f"in {names[state]}" if held[-1] is not None else f"in between, {names[state]} likeliest"
    figure = f"{profile.column} is {place} ({share:.0%})"
    trained = f"{version} was trained on {profile.trained_on}"
    line = f"{figure}; {trained}, and no other regime has begun since"
    if candidate:
        line = f"{figure}; {candidate.regime} began at {candidate.since:%Y-%m-%d %H:%M} UTC, {trained}"
    return RegimeStatus(
        state="AsTrained" if candidate is None else "Changed",
        reason="AsTrained" if candidate is None else "OtherRegime",
        message=line,
        current=names[state] if held[-1] is not None else None,
        probability=round(share, 2),
        trained_on=profile.trained_on,
        candidate=candidate.regime if candidate else None,
        candidate_since=candidate.since if candidate else None,
        evidence_until=look.at[-1],
        version=version,
    )


def _candidate(
    profile: RegimeProfile,
    at: Sequence[datetime],
    regimes: Sequence[str | None],
    shares: Sequence[Mapping[str, float]],
    before: RegimeStatus | None,
) -> Spell | None:
    """The regime entered last since the training's data ended, unless it is the one that it ended in.

    In between a candidate lasts on. It ends once all others together are as likely as one has to be to be entered: with
    a return that is so, and where two others take turns and neither is entered.
    """
    found = _remembered(at, before)
    judged = found.since if found else profile.until
    for moment, regime, share in zip(at, regimes, shares, strict=True):
        if moment <= judged:
            continue
        if found and share[found.regime] < 1 - ENTER:
            found = None
        if found is None and regime not in (None, profile.trained_on):
            found = Spell(str(regime), moment)
    return found


def _remembered(at: Sequence[datetime], before: RegimeStatus | None) -> Spell | None:
    """The candidate of an earlier look that reaches into this one."""
    if before is None or before.candidate is None or before.candidate_since is None or before.evidence_until is None:
        return None
    joins = at[0] <= before.evidence_until and before.candidate_since <= at[-1]
    return Spell(before.candidate, before.candidate_since) if joins else None


def _ended_after(look: SeriesLook) -> timedelta | None:
    """The longest pause between two points, where the one since the last is far longer; None: the series goes on."""
    longest = max((after - before for before, after in pairwise(look.at)), default=timedelta(0))
    return longest if look.visible_until - look.at[-1] > STALE_AFTER * longest else None
