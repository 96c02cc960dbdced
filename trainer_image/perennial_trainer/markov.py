"""Markov chains of normal states: fitted by maximum likelihood, or cut from volatility where that does not converge."""

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from perennial_trainer.reading import FloatArray

_STARTS, _SHORT, _LONG = 5, 10, 500
"""Each start gets a few steps, and the best of them as many as it needs."""
_LEAST_GAIN = 0.01
"""In log-likelihood: a parameter that is worth having brings 1 (Akaike's criterion)."""
_LEAST_VARIANCE = 1e-6
"""Of the series': what is narrower holds values that repeat, and is no regime."""
_WINDOW = 21
"""Points over which a cut takes the volatility."""


@dataclass(frozen=True)
class Chain:
    """k normal states, in units of the series' standard deviation."""

    transition: FloatArray
    """(k, k): row i leads from state i."""
    mean: FloatArray
    """(k,)"""
    variance: FloatArray
    """(k,)"""


def fit_best(values: FloatArray, most: int, seed: int) -> Chain | None:
    """With the number of states, 2 to ``most``, that the data pays for; None where none of them converges.

    Schwarz, "Estimating the dimension of a model" (Annals of Statistics, 1978). Without a price, a state too many holds
    a point or two, or takes turns with another one.

    Args:
        values: (n,) of mean 0 and variance 1.
        most: states.
        seed: of the starts.
    """
    fitted = [(fit_chain(values, k, seed), k) for k in range(2, most + 1)]
    priced = [(found[1] - k * (k + 1) / 2 * np.log(len(values)), found[0]) for found, k in fitted if found]
    return max(priced, key=lambda one: one[0])[1] if priced else None


def fit_chain(values: FloatArray, k: int, seed: int) -> tuple[Chain, float] | None:
    """Maximum likelihood of k states, and its logarithm, by expectation and maximisation over statsmodels' smoother.

    None where it does not converge. The library's own `fit` climbs by numerical gradients, ten times as long, to no
    better place. Short runs from several starts, a long one of the best: Biernacki, Celeux & Govaert, "Choosing
    starting values for the EM algorithm for getting the highest likelihood in multivariate Gaussian mixture models"
    (Computational Statistics & Data Analysis, 2003).
    """
    rng = np.random.default_rng(seed)
    climb = partial(_climb, load_model(values, k), values)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of starts that lead nowhere: what comes of them is looked at
            runs = [climb(_start(values, k, rng if number else None), _SHORT) for number in range(_STARTS)]
            likely = [run for run in runs if np.isfinite(run[1])]
            if not likely:
                return None
            chain, likelihood, converged = climb(max(likely, key=lambda run: run[1])[0], _LONG)
    except (ValueError, RuntimeError):  # a chain that has no stationary distribution
        return None
    return (chain, likelihood) if converged else None


def load_model(values: FloatArray, k: int) -> Any:
    """The library's model: a mean and a variance a state."""
    # 2 s, half of them pandas: for those alone whose models declare a regime
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression  # noqa: PLC0415

    return MarkovRegression(values, k_regimes=k, trend="c", switching_variance=True)


def _start(values: FloatArray, k: int, rng: np.random.Generator | None) -> Chain:
    """k parts of what values are off by, each left once in 20 points; with ``rng`` something else around that."""
    parts = np.array_split(np.sort(np.abs(values - np.median(values))), k)
    spread = np.array([max(float((part**2).mean()), _LEAST_VARIANCE) for part in parts])
    leaving = 0.05
    if rng is not None:
        spread = np.sort(spread * np.exp(rng.normal(size=k)))
        leaving = float(np.exp(rng.uniform(np.log(0.005), np.log(0.2))))
    transition = np.full((k, k), leaving / (k - 1))
    np.fill_diagonal(transition, 1 - leaving)
    return Chain(transition, np.zeros(k), spread)


def _climb(model: Any, values: FloatArray, chain: Chain, steps: int) -> tuple[Chain, float, bool]:
    """The chain after so many steps at most, its log-likelihood, and whether no further step is worth it."""
    before = -np.inf
    for _ in range(steps):
        following, likelihood = _step(model, values, chain)
        if not np.isfinite(likelihood) or not _is_sound(following):
            return chain, -np.inf, False
        if likelihood - before < _LEAST_GAIN:
            return chain, likelihood, True
        chain, before = following, likelihood
    return chain, before, False


def _step(model: Any, values: FloatArray, chain: Chain) -> tuple[Chain, float]:
    """One step, and the log-likelihood of where it began.

    Hamilton, "Analysis of time series subject to changes in regime" (Journal of Econometrics, 1990), equations 4.1 and
    4.2.
    """
    parameters = np.concatenate([chain.transition[:, :-1].T.ravel(), chain.mean, chain.variance])
    smoothed = model.smooth(parameters, transformed=True, return_raw=True)
    joint = np.asarray(smoothed.smoothed_joint_probabilities)[:, :, 1:].sum(axis=2)  # [to, from]
    weight = np.asarray(smoothed.smoothed_marginal_probabilities)  # (k, n)
    total = weight.sum(axis=1)
    mean = weight @ values / total
    variance = (weight * (values - mean[:, np.newaxis]) ** 2).sum(axis=1) / total
    return Chain((joint / joint.sum(axis=0)).T, mean, variance), float(smoothed.llf)


def _is_sound(chain: Chain) -> bool:
    finite = np.isfinite(chain.transition).all() and np.isfinite(chain.mean).all() and np.isfinite(chain.variance).all()
    return bool(finite and chain.variance.min() > _LEAST_VARIANCE)


def cut_terciles(values: FloatArray, k: int) -> Chain:
    """The points cut in k by the volatility up to each, terciles for k = 3, as a chain to be filtered like any other.

    States are what the parts look like, transitions what the path through them counts, each once more than it was seen.

    Args:
        values: (n,) of mean 0 and variance 1.
    """
    off = np.concatenate([[0.0], np.cumsum(np.abs(values - np.median(values)))])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - _WINDOW, 0)
    volatility = (off[ends] - off[starts]) / (ends - starts)
    path = np.empty(len(values), dtype=np.int64)
    path[np.argsort(volatility, kind="stable")] = np.arange(len(values)) * k // len(values)
    counts = np.ones((k, k))
    np.add.at(counts, (path[:-1], path[1:]), 1)
    parts = [values[path == state] for state in range(k)]
    return Chain(
        counts / counts.sum(axis=1, keepdims=True),
        np.array([part.mean() for part in parts]),
        np.array([max(float(part.var()), _LEAST_VARIANCE) for part in parts]),
    )
