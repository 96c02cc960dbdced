"""Is the canary better than the stable version? An e-process: it may be looked at whenever one likes.

A gambler who starts with 1 stakes a part of it on every block that the canary does better. If it does not, no way of
staking makes money on average, and his wealth reaches 1/α with probability α at most, ever (Ville, 1939; Waudby-Smith
& Ramdas, "Estimating means of bounded random variables by betting", JRSS B, 2023). Three things make it sharp here:

- A block's result is taken over the samples on which the versions disagree (the only ones that say anything, and known
  before any outcome): a number between −1 and 1 whose range is not diluted by agreement.
- Several gamblers share the initial wealth, each with his own boldness; their sum is the evidence.
- Outcomes overlap, so when a block begins, those of the blocks just before it are not known. A stake is a part of
  *settled* wealth only, and never more than what is left if every open bet is lost. So no outcome is used before it
  is known, and overlap needs no correction and costs no rows.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from perennial.api.model_deployment_status import Evidence
from perennial.api.traffic import Canary
from perennial.domain.blocks import Ratio, blocks_a_unit, merged, ratio_of, settlement_lag
from perennial.domain.evidence import PairBlock, PairLook, VersionBlock, first_open_block
from perennial.domain.statistics import significant
from perennial_contract.samples import SampleContract

BOLDNESS = 0.5 ** np.arange(6)
"""The gamblers' stakes on a block of usual size, in units of the largest that keeps them solvent."""
PURSES = np.array([0.25, 0.35, 0.2, 0.1, 0.06, 0.04])
"""What each begins with, 1 together. Any purses keep the promise; these lean to the bold, for an advantage worth a
promotion is seen soonest at a stake of about its size, and leave the timid enough to find a small one in the end."""
MOST_EVIDENCE = 1e12
"""Beyond it more wealth says nothing: stakes stop growing, and a status does not hold 10³⁰⁰."""

CanaryVerdictName = Literal["Pass", "Fail", "Undecided"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The canary against the stable version, K blocks."""

    blocks: tuple[int, ...]
    results: NDArray[np.float64]
    """(K,) in −1..1; positive where the canary did better."""
    weights: NDArray[np.float64]
    """(K,) how many samples a result rests on; known before their outcomes."""
    rows: int
    """Outcomes that were compared, agreements included."""
    difference: Ratio | None
    """Mean difference in utility, over blocks of 2 × labelDelay."""
    row_variance: float
    """Variance of one row's difference."""


def decide_evidence(
    contract: SampleContract,
    look: PairLook,
    *,
    stable: str,
    challenger: str,
    block_seconds: int,
    until: datetime,
) -> Evidence:
    """What the outcomes so far say, from complete blocks alone.

    Args:
        stable, challenger: the versions' UIDs.
        block_seconds: what the look was grouped by (``blocks.pair_block_seconds``).
        until: the instant of the look.
    """
    lag, coarse = (
        settlement_lag(contract.label_delay, block_seconds),
        blocks_a_unit(contract.label_delay, block_seconds),
    )
    first_open = first_open_block(until, contract.label_delay, block_seconds)
    if contract.outcomes == "All":
        comparison = _paired([block for block in look.blocks if block.block < first_open], coarse)
    else:
        served = [block for block in look.unpaired if block.block < first_open]
        comparison = _unpaired(served, stable, challenger, coarse)
    better, worse = _evidence(comparison, lag)
    difference = comparison.difference
    return Evidence(
        pairs=comparison.rows,
        effective_pairs=round(difference.effective(comparison.row_variance), 1) if difference else 0.0,
        blocks=len(comparison.blocks),
        utility_difference=significant(difference.value) if difference else None,
        e_value=better,
        harm=worse,
        coverage=significant(look.coverage) if look.coverage is not None else None,
    )


def verdict_of(canary: Canary, evidence: Evidence) -> CanaryVerdictName:
    """Pass needs the evidence and the minimum of pairs; harm counts as soon as it is shown, whatever the minimum."""
    threshold = threshold_of(canary)
    if evidence.harm >= threshold:
        return "Fail"
    if evidence.e_value >= threshold and evidence.effective_pairs >= canary.min_outcomes:
        return "Pass"
    return "Undecided"


def explain_verdict(canary: Canary, evidence: Evidence) -> tuple[str, str]:
    """Machine reason and sentence of `verdict_of`."""
    threshold = threshold_of(canary)
    mean = f"{evidence.utility_difference:+.3f}" if evidence.utility_difference is not None else "unknown"
    figures = (
        f"utility difference {mean} on {evidence.effective_pairs:.0f} effective pairs ({evidence.pairs} in "
        f"{evidence.blocks} complete blocks), evidence {evidence.e_value:.3g} for and {evidence.harm:.3g} against"
    )
    match verdict_of(canary, evidence):
        case "Fail":
            return "CanaryWorse", f"worse: {figures}, the threshold is {threshold:.3g}"
        case "Pass":
            return "CanaryBetter", f"better: {figures}, the threshold is {threshold:.3g}"
        case "Undecided" if evidence.effective_pairs < canary.min_outcomes:
            return "NotEnoughPairs", f"undecided: {figures}; {canary.min_outcomes} effective pairs are needed"
        case "Undecided":
            return "NotEnoughEvidence", f"undecided: {figures}; {threshold:.3g} is needed"


def threshold_of(canary: Canary) -> float:
    """1/α: what an equal canary's evidence ever reaches with probability α at most."""
    return 1 / (1 - canary.confidence)


def wealth_path(
    blocks: Sequence[int], results: NDArray[np.float64], weights: NDArray[np.float64], lag: int
) -> NDArray[np.float64]:
    """The gamblers' joint wealth after each block, once it is settled.

    Args:
        blocks: K block numbers, ascending.
        results: (K, …) in −1..1; further axes are independent canaries.
        weights: (K,), or as the results: sizes; a block stakes in proportion to its size over the mean size so far.
            0 where a canary has no such block.
        lag: blocks up to t − lag are settled when block t begins.

    Returns:
        (K, …), never negative.
    """
    shape = (*results.shape[1:], len(BOLDNESS))
    settled, at_risk, wealth = np.ones(shape), np.zeros(shape), np.ones(shape)
    so_far = np.maximum(np.cumsum(weights, axis=0), np.finfo(np.float64).tiny)
    sizes = weights * np.cumsum(weights > 0, axis=0) / so_far
    open_bets: deque[tuple[int, NDArray[np.float64], NDArray[np.float64]]] = deque()
    path = np.empty_like(results)
    for index, block in enumerate(blocks):
        while open_bets and open_bets[0][0] <= block - lag:
            _, stake, gain = open_bets.popleft()
            settled, at_risk = settled + gain, at_risk - stake
        share = np.minimum(BOLDNESS * sizes[index][..., np.newaxis], 1.0) / lag
        stake = np.minimum(share * np.minimum(settled, MOST_EVIDENCE), np.maximum(settled - at_risk, 0.0))
        gain = stake * results[index][..., np.newaxis]
        open_bets.append((block, stake, gain))
        at_risk, wealth = at_risk + stake, wealth + gain
        path[index] = wealth @ PURSES
    return path


def _evidence(comparison: Comparison, lag: int) -> tuple[float, float]:
    """For the canary and against it, both in one go."""
    if not comparison.blocks:
        return 1.0, 1.0
    results = np.stack([comparison.results, -comparison.results], axis=1)
    path = wealth_path(comparison.blocks, results, comparison.weights, lag)
    better, worse = (significant(min(max(float(end), 0.0), MOST_EVIDENCE)) for end in path[-1])
    return better, worse


def _paired(blocks: Sequence[PairBlock], coarse: int) -> Comparison:
    """Differences in utility on the same samples."""
    told = [(block, _disagreement(block)) for block in blocks if block.utility_sq]
    ids, (sums, rows) = merged(
        [b.block for b in blocks], coarse, [b.utility_sum for b in blocks], [b.n for b in blocks]
    )
    difference, count = ratio_of(ids, sums, rows), sum(block.n for block in blocks)
    variance = sum(block.utility_sq for block in blocks) / count - difference.value**2 if difference else 0.0
    return Comparison(
        blocks=tuple(block.block for block, _ in told),
        results=np.array([block.utility_sum / most for block, most in told]),
        weights=np.array([float(most) for _, most in told]),
        rows=count,
        difference=difference,
        row_variance=max(variance, 0.0),
    )


def _disagreement(block: PairBlock) -> float:
    """The largest |Σ difference| that the block's scores allow, whatever the outcomes.

    Where both act on every sample they differ by 2 or not at all; else by 1 (one acts, the other does not), and
    a difference of 2 would only make this bound wider.
    """
    both_act = block.stable_acted == block.n and block.canary_acted == block.n
    return block.utility_sq / 2 if both_act else float(block.utility_sq)


def _unpaired(blocks: Sequence[VersionBlock], stable: str, challenger: str, coarse: int) -> Comparison:
    """Differences in the mean utility of the samples that each acted on, in blocks where both did."""
    of_stable = {block.block: block for block in blocks if block.version == stable and block.acted}
    of_challenger = {block.block: block for block in blocks if block.version == challenger and block.acted}
    common = sorted(of_stable.keys() & of_challenger.keys())
    pairs = [(of_challenger[block], of_stable[block]) for block in common]
    halves = [(c.utility_sum / c.acted - s.utility_sum / s.acted) / 2 for c, s in pairs]
    weights = [c.acted * s.acted / (c.acted + s.acted) for c, s in pairs]
    ids, (sums, totals) = merged(common, coarse, [2 * h * w for h, w in zip(halves, weights, strict=True)], weights)
    return Comparison(
        blocks=tuple(common),
        results=np.array(halves),
        weights=np.array(weights),
        rows=sum(min(c.acted, s.acted) for c, s in pairs),
        difference=ratio_of(ids, sums, totals),
        row_variance=1.0,
    )
