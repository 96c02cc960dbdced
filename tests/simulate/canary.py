"""A canary that is no better is seldom promoted, however often one looks, and one that is better is promoted soon."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from tests.simulate.promise import Aim, Case, Computed, Promise, Quantile, Share
from tests.simulate.streams import Floats, Rivalry
from tests.unit.domain.worlds import HOUR, pair_look

from perennial.api.model_deployment_status import Evidence
from perennial.api.traffic import Canary
from perennial.domain.blocks import pair_block_seconds, settlement_lag
from perennial.domain.canary_evidence import decide_evidence, threshold_of, verdict_of, wealth_path
from perennial_contract.samples import SampleContract

MONTHS = timedelta(days=60)
AS_SOON_AS_SHOWN = Canary(min_outcomes=1)
"""Nothing but the evidence stands in the way of a promotion."""

Looks = NDArray[np.int64]


def contract_of(overlap: int) -> SampleContract:
    """A pair an hour, whose outcome takes ``overlap`` hours."""
    return SampleContract(label_delay=overlap * HOUR)


def wealth(differences: Floats, contract: SampleContract) -> tuple[Looks, Floats]:
    """Evidence for and against after each block, of many canaries at once: the blocks (K,), and (K, canaries, 2).

    Args:
        differences: (canaries, hours): 1 where the canary alone was right, −1 where the stable version was, else 0.
    """
    seconds = pair_block_seconds(contract.label_delay, MONTHS)
    hours = np.arange(differences.shape[1])
    blocks, starts = np.unique(hours * 3600 // seconds, return_index=True)
    sums = np.add.reduceat(differences, starts, axis=1).T
    disagreements = np.add.reduceat(np.abs(differences), starts, axis=1).T
    results = np.divide(sums, disagreements, out=np.zeros_like(sums), where=disagreements > 0)
    both = np.stack([results, -results], axis=-1)
    lag = settlement_lag(contract.label_delay, seconds)
    return blocks, wealth_path(blocks.tolist(), both, disagreements[..., np.newaxis], lag)


def evidence_at(differences: Floats, block: int, contract: SampleContract) -> Evidence:
    """What the operator's look into the store would make of one canary when so many blocks are complete."""
    seconds = pair_block_seconds(contract.label_delay, MONTHS)
    ends = (block + 1) * seconds
    known = differences[: -(-ends // 3600)]
    until = datetime.fromtimestamp(ends, UTC) + contract.label_delay
    look = pair_look(2 * known.astype(np.int64), seconds)
    return decide_evidence(contract, look, stable="stable", challenger="canary", block_seconds=seconds, until=until)


def ends(differences: Floats, contract: SampleContract, canary: Canary) -> Iterator[tuple[str, Evidence | None]]:
    """How each canary ends when it is looked at after every block: Pass, Fail or Undecided, and on what evidence.

    The path tells which looks are worth the operator's own decision: evidence is its value at the last block.
    """
    blocks, paths = wealth(differences, contract)
    worth_a_look = (paths >= threshold_of(canary)).any(axis=-1)
    for one in range(len(differences)):
        for block in blocks[worth_a_look[:, one]].tolist():
            evidence = evidence_at(differences[one], block, contract)
            verdict = verdict_of(canary, evidence)
            if verdict != "Undecided":
                yield verdict, evidence
                break
        else:
            yield "Undecided", None


def ended(verdict: str, rivalry: Rivalry, hours: int, *, runs: int, seed: int) -> Share:
    """How many canaries end so within as many hours."""
    bout = rivalry.play(np.random.default_rng(seed), hours, streams=runs)
    found = [end for end, _ in ends(bout.differences(), contract_of(rivalry.overlap), AS_SOON_AS_SHOWN)]
    return Share(found.count(verdict), runs)


def pairs_needed(rivalry: Rivalry, hours: int, q: float, *, runs: int, seed: int) -> Quantile:
    """Pairs that were known when the canary passed, with the defaults of `canary`; infinity where it never did."""
    bout = rivalry.play(np.random.default_rng(seed), hours, streams=runs)
    found = ends(bout.differences(), contract_of(rivalry.overlap), Canary())
    return Quantile(tuple(float(e.pairs) if e and end == "Pass" else inf for end, e in found), q)


def split_test_requests(old: float, new: float, share: float, power: float, alpha: float = 0.05) -> float:
    """Requests that a split test needs: two proportions, unpaired, one-sided, looked at once.

    Fleiss, Levin & Paik, "Statistical Methods for Rates and Proportions" (2003), chapter 4, for unequal groups.

    Args:
        share: of the requests that go to the new version.
    """
    variance = new * (1 - new) / share + old * (1 - old) / (1 - share)
    return float((ndtri(1 - alpha) + ndtri(power)) ** 2 * variance / (new - old) ** 2)


def split_test(old: float, new: float, share: float, power: float, *, runs: int, seed: int) -> Computed:
    """As a row of the table."""
    return Computed(split_test_requests(old, new, share, power))


def split_tests_won(old: float, new: float, share: float, power: float, *, runs: int, seed: int) -> Share:
    """How many split tests of that size show the better version."""
    rng, requests = np.random.default_rng(seed), split_test_requests(old, new, share, power)
    n_new, n_old = round(share * requests), round((1 - share) * requests)
    p_new, p_old = rng.binomial(n_new, new, runs) / n_new, rng.binomial(n_old, old, runs) / n_old
    error = np.sqrt(p_new * (1 - p_new) / n_new + p_old * (1 - p_old) / n_old)
    return Share(int((p_new - p_old > ndtri(0.95) * error).sum()), runs)


_SELDOM, _SOON = Aim("at most", 0.05), Aim("at most", 2000)
_HALF_A_YEAR = 4000
"""Hours: 167 days, where `canary.maxDuration` is 60."""


def _equal_cases() -> list[Case]:
    return [
        Case(
            f"{name} canary, outcomes over {overlap}",
            partial(ended, "Pass", Rivalry(overlap, 0.55, rate), _HALF_A_YEAR),
            runs,
            _SELDOM,
            batch=500,
            figure="evidence.canary.false_promotion",
        )
        for name, rate, runs in (("equal", 0.55, 8000), ("worse (54 %)", 0.54, 1000))
        for overlap in (1, 5, 24)
    ]


def _power_cases() -> list[Case]:
    cases = []
    for rate in (0.55, 0.5):
        rivalry = Rivalry(1, rate, 1.05 * rate, persistence=0.0)
        for q, runs in ((0.5, 2000), (0.9, 1000)):
            name = f"champion {rate:.0%}: pairs until it passes, {'median' if q == 0.5 else 'nine in ten'}"
            simulate = partial(pairs_needed, rivalry, 8000, q)
            case = Case(name, simulate, runs, batch=125, unit="pairs")
            cases.append(replace(case, aim=_SOON, figure="evidence.canary.median_pairs_5pct") if q == 0.5 else case)
            known = (rate, 1.05 * rate, 0.1, q)
            name = f"champion {rate:.0%}: requests of a 10 % split test with power {q:g}"
            cases.append(Case(name, partial(split_test, *known), 1, unit="requests"))
    known = (0.5, 1.05 * 0.5, 0.1, 0.9)
    cases.append(Case("the last: how many of them show it", partial(split_tests_won, *known), 20_000, batch=20_000))
    return cases


PROMISES = (
    Promise(
        "canary",
        "A canary that is no better is promoted in at most 5 % of cases, however often it is looked at",
        "At `confidence: 0.95` a canary that is equal to the stable version, or worse, is promoted with probability "
        "0.05 at most, though evidence is looked at after every block of outcomes.",
        "`wealth_path` over the blocks that a look brings, and `decide_evidence` and `verdict_of` at every look whose "
        "evidence reaches the threshold, with `minOutcomes: 1`. A pair an hour for 4,000 hours; outcomes, sides and "
        "errors as for the verdict.",
        tuple(_equal_cases()),
    ),
    Promise(
        "canary-power",
        "A canary with a lift of 5 % passes on 2 000 pairs in the median",
        "A canary whose win rate is 5 % above that of a stable version with 50 or 55 %, and that disagrees with it on "
        "a fifth of the samples, passes on a median of 2 000 independent pairs at most.",
        "As above with the defaults of `canary` (`minOutcomes: 300`), outcomes over one step and sides that are thrown "
        "anew. Beside it what a classical split test needs that gives the canary 10 % of the requests: two unpaired "
        "proportions, the same α and power, looked at once.",
        tuple(_power_cases()),
    ),
)
