"""A promotion that was no mistake is seldom taken back."""

from functools import partial

import numpy as np
from tests.simulate.canary import contract_of, evidence_at, wealth
from tests.simulate.promise import Aim, Case, Promise, Share
from tests.simulate.streams import Rivalry

from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.domain.canary_evidence import threshold_of
from perennial.domain.probation import decide_rollback

_URL = {"name": "s", "key": "url"}
_SPEC = {
    "algorithm": {"name": "xgboost"},
    "samples": {"readUrlFrom": _URL, "writeUrlFrom": _URL, "labelDelay": "5h"},
    "rollback": {"minPairs": 1},
}


def taken_back(rivalry: Rivalry, hours: int, *, runs: int, seed: int) -> Share:
    """How many promotions are taken back when the evidence is looked at after every block.

    Args:
        rivalry: the stable version as the champion, the one before it as the challenger.
    """
    spec, contract = ModelDeploymentSpec.model_validate(_SPEC), contract_of(rivalry.overlap)
    differences = rivalry.play(np.random.default_rng(seed), hours, streams=runs).differences()
    blocks, paths = wealth(differences, contract)
    shown = paths[..., 0] >= threshold_of(spec.canary)
    back = 0
    for one, row in enumerate(differences):
        looks = blocks[shown[:, one]].tolist()
        back += any(decide_rollback(spec, evidence_at(row, block, contract)) for block in looks)
    return Share(back, runs)


_HOURS = 24 * 30
_SELDOM = Aim("at most", 0.05)


def _cases() -> list[Case]:
    harmless = [
        Case(
            f"{name} successor, outcomes over {overlap}",
            partial(taken_back, Rivalry(overlap, rate, 0.55), _HOURS),
            runs,
            _SELDOM,
            batch=500,
            figure="evidence.rollback.wrongful",
        )
        for name, rate, runs in (("equal", 0.55, 4000), ("better (57 %)", 0.57, 1000))
        for overlap in (1, 5, 24)
    ]
    worse = partial(taken_back, Rivalry(5, 0.45, 0.55), _HOURS)
    return [*harmless, Case("much worse (45 %) successor, outcomes over 5", worse, 500)]


PROMISES = (
    Promise(
        "rollback",
        "A promotion that was no mistake is taken back in at most 5 % of cases",
        "While the version before scores beside its successor, a successor that is as good, or better, is taken back "
        "with probability 0.05 at most.",
        "As for the canary, with the sides exchanged: `decide_rollback` with `minPairs: 1` at every look of 30 days, "
        "ten times the default window.",
        tuple(_cases()),
    ),
)
