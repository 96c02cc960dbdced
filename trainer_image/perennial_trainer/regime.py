"""The regimes of a series, calm to turbulent, as the operator will know them: what a change is told by."""

import time

import numpy as np

from perennial_contract.profile import REGIMES, RegimeProfile, RegimeState
from perennial_contract.regime import filter_states, hold_states, likeliest_of
from perennial_contract.task import RegimeRule
from perennial_trainer.instants import to_instant
from perennial_trainer.markov import cut_terciles, fit_best
from perennial_trainer.progress import log
from perennial_trainer.reading import FloatArray
from perennial_trainer.series import Series

MOST_POINTS = 20_000
"""The newest that a fit takes, in 2 to 3 s (8 000: one, 100 000: eleven): deviations are known to 1 % by then."""
_DIGITS = 6


def fit_regime(rule: RegimeRule, series: Series, seed: int) -> RegimeProfile | None:
    """The regimes of the newest points, and the one at their end; None, and the reason in the log, if there are none.

    Args:
        rule: the column, and how many points it takes at least.
        series: n timestamps, ascending; finite.
        seed: of the random starts.
    """
    if len(series.at) < rule.lookback:
        log.info("no regimes of %s: %d timestamps, %d needed", rule.column, len(series.at), rule.lookback)
        return None
    began = time.perf_counter()
    values = series.mean[-MOST_POINTS:]
    centre, scale = float(values.mean()), float(values.std())
    if scale <= 1e-9 * float(np.abs(values).max()):
        log.info("no regimes of %s: it does not vary", rule.column)
        return None
    standard = (values - centre) / scale
    fitted = fit_best(standard, len(REGIMES), seed)
    chain = fitted or cut_terciles(standard, len(REGIMES))
    order = np.argsort(chain.variance, kind="stable")
    names = REGIMES if len(order) == len(REGIMES) else (REGIMES[0], REGIMES[-1])
    profile = RegimeProfile(
        column=rule.column,
        method="MarkovSwitching" if fitted else "VolatilityTerciles",
        states=tuple(
            RegimeState(name=name, mean=_round(centre + scale * mean), deviation=_round(scale * np.sqrt(variance)))
            for name, mean, variance in zip(names, chain.mean[order], chain.variance[order], strict=True)
        ),
        transition=tuple(tuple(map(_round, row)) for row in chain.transition[np.ix_(order, order)]),
        points=len(values),
        until=to_instant(int(series.at[-1])),
        trained_on="",
    )
    profile = profile.model_copy(update={"trained_on": _last_state(profile, values)})
    seconds = time.perf_counter() - began
    line = "regimes of %s: %s on %d points, %s at their end, %.1f s"
    log.info(line, rule.column, profile.method, profile.points, profile.trained_on, seconds)
    return profile


def _last_state(profile: RegimeProfile, values: FloatArray) -> str:
    """The state that the series is in at its end; the likeliest while it is in between."""
    probabilities = filter_states(profile, values.tolist())
    held = hold_states(probabilities)[-1]
    return profile.states[likeliest_of(probabilities[-1]) if held is None else held].name


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
