"""What regimes would have been told, and which trainings they would have started, along a series of the past.

The trainer's own fit, the operator's own decision and the trigger's own rule, walked forward: nothing looks ahead.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from perennial.api.model_deployment import Regime
from perennial.api.model_deployment_status import RegimeStatus
from perennial.api.retrain_policy import RegimeTrigger, RetrainPolicySpec, Triggers
from perennial.commands.example import sp500
from perennial.commands.example.samples import as_datetime
from perennial.domain.evidence import SampleCounts, SeriesLook
from perennial.domain.regime import decide_regime
from perennial.domain.triggers import ModelView, decide_trigger
from perennial_contract.profile import RegimeProfile
from perennial_contract.task import RegimeRule
from perennial_trainer.instants import to_micros
from perennial_trainer.regime import fit_regime
from perennial_trainer.series import Series

DAY, YEAR = timedelta(days=1), timedelta(days=365)
START = datetime(2010, 1, 1, tzinfo=UTC)
"""Of what is made up."""
Spell = tuple[str, str, datetime] | None
"""Version, candidate, and since when."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of regime that started a training."""

    began: datetime
    fired: datetime
    left: str
    """What the version before was trained on."""
    came: str


@dataclass(frozen=True, slots=True)
class Study:
    """What became of a series."""

    changes: tuple[Change, ...]
    short: int
    """Candidates that ended too soon to start anything."""
    trainings: int
    methods: tuple[str, ...]
    """Of the fits, in order."""
    looks: int

    def in_years(self, *years: int) -> list[Change]:
        """The changes that began in one of the years."""
        return [change for change in self.changes if change.began.year in years]


def market_of(data: bytes) -> tuple[list[datetime], NDArray[np.float64]]:
    """The mean return of the 20 shares at each close: what a regime's column ret_1 is over that panel."""
    closes = sp500.parse_closes(data)
    mean = np.log(closes.close[1:] / closes.close[:-1]).mean(axis=1)
    return [as_datetime(end) for end in closes.ends[1:]], mean


def study_regimes(
    at: Sequence[datetime],
    mean: NDArray[np.float64],
    sustained_for: timedelta,
    *,
    lookback: int = 1000,
    since: datetime | None = None,
    until: datetime | None = None,
    refit_every: timedelta = YEAR,
    look_every: int = 1,
    seed: int = 42,
) -> Study:
    """Walks along a series of n points; a version is trained at first, every so often, and when a change fires.

    Args:
        at, mean: (n,) ascending.
        since, until: what is walked, with a history of ``lookback`` points at least; all of it unless given.
        look_every: points from one look to the next.
    """
    first = max(lookback, bisect_left(at, since) if since else 0)
    end = bisect_left(at, until) if until else len(at)
    spec, rule = Regime(column="ret_1", lookback=lookback), RegimeRule(column="ret_1", lookback=lookback)
    policy = RetrainPolicySpec(triggers=Triggers(regime=RegimeTrigger(sustained_for=sustained_for)))
    micros = np.array([to_micros(moment) for moment in at], dtype=np.int64)

    def train(point: int) -> RegimeProfile:
        profile = fit_regime(rule, Series(micros[: point + 1], mean[: point + 1]), seed)
        assert profile is not None
        return profile

    profiles, trained = [train(first)], first
    changes: list[Change] = []
    candidates: list[Spell] = [None]
    status: RegimeStatus | None = None
    looks = range(first + look_every, end, look_every)
    for point in looks:
        newest = slice(max(0, point + 1 - lookback), point + 1)
        look = SeriesLook(tuple(at[newest]), tuple(mean[newest].tolist()), at[point])
        status = decide_regime(spec, profiles[-1], look, f"v{len(profiles)}", status)
        candidates.append(_spell_of(status))
        reason = decide_trigger(policy, _view_of(status, at[trained], at[point]), at[first], at[point])
        if reason is not None:
            assert status.candidate is not None
            assert status.candidate_since is not None
            changes.append(Change(status.candidate_since, at[point], profiles[-1].trained_on, status.candidate))
        if reason is not None or at[point] - at[trained] >= refit_every:
            profiles.append(train(point))
            trained = point
    begun = sum(now is not None and now != before for before, now in pairwise(candidates))
    methods = tuple(profile.method for profile in profiles)
    return Study(tuple(changes), begun - len(changes), len(profiles), methods, len(looks))


def made_market(spells: Sequence[tuple[float, int]], seed: int) -> tuple[list[datetime], NDArray[np.float64]]:
    """Days of a market that spends so many of them at each volatility."""
    rng = np.random.default_rng(seed)
    mean = np.concatenate([volatility * rng.normal(size=days) for volatility, days in spells])
    return [START + number * DAY for number in range(len(mean))], mean


def with_flips(mean: NDArray[np.float64], every: int, days: int, scale: float) -> NDArray[np.float64]:
    """The series with a burst of so many days at another volatility in every so many."""
    burst = np.arange(len(mean)) % every >= every - days
    return np.where(burst, mean * scale, mean)


def _view_of(status: RegimeStatus, trained: datetime, now: datetime) -> ModelView:
    """A model that is well, with outcomes enough; its last attempt knew what there was when it was made."""
    counts = SampleCounts(10_000, 10_000, now, now, 10_000, trained, now)
    return ModelView(
        name="m",
        uid="m",
        created_at=trained,
        min_outcomes=1,
        next_version="next",
        regime=status,
        versions_exist=True,
        has_stable=True,
        starts=(trained,),
        counts=counts,
        last_evidence_until=trained,
    )


def _spell_of(status: RegimeStatus) -> Spell:
    if status.candidate is None or status.candidate_since is None or status.version is None:
        return None
    return status.version, status.candidate, status.candidate_since
