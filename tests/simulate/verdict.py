"""A challenger that is no better is seldom deployed, and one that is better is: trainer and operator, as they are."""

from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
from tests.simulate.promise import Aim, Case, Promise, Quantile, Share
from tests.simulate.streams import Bools, Floats, Rivalry

from perennial.api.model_version import DecisionName
from perennial.api.retrain_policy import Promotion
from perennial.domain.verdict import decide_verdict
from perennial_contract.report import Evaluation, Feature
from perennial_contract.samples import Decision, SampleContract
from perennial_contract.task import EvaluationRule
from perennial_trainer.evaluate import Holdout, Scored, evaluate

HOUR = timedelta(hours=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
FEATURES = (Feature(name="x"),)
ANY_LIFT = Promotion(deploy_above=0.0, canary_above=0.0, min_outcomes=1)
"""Nothing but the evidence stands in a Deploy's way."""


def judge(
    target: Bools,
    champion: Floats,
    challenger: Floats,
    *,
    overlap: int,
    promotion: Promotion,
    seed: int,
    start: int = 0,
    seen_until: int | None = None,
) -> tuple[Evaluation, DecisionName]:
    """What comes of a holdout with a row an hour.

    Args:
        target, champion, challenger: outcomes and scores, (rows,).
        start: the hour of the first row.
        seen_until: the hour of the last row that a verdict has been made from before; None: all are fresh.
    """
    contract, rows = SampleContract(label_delay=overlap * HOUR), len(target)
    first, hour = int(START.timestamp()) * 1_000_000, 3_600_000_000
    at = first + (start + np.arange(rows)) * hour
    rule = EvaluationRule(
        confidence=promotion.confidence,
        previous_holdout_until=None if seen_until is None else START + seen_until * HOUR,
    )
    evaluation = evaluate(
        Holdout(at, target.astype(np.float64), np.where(target, 1.0, -1.0)),
        Scored("challenger", challenger),
        Scored("champion", champion),
        contract=contract,
        decision=Decision(),
        rule=rule,
        seed=seed,
    )
    ruling = decide_verdict(promotion, Decision(), 0.0, contract, evaluation, FEATURES, FEATURES, has_champion=True)
    return evaluation, ruling.decision


def _judge_afresh(
    rng: np.random.Generator, rivalry: Rivalry, rows: int, promotion: Promotion
) -> tuple[Evaluation, DecisionName]:
    bout = rivalry.play(rng, rows)
    return judge(
        bout.target[0],
        bout.champion[0],
        bout.challengers[0, 0],
        overlap=rivalry.overlap,
        promotion=promotion,
        seed=int(rng.integers(2**31)),
    )


def deploys(rivalry: Rivalry, rows: int, promotion: Promotion = ANY_LIFT, *, runs: int, seed: int) -> Share:
    """How many challengers are deployed, each judged once on a holdout of its own."""
    rng = np.random.default_rng(seed)
    verdicts = [_judge_afresh(rng, rivalry, rows, promotion)[1] for _ in range(runs)]
    return Share(verdicts.count("Deploy"), runs)


def worth(rivalry: Rivalry, rows: int, *, runs: int, seed: int) -> Quantile:
    """The effective outcomes that an evaluation counts."""
    rng = np.random.default_rng(seed)
    return Quantile(tuple(_judge_afresh(rng, rivalry, rows, ANY_LIFT)[0].effective_outcomes for _ in range(runs)))


def lengths_with_a_deploy(rivalry: Rivalry, rows: int, challengers: int, *, runs: int, seed: int) -> Share:
    """How many holdout lengths see any of so many challengers deployed.

    The holdout moves on by an equal step from each to the next, and by its whole length from the first to the last.
    """
    rng, step, hits = np.random.default_rng(seed), rows // challengers, 0
    for _ in range(runs):
        bout = rivalry.play(rng, rows + challengers * step, challengers=challengers)
        for look in range(challengers):
            begin = (look + 1) * step
            held = slice(begin, begin + rows)
            _, decision = judge(
                bout.target[0, held],
                bout.champion[0, held],
                bout.challengers[look, 0, held],
                overlap=rivalry.overlap,
                promotion=ANY_LIFT,
                seed=int(rng.integers(2**31)),
                start=begin,
                seen_until=begin - step + rows - 1,
            )
            if decision == "Deploy":
                hits += 1
                break
    return Share(hits, runs)


_SELDOM, _MOSTLY = Aim("at most", 0.05), Aim("at least", 0.9)
_UNBOUNDED = {(200, 5), (200, 24), (500, 24), (1000, 24)}
"""Holdouts with fewer than 30 blocks of twice the overlap."""
_WORTH_2000 = {(1, 0.2): 2001, (1, 0.25): 2001, (5, 0.2): 4200, (5, 0.25): 4500, (24, 0.2): 8750, (24, 0.25): 9800}
"""Rows by overlap and discordance, of which 2 000 are effective by the evaluation's own count."""


def _equal_cases() -> list[Case]:
    return [
        Case(
            f"{rows:,} rows, outcomes over {overlap}",
            partial(deploys, Rivalry(overlap, 0.55, 0.55), rows),
            400 if (rows, overlap) in _UNBOUNDED else 4000,
            _SELDOM,
            batch=250,
            figure="evidence.verdict.false_deploy",
            note="fewer than 30 blocks: no bound, and so never a Deploy" if (rows, overlap) in _UNBOUNDED else "",
        )
        for overlap in (1, 5, 24)
        for rows in (200, 500, 1000, 2000, 5000)
    ]


def _strict_cases() -> list[Case]:
    """The effective number is under n whatever the data, for the variance of n rows rests on n − 1."""
    strict = Promotion(deploy_above=0.0, canary_above=0.0, min_outcomes=2000)
    return [
        Case(
            f"the same, minOutcomes = n: 2,000 rows, outcomes over {overlap}",
            partial(deploys, Rivalry(overlap, 0.55, 0.55), 2000, strict),
            500,
            note="the effective number never reaches n: it proves nothing",
        )
        for overlap in (1, 5, 24)
    ]


def _power_runs(overlap: int, discordance: float) -> int:
    """The nearer to 90 %, the more of them it takes to decide."""
    if discordance < 0.25:
        return 3000
    return 40_000 if overlap == 1 else 8000


def _power_cases() -> list[Case]:
    return [
        Case(
            f"champion {rate:.0%}, discordance {discordance:g}, outcomes over {overlap}",
            partial(deploys, Rivalry(overlap, rate, 1.08 * rate, discordance), rows, Promotion()),
            _power_runs(overlap, discordance) if aim else 1000,
            aim,
            figure="evidence.verdict.power_8pct" if aim else "",
            note=f"{rows:,} rows",
        )
        for rate, aim in ((0.55, _MOSTLY), (0.5, None))
        for (overlap, discordance), rows in _WORTH_2000.items()
    ]


def _worth_cases() -> list[Case]:
    return [
        Case(
            f"effective outcomes, discordance {discordance:g}, outcomes over {overlap} (median)",
            partial(worth, Rivalry(overlap, 0.55, 1.08 * 0.55, discordance), rows),
            200,
            unit="rows",
            note=f"{rows:,} rows",
        )
        for (overlap, discordance), rows in _WORTH_2000.items()
    ]


_STREAMS = (
    "Hourly rows; the outcome is the sign of a sum over the next 1, 5 or 24 hours, and the models take sides that are "
    "autoregressive (0.9). Both win 55 %, disagree on a fifth of the rows, and err together on most of the rest."
)

PROMISES = (
    Promise(
        "verdict",
        "A challenger that is no better is deployed in at most 5 % of cases",
        "At `confidence: 0.95` at most 5 % of the challengers that are no better than the champion get the verdict "
        "`Deploy`, however small the holdout and however far outcomes overlap.",
        "The trainer's `evaluate` and the operator's `decide_verdict`, with `deployAbove: 0` and `minOutcomes: 1`, so "
        f"that only the evidence stands in the way. {_STREAMS}",
        (*_equal_cases(), *_strict_cases()),
    ),
    Promise(
        "shared-holdout",
        "Challengers that share a holdout are falsely deployed in at most 5 % of holdout lengths",
        "α is scaled by the share of rows that no verdict has been made from: while a holdout moves on by its own "
        "length, any of the challengers that are no better gets the verdict `Deploy` with probability 0.05 at most, "
        "however many they are.",
        "As above. Each challenger has errors of its own and is judged on the newest rows, most of which the one "
        "before was judged on.",
        tuple(
            Case(
                f"{challengers} challengers, {rows:,} rows, outcomes over {overlap}",
                partial(lengths_with_a_deploy, Rivalry(overlap, 0.55, 0.55), rows, challengers),
                1500 if challengers == 20 else 3000,
                _SELDOM,
                batch=25,
                figure="evidence.verdict.false_deploy_shared",
            )
            for rows, overlap in ((600, 1), (600, 5))
            for challengers in (2, 5, 20)
        ),
    ),
    Promise(
        "verdict-power",
        "A lift of 8 % is deployed in at least 90 % of cases",
        "A challenger whose win rate is 8 % above the champion's (59.4 % for 55 %) gets the verdict `Deploy` with "
        "probability 0.9 at least, with the default policy (`deployAbove: 0.05`), 2 000 effective outcomes and models "
        "that disagree on up to a quarter of the rows.",
        "As above, with the defaults of `promotion`, on as many rows as the evaluation itself counts for 2 000.",
        (*_power_cases(), *_worth_cases()),
    ),
)
