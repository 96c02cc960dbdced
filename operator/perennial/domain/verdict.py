"""Is the challenger better than the champion? Gates that no lift can buy off, then the table of lifts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from perennial.api.model_version import DecisionName
from perennial.api.retrain_policy import Promotion
from perennial_contract.report import Evaluation, Feature
from perennial_contract.samples import Decision, SampleContract

MOST_ONE_SIDED = 0.95
"""Share of rows on one side, for Direction, that is no model but a habit."""
LEAST_ACTIONS = 50
LEAST_ACTION_SHARE = 0.01
"""For Selection: so many holdout rows at least must be acted on, and such a share of them."""
LEAST_SPREAD = 1e-3
"""Standard deviation of the scores under which they say the same of every row."""
CANARY_PROBABILITY = 0.9
"""P(better) from which a lift in between is worth a canary."""


class Ruling(NamedTuple):
    """The decision, its machine reason, and one sentence with the figures in it."""

    decision: DecisionName
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a verdict rests on."""

    promotion: Promotion
    decision: Decision
    min_win_rate: float
    contract: SampleContract
    evaluation: Evaluation
    features: tuple[Feature, ...]
    champion_features: tuple[Feature, ...] | None
    has_champion: bool


def decide_verdict(
    promotion: Promotion,
    decision: Decision,
    min_win_rate: float,
    contract: SampleContract,
    evaluation: Evaluation,
    features: tuple[Feature, ...],
    champion_features: tuple[Feature, ...] | None,
    *,
    has_champion: bool,
) -> Ruling:
    """Deploy, Canary or Keep. Without a champion the gates alone decide; for one without scores a canary does.

    ``champion_features`` None: not known, and so not compared.
    """
    case = Case(promotion, decision, min_win_rate, contract, evaluation, features, champion_features, has_champion)
    for check in (*_GATES, _no_champion, _metric_not_implemented, _champion_never_acts, _champion_not_scored):
        ruling = check(case)
        if ruling is not None:
            return ruling
    return _compare(case, evaluation.lift or 0.0)


def _scores_not_finite(case: Case) -> Ruling | None:
    if case.evaluation.challenger.finite:
        return None
    return Ruling("Keep", "ScoresNotFinite", "the challenger scored a row with something that is no number in 0..1")


def _features_changed(case: Case) -> Ruling | None:
    """Against the contract where it names features; where it does not, against what the champion was trained on."""
    names, types = [feature.name for feature in case.features], {f.name: f.dtype for f in case.features}
    expected = list(case.contract.features)
    if not expected and case.champion_features is not None:
        expected = [feature.name for feature in case.champion_features]
    if expected and names != expected:
        missing, added = sorted(set(expected) - set(names)), sorted(set(names) - set(expected))
        what = f"missing {missing}, added {added}" if missing or added else "in another order"
        line = f"features differ from the contract ({what}): name them in samples.features to accept them"
        return Ruling("Keep", "FeaturesChanged", line)
    for feature in case.champion_features or ():
        if types.get(feature.name, feature.dtype) != feature.dtype:
            line = f"feature {feature.name} is {types[feature.name]} and was {feature.dtype}: restore the column's type"
            return Ruling("Keep", "FeaturesChanged", line)
    return None


def _scores_collapsed(case: Case) -> Ruling | None:
    spread = case.evaluation.challenger.score_spread
    if spread >= LEAST_SPREAD:
        return None
    line = f"the scores' standard deviation is {spread:.2g}, under {LEAST_SPREAD:.2g}: it says the same of every row"
    return Ruling("Keep", "ScoresCollapsed", line)


def _one_sided(case: Case) -> Ruling | None:
    share = case.evaluation.challenger.long_share
    if case.decision.rule != "Direction" or 1 - MOST_ONE_SIDED <= share <= MOST_ONE_SIDED:
        return None
    line = f"long in {share:.1%} of the rows: no side may have more than {MOST_ONE_SIDED:.0%}"
    return Ruling("Keep", "OneSided", line)


def _too_few_actions(case: Case) -> Ruling | None:
    acted, rows = case.evaluation.challenger.acted, case.evaluation.outcomes
    needed = max(LEAST_ACTIONS, LEAST_ACTION_SHARE * rows) if case.decision.rule == "Selection" else 1
    if acted >= needed:
        return None
    return Ruling("Keep", "TooFewActions", f"acted on {acted} of {rows} holdout rows, {needed:.0f} are needed")


def _win_rate_below_minimum(case: Case) -> Ruling | None:
    win_rate = case.evaluation.challenger.win_rate
    if win_rate is not None and win_rate >= case.min_win_rate:
        return None
    shown = f"{win_rate:.1%}" if win_rate is not None else "unknown"
    line = f"win rate {shown} on {case.evaluation.outcomes} holdout rows, the minimum is {case.min_win_rate:.1%}"
    return Ruling("Keep", "WinRateBelowMinimum", line)


def _no_champion(case: Case) -> Ruling | None:
    if case.has_champion:
        return None
    win_rate = case.evaluation.challenger.win_rate or 0.0
    line = (
        f"nothing serves yet, and win rate {win_rate:.1%} on {case.evaluation.outcomes} holdout rows passes every gate"
    )
    return Ruling("Deploy", "NoChampion", line)


def _metric_not_implemented(case: Case) -> Ruling | None:
    metric = case.promotion.metric.type
    if metric != "Composite":
        return None
    line = f"promotion.metric {metric} is not implemented: use WinRate or AverageReward"
    return Ruling("Keep", "MetricNotImplemented", line)


def _champion_never_acts(case: Case) -> Ruling | None:
    """A Selection that never acts has no win rate to beat, and would hold its place for ever."""
    champion, challenger = case.evaluation.champion, case.evaluation.challenger
    if champion is None or not champion.finite or champion.acted:
        return None
    line = (
        f"the champion acted on none of {case.evaluation.outcomes} holdout rows, the challenger on {challenger.acted} "
        f"with win rate {challenger.win_rate or 0.0:.1%}: there is no lift to measure, a canary has to show its worth"
    )
    return Ruling("Canary", "ChampionNeverActs", line)


def _champion_not_scored(case: Case) -> Ruling | None:
    """Nothing to compare is nothing gained, unless it is the champion that can say nothing of today's rows."""
    champion, lift = case.evaluation.champion, case.evaluation.lift
    if champion is None:
        line = (
            f"the champion cannot score the {case.evaluation.outcomes} holdout rows, on which the challenger has a win "
            f"rate of {case.evaluation.challenger.win_rate or 0.0:.1%}: a canary has to show its worth"
        )
        return Ruling("Canary", "ChampionNotScored", line)
    if champion.finite and lift is not None:
        return None
    return Ruling(
        "Keep", "ChampionNotScored", "the champion has no scores on this holdout: there is nothing to compare"
    )


_GATES: tuple[Callable[[Case], Ruling | None], ...] = (
    _scores_not_finite,
    _features_changed,
    _scores_collapsed,
    _one_sided,
    _too_few_actions,
    _win_rate_below_minimum,
)


def _compare(case: Case, lift: float) -> Ruling:
    """The table of lifts."""
    promotion, evaluation = case.promotion, case.evaluation
    probability = evaluation.probability_better
    figures = _figures(evaluation, lift)
    if lift > promotion.deploy_above:
        lacking = _lacking(case)
        if lacking:
            line = f"{figures}: over deployAbove {promotion.deploy_above:g}, but {', '.join(lacking)}"
            return Ruling("Canary", "BetterButUncertain", line)
        if case.contract.outcomes == "Acted":
            line = (
                f"{figures}: over deployAbove {promotion.deploy_above:g}, but outcomes of actions alone prove no pairs"
            )
            return Ruling("Canary", "BetterButUnpaired", line)
        line = f"{figures}: over deployAbove {promotion.deploy_above:g}, with the evidence for it"
        return Ruling("Deploy", "BetterByMoreThanDeployThreshold", line)
    if lift >= promotion.canary_above and probability is not None and probability >= CANARY_PROBABILITY:
        line = f"{figures}: from canaryAbove {promotion.canary_above:g} to deployAbove {promotion.deploy_above:g}"
        return Ruling("Canary", "BetterByMoreThanCanaryThreshold", line)
    why = (
        f"under canaryAbove {promotion.canary_above:g}"
        if lift < promotion.canary_above
        else f"P(better) is under {CANARY_PROBABILITY:.0%}"
    )
    return Ruling("Keep", "NotBetterEnough", f"{figures}: {why}")


def _lacking(case: Case) -> list[str]:
    """What a Deploy would need besides its lift."""
    promotion, evaluation = case.promotion, case.evaluation
    lower, brier = evaluation.lower_bound, evaluation.brier_difference
    lacking = []
    if lower is None and case.contract.outcomes == "All":
        lacking.append("there is no lower bound (too few blocks, no fresh rows, or a model brought without its report)")
    elif lower is not None and lower <= 0:
        lacking.append("the lower bound is not above 0")
    if evaluation.effective_outcomes < promotion.min_outcomes:
        lacking.append(f"{evaluation.effective_outcomes:.0f} of {promotion.min_outcomes} effective outcomes")
    if brier is None or brier > 0:
        lacking.append("the Brier score is worse" if brier is not None else "the Brier scores were not compared")
    return lacking


def _figures(evaluation: Evaluation, lift: float) -> str:
    lower, probability = evaluation.lower_bound, evaluation.probability_better
    return (
        f"lift {lift:+.1%} (lower bound {f'{lower:+.1%}' if lower is not None else 'unknown'}, "
        f"P(better) {f'{probability:.0%}' if probability is not None else 'unknown'}) "
        f"on {evaluation.effective_outcomes:.0f} effective of {evaluation.outcomes} holdout rows"
    )
