"""The promises of the monitors: drift, health and regimes, each as rows of the page."""

from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from tests.simulate import drift, health
from tests.simulate.delays import Delay, delays
from tests.simulate.promise import Aim, Case, Estimate, Frequency, Promise, Share
from tests.simulate.regime import DAY, Study, made_market, market_of, study_regimes, with_flips

from perennial.commands.example import sp500
from perennial.commands.example.fetch import fetch

_ONCE = Aim("at most", 1)
SUSTAINED_DAYS = 30
WIN_RATES = (0.52, 0.53, 0.55)
OVERLAPS = (1, 5, 24)
FALL_SEED = 11
"""The same streams for every detector."""


def suspicions(process: drift.Process, *, runs: int, seed: int) -> Frequency:
    """Windows that were flagged, over what `falseAlarmEvery` allows."""
    seen = drift.false_alarms(process, runs, seed)
    return Frequency(seen.suspected, seen.windows / seen.allowed)


def entries(process: drift.Process, *, runs: int, seed: int) -> Frequency:
    """How often Drifting was entered, likewise."""
    seen = drift.false_alarms(process, runs, seed)
    return Frequency(seen.entered, seen.windows / seen.allowed)


def found(process: drift.Process, *, runs: int, seed: int) -> Share:
    """Shifts that were Drifting after two windows."""
    seen = drift.power(process, runs, seed)
    return Share(seen.drifting, seen.runs)


def accusations(win_rate: float, overlap: int, *, runs: int, seed: int) -> Frequency:
    """Alarms of Wilson's bound and the cumulative sum together, over what `falseAlarmEvery` allows."""
    seen = health.false_alarms(win_rate, overlap, runs, seed, intervals=2)
    return Frequency(seen.together.events, seen.intervals)


@dataclass(frozen=True)
class Once:
    """A measurement that comes with its own interval, and is made in one go."""

    value: float
    low: float
    high: float
    size: float

    def __add__(self, other: "Once") -> "Once":
        return other

    def estimate(self) -> Estimate:
        return Estimate(self.value, self.low, self.high, self.size)


@cache
def _delays(runs: int, *detectors: str) -> dict[str, Delay]:
    return delays(runs, FALL_SEED, detectors=detectors)


def lateness(detector: str, *, runs: int, seed: int) -> Once:
    """Median outcomes until a fall from 55 % to 45 % is seen."""
    seen = _delays(runs, detector)[detector]
    return Once(seen.median, seen.lower, seen.upper, runs)


def shown_later(detector: str, *, runs: int, seed: int) -> Once:
    """Our median beyond the other's interval and ours: 0 where no difference is shown, or where we are sooner."""
    seen = _delays(runs, "CUSUM", detector)
    behind = max(0.0, seen["CUSUM"].lower - seen[detector].upper)
    return Once(behind, behind, behind, runs)


@cache
def _market() -> Study:
    at, mean = market_of(fetch(sp500.PACKAGE))
    return study_regimes(at, mean, SUSTAINED_DAYS * DAY)


def changes(*, runs: int, seed: int) -> Once:
    """Sustained changes on the panel."""
    count = float(len(_market().changes))
    return Once(count, count, count, _market().looks)


def missing_crises(*, runs: int, seed: int) -> Once:
    """Of 2000 to 2002, 2008 and 2020: those in which no change began."""
    study = _market()
    absent = float(sum(not study.in_years(*years) for years in ((2000, 2001, 2002), (2008,), (2020,))))
    return Once(absent, absent, absent, study.looks)


def flips(days: int, *, runs: int, seed: int) -> Share:
    """Trainings that bursts shorter than `sustainedFor` started."""
    calm, normal, wild = 0.004, 0.012, 0.04
    started = 0
    for number in range(runs):
        spells = [(calm, 300), (normal, 300), (wild, 200), (normal, 200), (calm, 800)]
        at, mean = made_market(spells, seed=seed + number)
        flipping = np.concatenate([mean[:1200], with_flips(mean[1200:], every=50, days=days, scale=10)])
        started += bool(study_regimes(at, flipping, SUSTAINED_DAYS * DAY, since=at[1200], look_every=2).changes)
    return Share(started, runs)


def _drift_cases() -> tuple[Case, ...]:
    said = [(process, f"φ = {process.phi}" if process.phi else "independent rows") for process in drift.PROCESSES]
    return (
        *(
            Case(
                f"flagged windows, {name}",
                partial(suspicions, process),
                runs,
                _ONCE,
                batch=10,
                unit="of declared",
                figure="evidence.drift.false_alarm_ratio",
            )
            for (process, name), runs in zip(said, (60, 60, 60, 60), strict=True)
        ),
        Case("`Drifting`, φ = 0.9", partial(entries, drift.PROCESSES[2]), 40, _ONCE, batch=10, unit="of declared"),
        *(
            Case(
                f"shift found in two windows, {name}",
                partial(found, process),
                runs,
                Aim("at least", 0.9),
                batch=10,
                figure="evidence.drift.power",
            )
            for (process, name), runs in zip(said, (400, 200, 250, 400), strict=True)
        ),
    )


def _health_cases() -> tuple[Case, ...]:
    return tuple(
        Case(f"wins {rate:.0%}, outcomes over {overlap}", partial(accusations, rate, overlap), 48, _ONCE, batch=12,
             unit="of declared", figure="evidence.health.false_alarm_ratio")
        for rate in WIN_RATES
        for overlap in OVERLAPS
    )  # fmt: skip


def _delay_cases() -> tuple[Case, ...]:
    others = ("ADWIN", "Page-Hinkley", "Page-Hinkley as it comes")
    return (
        Case("ours", partial(lateness, "CUSUM"), 1000, Aim("at most", 300), batch=1000, unit="outcomes",
             figure="evidence.health.delay_median"),
        *(Case(name, partial(lateness, name), 1000, batch=1000, unit="outcomes") for name in others),
        *(
            Case(f"ours shown to be later than {name} by", partial(shown_later, name), 1000, Aim("at most", 0),
                 batch=1000, unit="outcomes")
            for name in others
        ),
    )  # fmt: skip


PROMISES = (
    Promise(
        "drift",
        "A window in which nothing drifts is flagged at most once in `drift.falseAlarmEvery`",
        "However many features there are and however much rows resemble their past, a window without drift is "
        "flagged at most as often as `falseAlarmEvery` declares; `Drifting`, which takes two, is rarer. A shift "
        "by one standard deviation in 3 of 50 features is `Drifting` after two windows with probability 0.9 at "
        "least, where a window holds 45 effective rows.",
        "50 independent Gaussian AR(1) features; 20 windows of history make the profile by the trainer's own "
        "code, `decide_drift` judges six windows more. A window holds 45 effective rows: 45 rows where they are "
        "independent, 4 700 at φ = 0.99.",
        _drift_cases(),
    ),
    Promise(
        "health",
        "A model that does well is flagged at most once in `health.falseAlarmEvery`",
        "A model whose true win rate is `minWinRate` + 2 points or more is flagged by its window and by the "
        "cumulative sum together at most once in `falseAlarmEvery`, however often it is looked at.",
        "The looks of `decide_health` after every block, over two intervals of `falseAlarmEvery` a model, "
        "defaults, 1 440 predictions a window; outcomes are signs of moving sums, sides are AR(0.9).",
        _health_cases(),
    ),
    Promise(
        "delay",
        "A fall from 55 % to 45 % wins is seen within 300 outcomes in the median",
        "At one false alarm in 30 000 outcomes of a healthy model, and no later than river's ADWIN and Page-"
        "Hinkley at the same rate.",
        "1 000 streams of 3 000 independent outcomes at 55 %, then 45 %. Every detector is tuned on the same 100 "
        "streams of 30 000 healthy outcomes. Intervals at 99 %, by order statistics.",
        _delay_cases(),
    ),
    Promise(
        "regime",
        "The market's great changes start a training, and flips do not",
        "On the mean daily return of 20 S&P 500 shares, regimes that last 30 days start trainings; 2000 to 2002, "
        "2008 and 2020 are among them. A flip that is shorter starts none.",
        "Walked forward from 1994 to 2022 as the operator would: the trainer's fit once a year and at each "
        "change, the operator's filter and trigger between. Turbulent begins on 2000-02-25, 2001-03-12, "
        "2002-06-21, 2008-09-15 and 2020-02-27. Flips: bursts of ten times the volatility in every 50 days of a "
        "made market.",
        (
            Case(
                "sustained changes from 1994 to 2022",
                changes,
                1,
                batch=1,
                unit="changes",
                figure="evidence.regime.changes",
            ),
            Case("crises of three that are missing", missing_crises, 1, Aim("at most", 0), batch=1, unit="crises"),
            *(
                Case(
                    f"markets in which flips of {days} days start a training",
                    partial(flips, days),
                    40,
                    Aim("at most", 0.1),
                    batch=5,
                )
                for days in (3, 10)
            ),
        ),
    ),
)
