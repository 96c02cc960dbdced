"""Verdicts, one row a case: an evaluation, what it leads to, and what is said of it."""

from typing import Any

import pytest

from perennial.api.retrain_policy import Promotion
from perennial.domain.verdict import decide_verdict
from perennial_contract.report import Evaluation, Feature, ModelScore
from perennial_contract.samples import Decision, SampleContract
from perennial_contract.task import Metric

FEATURES = (Feature(name="ret_1"), Feature(name="vol_24", dtype="float32"))
DIRECTION, SELECTION = Decision(), Decision(rule="Selection", threshold=0.6)


def score(version: str, **changes: Any) -> ModelScore:
    given = {
        "version": version,
        "acted": 2000,
        "wins": 1040,
        "win_rate": 0.52,
        "brier": 0.249,
        "mean_score": 0.5,
        "score_spread": 0.05,
        "long_share": 0.55,
        "finite": True,
    }
    return ModelScore(**(given | changes))


def evaluation(challenger: dict[str, Any] | None = None, **changes: Any) -> Evaluation:
    """A champion beaten by 8 %, with all the evidence that a Deploy needs."""
    given = {
        "challenger": score("m-v2", **(challenger or {})),
        "champion": score("m-v1", win_rate=0.48, wins=960),
        "lift": 0.08,
        "lower_bound": 0.02,
        "probability_better": 0.99,
        "brier_difference": -0.001,
        "outcomes": 2000,
        "effective_outcomes": 900.0,
        "blocks": 60,
        "block_length": 34,
    }
    return Evaluation(**(given | changes))


def alone(challenger: dict[str, Any] | None = None) -> Evaluation:
    nothing = ("champion", "lift", "lower_bound", "probability_better", "brier_difference")
    return evaluation(challenger, **dict.fromkeys(nothing))


def idle_champion(challenger: dict[str, Any]) -> Evaluation:
    nothing = dict.fromkeys(("lift", "lower_bound", "probability_better"))
    return evaluation(challenger, champion=score("m-v1", acted=0, wins=0, win_rate=None), **nothing)


CASES = [
    ("better by 8 %, certain: deploy", evaluation(), {}, "Deploy", "BetterByMoreThanDeployThreshold", "lift +8.0%"),
    (
        "better by 8 %, the lower bound is not above 0: canary",
        evaluation(lower_bound=0.0),
        {},
        "Canary",
        "BetterButUncertain",
        "the lower bound is not above 0",
    ),
    (
        "better by 8 %, without a lower bound: canary",
        evaluation(lower_bound=None),
        {},
        "Canary",
        "BetterButUncertain",
        "there is no lower bound (too few blocks, no fresh rows, or a model brought without its report)",
    ),
    (
        "better by 8 % on too few effective outcomes: canary",
        evaluation(effective_outcomes=120.4),
        {},
        "Canary",
        "BetterButUncertain",
        "120 of 500 effective outcomes",
    ),
    (
        "better by 8 % with a worse Brier score: canary",
        evaluation(brier_difference=0.002),
        {},
        "Canary",
        "BetterButUncertain",
        "the Brier score is worse",
    ),
    (
        "better by 8 %, probability low: canary all the same",
        evaluation(probability_better=0.7, lower_bound=-0.1),
        {},
        "Canary",
        "BetterButUncertain",
        "P(better) 70%",
    ),
    (
        "better by exactly deployAbove is not more than it: canary",
        evaluation(lift=0.05),
        {},
        "Canary",
        "BetterByMoreThanCanaryThreshold",
        "from canaryAbove 0.02 to deployAbove 0.05",
    ),
    (
        "better by 3 %, probably: canary",
        evaluation(lift=0.03, probability_better=0.93),
        {},
        "Canary",
        "BetterByMoreThanCanaryThreshold",
        "lift +3.0%",
    ),
    (
        "better by exactly canaryAbove, at exactly 90 %: canary",
        evaluation(lift=0.02, probability_better=0.9),
        {},
        "Canary",
        "BetterByMoreThanCanaryThreshold",
        "P(better) 90%",
    ),
    (
        "better by 3 %, hardly probable: keep",
        evaluation(lift=0.03, probability_better=0.89),
        {},
        "Keep",
        "NotBetterEnough",
        "P(better) is under 90%",
    ),
    (
        "better by 3 %, probability unknown: keep",
        evaluation(lift=0.03, probability_better=None),
        {},
        "Keep",
        "NotBetterEnough",
        "P(better) unknown",
    ),
    ("better by 1 %: keep", evaluation(lift=0.01), {}, "Keep", "NotBetterEnough", "under canaryAbove 0.02"),
    ("worse: keep", evaluation(lift=-0.04), {}, "Keep", "NotBetterEnough", "lift -4.0%"),
    (
        "other thresholds: deploy",
        evaluation(lift=0.02),
        {"promotion": Promotion(deploy_above=0.01, canary_above=0.0)},
        "Deploy",
        "BetterByMoreThanDeployThreshold",
        "over deployAbove 0.01",
    ),
    (
        "outcomes of actions alone, of which no bound is made, end at a canary",
        evaluation(lower_bound=None),
        {"contract": SampleContract(label_delay="5h", outcomes="Acted")},
        "Canary",
        "BetterButUnpaired",
        "actions alone",
    ),
    (
        "no champion: the gates alone decide",
        alone(),
        {"has_champion": False},
        "Deploy",
        "NoChampion",
        "nothing serves yet",
    ),
    (
        "no champion, a gate is closed: keep",
        alone({"win_rate": 0.49}),
        {"has_champion": False},
        "Keep",
        "WinRateBelowMinimum",
        "win rate 49.0% on 2000 holdout rows, the minimum is 50.0%",
    ),
    (
        "no champion: the metric of a comparison does not matter",
        alone(),
        {"has_champion": False, "promotion": Promotion(metric=Metric(type="Composite"))},
        "Deploy",
        "NoChampion",
        "passes every gate",
    ),
    (
        "a champion that cannot score is replaced by a canary alone",
        alone(),
        {},
        "Canary",
        "ChampionNotScored",
        "the champion cannot score the 2000 holdout rows, on which the challenger has a win rate of 52.0%",
    ),
    (
        "a champion whose scores are no numbers is no yardstick",
        evaluation(champion=score("m-v1", finite=False)),
        {},
        "Keep",
        "ChampionNotScored",
        "no scores",
    ),
    (
        "a champion that never acts has no win rate to beat: canary",
        idle_champion({"acted": 300, "wins": 159, "win_rate": 0.53}),
        {"decision": SELECTION},
        "Canary",
        "ChampionNeverActs",
        "the champion acted on none of 2000 holdout rows, the challenger on 300 with win rate 53.0%",
    ),
    (
        "a champion that never acts is better than a challenger below the gates",
        idle_champion({"win_rate": 0.49}),
        {"decision": SELECTION},
        "Keep",
        "WinRateBelowMinimum",
        "win rate 49.0%",
    ),
    (
        "Composite is not implemented",
        evaluation(),
        {"promotion": Promotion(metric=Metric(type="Composite"))},
        "Keep",
        "MetricNotImplemented",
        "use WinRate or AverageReward",
    ),
    ("scores that are no numbers", evaluation({"finite": False}), {}, "Keep", "ScoresNotFinite", "no number in 0..1"),
    (
        "scores that are all the same",
        evaluation({"score_spread": 0.0004}),
        {},
        "Keep",
        "ScoresCollapsed",
        "standard deviation is 0.0004",
    ),
    ("long 96 times of 100", evaluation({"long_share": 0.96}), {}, "Keep", "OneSided", "long in 96.0%"),
    ("short 96 times of 100", evaluation({"long_share": 0.04}), {}, "Keep", "OneSided", "long in 4.0%"),
    (
        "a selection may be one-sided",
        evaluation({"long_share": 0.04}),
        {"decision": SELECTION},
        "Deploy",
        "BetterByMoreThanDeployThreshold",
        "lift",
    ),
    (
        "a selection that acted 49 times",
        evaluation({"acted": 49}),
        {"decision": SELECTION},
        "Keep",
        "TooFewActions",
        "acted on 49 of 2000 holdout rows, 50 are needed",
    ),
    (
        "a selection that acted on less than 1 %",
        evaluation({"acted": 190}, outcomes=20_000),
        {"decision": SELECTION},
        "Keep",
        "TooFewActions",
        "200 are needed",
    ),
    (
        "a direction without a single counted row",
        evaluation({"acted": 0, "win_rate": None}),
        {},
        "Keep",
        "TooFewActions",
        "acted on 0",
    ),
    (
        "a win rate that is unknown",
        evaluation({"win_rate": None}),
        {},
        "Keep",
        "WinRateBelowMinimum",
        "win rate unknown",
    ),
    (
        "a win rate at the minimum is enough",
        evaluation({"win_rate": 0.5}),
        {},
        "Deploy",
        "BetterByMoreThanDeployThreshold",
        "",
    ),
    (
        "a feature of the contract is missing",
        evaluation(),
        {"contract": SampleContract(label_delay="5h", features=("ret_1", "vol_24", "volume"))},
        "Keep",
        "FeaturesChanged",
        "missing ['volume'], added []",
    ),
    (
        "features in another order than the contract's",
        evaluation(),
        {"contract": SampleContract(label_delay="5h", features=("vol_24", "ret_1"))},
        "Keep",
        "FeaturesChanged",
        "in another order",
    ),
    (
        "features that the contract names may differ from the champion's",
        evaluation(),
        {
            "contract": SampleContract(label_delay="5h", features=("ret_1", "vol_24")),
            "champion_features": (FEATURES[0],),
        },
        "Deploy",
        "BetterByMoreThanDeployThreshold",
        "",
    ),
    (
        "a column turned up that no contract names",
        evaluation(),
        {"champion_features": (FEATURES[0],)},
        "Keep",
        "FeaturesChanged",
        "missing [], added ['vol_24']",
    ),
    (
        "a column changed its type",
        evaluation(),
        {"champion_features": (FEATURES[0], Feature(name="vol_24", dtype="int64"))},
        "Keep",
        "FeaturesChanged",
        "feature vol_24 is float32 and was int64",
    ),
    (
        "features as the champion had them",
        evaluation(),
        {"champion_features": FEATURES},
        "Deploy",
        "BetterByMoreThanDeployThreshold",
        "",
    ),
]


@pytest.mark.parametrize(
    ("seen", "world", "decision", "reason", "message"),
    [pytest.param(*case[1:], id=case[0]) for case in CASES],
)
def test_verdict(seen: Evaluation, world: dict[str, Any], decision: str, reason: str, message: str) -> None:
    ruling = decide_verdict(
        world.get("promotion", Promotion()),
        world.get("decision", DIRECTION),
        0.5,
        world.get("contract", SampleContract(label_delay="5h")),
        seen,
        FEATURES,
        world.get("champion_features"),
        has_champion=world.get("has_champion", True),
    )
    assert (ruling.decision, ruling.reason) == (decision, reason)
    assert message in ruling.message
    assert "\n" not in ruling.message
