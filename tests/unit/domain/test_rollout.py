"""How traffic moves: each case is a state, a world, and what must become of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import (
    CanaryStatus,
    Evidence,
    IncomingStatus,
    ModelDeploymentStatus,
    PreviousStatus,
)
from perennial.api.model_version import Phase
from perennial.api.shared import TrackStatus
from perennial.domain.canary import CanaryLook
from perennial.domain.rollout import PROGRESS_DEADLINE, RolloutDecision, decide_rollout
from perennial.domain.rollout_draft import VersionView, World
from perennial.domain.traffic import PodsView, canary_replicas, decide_peer, decide_replicas

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=2)
URL = {"name": "store", "key": "url"}


def spec(**changes: object) -> ModelDeploymentSpec:
    """A model whose labels take an hour, with two pods."""
    return ModelDeploymentSpec.model_validate(
        {
            "algorithm": {"name": "xgboost"},
            "samples": {"readUrlFrom": URL, "writeUrlFrom": URL, "labelDelay": "1h"},
            "server": {"replicas": 2},
            **changes,
        }
    )


def version(revision: int, **changes: object) -> VersionView:
    """A trained version, archived unless said otherwise."""
    view = VersionView(
        name=f"m-v{revision}", uid=f"u{revision}", revision=revision, phase="Archived", decision="Deploy", lift=0.1
    )
    return replace(view, **changes)


def evaluated(revision: int, **changes: object) -> VersionView:
    """A version with a verdict, compared with version 1."""
    return version(revision, **{"phase": "Evaluated", "champion_uid": "u1", **changes})


STABLE = TrackStatus(version="m-v1", uid="u1", weight=1.0, ready_replicas=2)
SERVING = ModelDeploymentStatus(stable=STABLE)
CANARY = CanaryStatus(version="m-v2", uid="u2", weight=0.1, started_at=LONG_AGO, step_started_at=LONG_AGO, cause="c")
IN_CANARY = ModelDeploymentStatus(stable=STABLE, canary=CANARY)
V1 = version(1, phase="Live")
V2_CANARY = version(2, phase="Canary", decision="Canary", lift=0.03, champion_uid="u1")
READY = {"m-v1": PodsView(ready_live=2), "m-v2": PodsView(ready_live=2, ready_shadow=1)}
WORLD = World(now=NOW, cause="c", versions=(V1,), pods=READY)
CANARY_WORLD = replace(WORLD, versions=(V1, V2_CANARY))


EVIDENCE = {"Undecided": {}, "Pass": {"e_value": 25.0}, "Fail": {"harm": 25.0}}


def look(verdict: str = "Undecided", *, resolved: int = 100, coverage: float | None = 1.0) -> CanaryLook:
    """A look into the store during a canary: 1 / (1 - 0.95) = 20 is what evidence has to reach."""
    return CanaryLook(Evidence(pairs=900, effective_pairs=400, coverage=coverage, **EVIDENCE[verdict]), resolved)


def ends(decision: RolloutDecision) -> list[tuple[str, str, str]]:
    """(version, phase, reason) of the rollouts that ended."""
    return [(o.version, o.phase, o.reason) for o in decision.status.outcomes]


def test_first_version_is_brought_in_and_serves_once_its_pods_are_ready() -> None:
    world = replace(WORLD, versions=(evaluated(1, champion_uid=None),), pods={})
    starting = decide_rollout(spec(), ModelDeploymentStatus(), world)
    assert starting.status.incoming is not None
    assert starting.status.stable is None
    ready = replace(world, pods={"m-v1": PodsView(ready_live=2)})
    serving = decide_rollout(spec(), starting.status, ready)
    assert serving.status.stable is not None
    assert serving.status.stable.version == "m-v1"
    assert serving.status.incoming is None


def test_deploy_makes_before_it_breaks() -> None:
    world = replace(WORLD, versions=(V1, evaluated(2)), pods={"m-v1": PodsView(2), "m-v2": PodsView(1)})
    half = decide_rollout(spec(), SERVING, world).status
    half = decide_rollout(spec(), half, world).status
    assert half.stable is not None
    assert half.stable.version == "m-v1"
    assert decide_replicas(2, half, world.pods, NOW) == {("m-v1", "live"): 2, ("m-v2", "live"): 2}
    done = decide_rollout(spec(), half, replace(world, pods=READY))
    assert done.status.stable is not None
    assert done.status.stable.version == "m-v2"
    assert ends(done) == [("m-v1", "Archived", "Replaced")]
    assert done.status.previous is not None
    assert decide_replicas(2, done.status, READY, NOW) == {("m-v2", "live"): 2, ("m-v1", "shadow"): 1}


def test_the_previous_version_cools_down_after_its_window() -> None:
    previous = PreviousStatus(version="m-v1", uid="u1", replaced_at=LONG_AGO, warm_until=NOW)
    status = ModelDeploymentStatus(stable=TrackStatus(version="m-v2", uid="u2", weight=1), previous=previous)
    assert decide_replicas(2, status, READY, NOW) == {("m-v2", "live"): 2}
    assert decide_peer(status, NOW) is None
    assert decide_peer(status, NOW - timedelta(seconds=1)) == "m-v1"


def test_a_verdict_canary_starts_at_the_first_step_beside_an_untouched_stable() -> None:
    decision = decide_rollout(spec(), SERVING, replace(WORLD, versions=(V1, evaluated(2, decision="Canary"))))
    assert decision.status.canary is not None
    assert decision.status.canary.weight == pytest.approx(0.1)
    assert decision.status.stable is not None
    assert decision.status.stable.weight == pytest.approx(0.9)
    assert [t.reason for t in decision.transitions] == ["CanaryStarted"]


ENDING = [
    ("pods that crash", {"pods": {"m-v2": PodsView(broken="fails")}}, ("Rejected", "PodsFailing")),
    ("pods that never come", {"pods": {}}, ("Rejected", "PodsNotReady")),
    ("a change of the declared fields", {"cause": "other"}, ("Superseded", "SpecChanged")),
    ("shown harm", {"look": look("Fail")}, ("Rejected", "CanaryWorse")),
    ("an abort by hand", {"versions": (V1, replace(V2_CANARY, asked="abort"))}, ("Rejected", "AbortedByHand")),
    ("a deleted version", {"versions": (V1,)}, ("Superseded", "VersionDeleted")),
    (
        "a better challenger of high priority",
        {"versions": (V1, V2_CANARY, evaluated(3, priority="High", lift=0.2))},
        ("Superseded", "BetterChallenger"),
    ),
    ("deletion of the model", {"deleting": True}, ("Superseded", "Deleted")),
]


@pytest.mark.parametrize(("because", "changes", "end"), ENDING, ids=[case[0] for case in ENDING])
def test_a_canary_ends_and_stable_keeps_all_traffic(
    because: str, changes: dict[str, object], end: tuple[str, str]
) -> None:
    decision = decide_rollout(spec(), IN_CANARY, replace(CANARY_WORLD, **changes))
    assert decision.status.canary is None, because
    assert ends(decision) == [("m-v2", *end)]
    assert decision.status.stable is not None
    assert (decision.status.stable.version, decision.status.stable.weight) == ("m-v1", 1.0)


HOLDING = [
    ("the store does not answer", {"look": None}),
    ("no outcome of this step has come in", {"look": look("Pass", resolved=0)}),
    ("pairs are missing", {"look": look("Pass", coverage=0.9)}),
    ("nothing is covered yet", {"look": look("Pass", coverage=None)}),
]


@pytest.mark.parametrize(("because", "changes"), HOLDING, ids=[case[0] for case in HOLDING])
def test_a_step_holds_while(because: str, changes: dict[str, object]) -> None:
    decision = decide_rollout(spec(), IN_CANARY, replace(CANARY_WORLD, **changes))
    assert decision.status.canary is not None, because
    assert (decision.status.canary.step, decision.status.canary.weight) == (0, 0.1)


def test_weights_climb_step_by_step_and_only_a_pass_at_the_last_step_promotes() -> None:
    state, seen = IN_CANARY, []
    for hours in range(4):
        now = NOW + timedelta(hours=2 * hours)
        decision = decide_rollout(spec(), state, replace(CANARY_WORLD, now=now, look=look()))
        state = decision.status
        assert state.canary is not None
        seen.append(state.canary.weight)
    assert seen == [0.25, 0.5, 0.5, 0.5]
    promoted = decide_rollout(spec(), state, replace(CANARY_WORLD, now=NOW + timedelta(hours=9), look=look("Pass")))
    assert promoted.status.incoming is not None
    assert promoted.status.incoming.reason == "Promote"
    assert promoted.status.canary is None


def test_an_early_pass_still_climbs_the_steps() -> None:
    decision = decide_rollout(spec(), IN_CANARY, replace(CANARY_WORLD, look=look("Pass")))
    assert decision.status.incoming is None
    assert decision.status.canary is not None
    assert decision.status.canary.step == 1


@pytest.mark.parametrize(("wish", "ended"), [("Keep", True), ("Pause", False)])
@pytest.mark.parametrize(("step", "weight"), [(2, 0.5), (1, 0.25)])
def test_an_inconclusive_canary_is_kept_out_or_waits_for_a_person(
    step: int, weight: float, wish: str, ended: bool
) -> None:
    """At whatever step: what has shown nothing in all that time gets no more traffic."""
    last = CANARY.model_copy(update={"step": step, "weight": weight, "started_at": NOW - timedelta(days=61)})
    world = replace(CANARY_WORLD, look=look())
    decision = decide_rollout(spec(canary={"onInconclusive": wish}), SERVING.model_copy(update={"canary": last}), world)
    assert (decision.status.canary is None) is ended
    if decision.status.canary:
        assert decision.status.canary.state == "Inconclusive"
        assert (decision.status.canary.step, decision.status.canary.weight) == (step, weight)
    else:
        assert ends(decision) == [("m-v2", "Rejected", "Inconclusive")]


def test_a_pin_aborts_the_canary_blocks_new_ones_and_brings_the_old_version_back() -> None:
    world = replace(CANARY_WORLD, versions=(V1, V2_CANARY, version(3, phase="Archived"), evaluated(4)), look=look())
    pinned = decide_rollout(spec(version="m-v3"), IN_CANARY, world)
    assert ends(pinned) == [("m-v2", "Superseded", "Pinned")]
    assert pinned.status.incoming is not None
    assert pinned.status.incoming.version == "m-v3"
    serving = decide_rollout(spec(version="m-v3"), pinned.status, replace(world, pods={"m-v3": PodsView(2)}))
    assert serving.status.stable is not None
    assert serving.status.stable.version == "m-v3"
    held = decide_rollout(spec(version="m-v3"), serving.status, replace(world, pods={"m-v3": PodsView(2)}))
    assert held.status == serving.status
    assert held.transitions == ()


@pytest.mark.parametrize("target", [None, version(9, servable=False, phase="Failed")])
def test_a_pin_on_what_cannot_serve_is_named_while_the_old_version_serves_on(target: VersionView | None) -> None:
    world = replace(WORLD, versions=(V1, target) if target else (V1,))
    decision = decide_rollout(spec(version="m-v9"), SERVING, world)
    assert decision.pin_problem is not None
    assert "spec.version: m-v9" in decision.pin_problem
    assert decision.status.stable == STABLE


def test_unpinning_changes_nothing_by_itself() -> None:
    status = ModelDeploymentStatus(stable=TrackStatus(version="m-v1", uid="u1", weight=1.0, ready_replicas=2))
    newer = version(2, phase="Archived")
    assert decide_rollout(spec(), status, replace(WORLD, versions=(V1, newer))).status == status


def test_a_canary_that_was_pinned_and_let_go_before_it_served_is_over() -> None:
    world = replace(CANARY_WORLD, pods={"m-v1": PodsView(2)})
    pinned = decide_rollout(spec(version="m-v2"), IN_CANARY, world).status
    assert pinned.incoming is not None
    freed = decide_rollout(spec(), pinned, world)
    assert freed.status.incoming is None
    assert ends(freed) == [("m-v2", "Superseded", "Unpinned")]


@pytest.mark.parametrize("phase", ["Archived", "Evaluated"])
def test_an_old_version_that_was_pinned_and_let_go_is_what_it_was(phase: Phase) -> None:
    world = replace(WORLD, versions=(V1, version(3, phase=phase, approved=False)))
    pinned = decide_rollout(spec(version="m-v3"), SERVING, world).status
    freed = decide_rollout(spec(), pinned, world)
    assert freed.status == SERVING


INCOMING = IncomingStatus(version="m-v2", uid="u2", reason="Deploy", since=NOW)


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        pytest.param(SERVING, "Evaluated", id="it waits for its turn"),
        pytest.param(SERVING.model_copy(update={"incoming": INCOMING}), "Evaluated", id="its pods are ready to serve"),
        pytest.param(IN_CANARY, "Canary", id="it is in its canary"),
    ],
)
@pytest.mark.parametrize("paused", [False, True])
def test_what_is_aborted_by_hand_neither_comes_nor_stays(
    status: ModelDeploymentStatus, phase: Phase, paused: bool
) -> None:
    world = replace(WORLD, versions=(V1, evaluated(2, phase=phase, asked="abort")))
    decision = decide_rollout(spec(paused=paused), status, world)
    assert ends(decision) == [("m-v2", "Rejected", "AbortedByHand")]
    assert (decision.status.stable, decision.status.incoming, decision.status.canary) == (STABLE, None, None)
    assert decide_rollout(spec(paused=paused), decision.status, world).status == decision.status


def test_an_abort_that_comes_too_late_changes_nothing() -> None:
    world = replace(WORLD, versions=(version(1, phase="Evaluated", asked="abort"),))
    assert decide_rollout(spec(), SERVING, world).status == SERVING


def test_pause_holds_weights_and_starts_nothing_but_the_structural_guard_still_acts() -> None:
    paused = spec(paused=True)
    assert decide_rollout(paused, IN_CANARY, replace(CANARY_WORLD, look=look("Pass"))).status.canary is not None
    assert decide_rollout(paused, SERVING, replace(WORLD, versions=(V1, evaluated(2)))).status == SERVING
    broken = replace(CANARY_WORLD, pods={"m-v1": PodsView(2), "m-v2": PodsView(broken="fails")})
    assert decide_rollout(paused, IN_CANARY, broken).status.canary is None


@pytest.mark.parametrize("pin", [{}, {"version": "m-v99"}], ids=["no pin", "a mistyped pin"])
def test_a_pause_promotes_nothing_that_is_on_its_way(pin: dict[str, str]) -> None:
    status, world = SERVING.model_copy(update={"incoming": INCOMING}), replace(WORLD, versions=(V1, evaluated(2)))
    held = decide_rollout(spec(paused=True, **pin), status, world).status
    assert held.stable == STABLE
    assert held.incoming is not None
    assert held.incoming.ready_replicas == 2
    freed = decide_rollout(spec(), held, world).status
    assert freed.stable is not None
    assert freed.stable.version == "m-v2"


@pytest.mark.parametrize(("ready", "ended"), [(1, []), (0, [("m-v2", "Rejected", "PodsNotReady")])])
def test_what_a_pause_holds_may_lose_a_pod_but_not_all(ready: int, ended: list[tuple[str, str, str]]) -> None:
    incoming = INCOMING.model_copy(update={"since": LONG_AGO})
    world = replace(WORLD, versions=(V1, evaluated(2)), pods={"m-v1": PodsView(2), "m-v2": PodsView(ready)})
    decision = decide_rollout(spec(paused=True), SERVING.model_copy(update={"incoming": incoming}), world)
    assert ends(decision) == ended


def test_a_pin_is_stronger_than_a_pause() -> None:
    world = replace(WORLD, versions=(V1, version(2)))
    status = decide_rollout(spec(paused=True, version="m-v2"), SERVING, world).status
    assert status.stable is not None
    assert status.stable.version == "m-v2"


def test_a_challenger_of_another_champion_is_superseded() -> None:
    stale = evaluated(3, champion_uid="u0")
    decision = decide_rollout(spec(), SERVING, replace(WORLD, versions=(V1, stale)))
    assert ends(decision) == [("m-v3", "Superseded", "ChampionChanged")]
    assert decision.status.incoming is None


def test_a_newer_version_waits_for_the_canary() -> None:
    world = replace(CANARY_WORLD, versions=(V1, V2_CANARY, evaluated(3, priority="Low", lift=0.5)), look=look())
    decision = decide_rollout(spec(), IN_CANARY, world)
    assert decision.status.canary is not None
    assert decision.status.canary.version == "m-v2"
    assert decision.status.incoming is None


def test_an_unapproved_version_waits() -> None:
    decision = decide_rollout(spec(), SERVING, replace(WORLD, versions=(V1, evaluated(2, approved=False))))
    assert decision.status == SERVING


@pytest.mark.parametrize("pods", [PodsView(broken="fails"), PodsView()])
def test_an_incoming_version_that_does_not_come_up_leaves_the_old_one(pods: PodsView) -> None:
    since = NOW - PROGRESS_DEADLINE - timedelta(seconds=1)
    incoming = IncomingStatus(version="m-v2", uid="u2", reason="Deploy", since=since)
    status = SERVING.model_copy(update={"incoming": incoming})
    decision = decide_rollout(spec(), status, replace(WORLD, versions=(V1, evaluated(2)), pods={"m-v2": pods}))
    assert decision.status.incoming is None
    assert decision.status.stable is not None
    assert decision.status.stable.version == "m-v1"
    assert ends(decision)[0][:2] == ("m-v2", "Rejected")


@pytest.mark.parametrize(
    ("status", "world"),
    [
        (SERVING, WORLD),
        (SERVING, replace(WORLD, versions=(V1, evaluated(2)))),
        (SERVING, replace(WORLD, versions=(V1, evaluated(2, decision="Canary")), look=look())),
        (IN_CANARY, replace(CANARY_WORLD, look=look("Fail"))),
        (IN_CANARY, replace(CANARY_WORLD, look=None)),
    ],
)
def test_a_rollout_comes_to_rest(status: ModelDeploymentStatus, world: World) -> None:
    """Decided again and again in a world that does not move, it ends in one state and tells of nothing more."""
    for _ in range(6):
        before = status
        decision = decide_rollout(spec(), status, world)
        status = decision.status
    assert status == before
    assert decision.transitions == ()


@pytest.mark.parametrize("stable", range(1, 30))
@pytest.mark.parametrize("weight", [0.01, 0.1, 0.25, 0.5, 0.9])
def test_traffic_never_exceeds_the_weight(stable: int, weight: float) -> None:
    canary = canary_replicas(stable, weight)
    assert canary / (canary + stable) <= weight + 1e-9


def test_a_weight_too_small_for_a_pod_is_made_in_the_shadow() -> None:
    assert decide_replicas(2, IN_CANARY, READY, NOW) == {("m-v1", "live"): 2, ("m-v2", "shadow"): 1}
    half = IN_CANARY.model_copy(update={"canary": CANARY.model_copy(update={"weight": 0.5})})
    assert decide_replicas(2, half, READY, NOW) == {("m-v1", "live"): 2, ("m-v2", "live"): 2}
    starting = {"m-v2": PodsView(ready_shadow=1)}
    assert decide_replicas(2, half, starting, NOW)["m-v2", "shadow"] == 1


def test_fewer_replicas_move_a_canary_into_the_shadow_before_its_live_pods_go() -> None:
    quarter = IN_CANARY.model_copy(update={"canary": CANARY.model_copy(update={"weight": 0.25})})
    pods = {"m-v1": PodsView(9), "m-v2": PodsView(ready_live=3)}
    assert decide_replicas(9, quarter, pods, NOW) == {("m-v1", "live"): 9, ("m-v2", "live"): 3}
    both = {("m-v1", "live"): 3, ("m-v2", "live"): 1, ("m-v2", "shadow"): 1}
    assert decide_replicas(2, quarter, pods, NOW) == both
    pods = {"m-v1": PodsView(3), "m-v2": PodsView(ready_live=1)}
    assert decide_replicas(2, quarter, pods, NOW) == both
    pods = {"m-v1": PodsView(3), "m-v2": PodsView(ready_live=1, ready_shadow=1)}
    assert decide_replicas(2, quarter, pods, NOW) == {("m-v1", "live"): 2, ("m-v2", "shadow"): 1}


def test_live_pods_that_are_too_many_beside_the_stable_ones_go_at_once() -> None:
    pods = {"m-v1": PodsView(2), "m-v2": PodsView(ready_live=1)}
    assert decide_replicas(2, IN_CANARY, pods, NOW) == {("m-v1", "live"): 2, ("m-v2", "shadow"): 1}


@pytest.mark.parametrize(
    ("replicas", "weight", "pods", "scoring", "wanted"),
    [
        (2, 0.1, PodsView(ready_shadow=1), 3, {"shadow": 3}),
        (2, 0.5, PodsView(ready_live=2), 2, {"live": 2}),
        (2, 0.5, PodsView(ready_live=2), 3, {"live": 2, "shadow": 1}),
        (2, 0.5, PodsView(ready_shadow=3), 3, {"live": 2, "shadow": 3}),
        (2, 0.5, PodsView(ready_live=1, ready_shadow=3), 3, {"live": 2, "shadow": 2}),
        (2, 0.5, PodsView(ready_live=1), 1, {"live": 2}),
        (9, 0.25, PodsView(ready_live=3), 5, {"live": 3, "shadow": 2}),
        (9, 0.25, PodsView(ready_live=3), 1, {"live": 3}),
    ],
    ids=[
        "in the shadow alone",
        "as many live ones as wanted",
        "the step is worth less",
        "no live one is ready yet",
        "one live one is ready",
        "one live one is ready, and one is enough",
        "beside many",
        "as before",
    ],
)
def test_pods_of_a_canary_beyond_its_weight_score_in_the_shadow(
    replicas: int, weight: float, pods: PodsView, scoring: int, wanted: dict[str, int]
) -> None:
    state = IN_CANARY.model_copy(update={"canary": CANARY.model_copy(update={"weight": weight})})
    found = decide_replicas(replicas, state, {"m-v1": PodsView(replicas), "m-v2": pods}, NOW, scoring=scoring)
    assert {track: count for (name, track), count in found.items() if name == "m-v2"} == wanted
    assert found["m-v1", "live"] == replicas


def test_only_a_canary_gets_more_pods_to_score_with() -> None:
    previous = PreviousStatus(version="m-v0", uid="u0", replaced_at=LONG_AGO, warm_until=NOW + timedelta(days=1))
    incoming = IncomingStatus(version="m-v2", uid="u2", reason="Promote", since=NOW)
    status = SERVING.model_copy(update={"previous": previous, "incoming": incoming})
    assert decide_replicas(2, status, READY, NOW, scoring=5) == {
        ("m-v0", "shadow"): 1,
        ("m-v1", "live"): 2,
        ("m-v2", "live"): 2,
    }


@pytest.mark.parametrize("weight", [0.01, 0.1, 0.25, 0.5, 0.9])
def test_traffic_never_exceeds_the_weight_when_replicas_are_lowered(weight: float) -> None:
    state = IN_CANARY.model_copy(update={"canary": CANARY.model_copy(update={"weight": weight})})
    for stable in range(1, 120):
        pods = {"m-v1": PodsView(stable), "m-v2": PodsView(ready_live=canary_replicas(stable, weight))}
        wanted = decide_replicas(1, state, pods, NOW)
        canary = wanted.get(("m-v2", "live"), 0)
        assert canary / (canary + wanted["m-v1", "live"]) <= weight + 1e-9
        assert wanted["m-v1", "live"] <= stable
        assert canary > 0 or not pods["m-v2"].ready_live


def test_a_first_version_that_does_not_come_up_is_kept_until_there_is_another() -> None:
    incoming = IncomingStatus(version="m-v1", uid="u1", reason="Deploy", since=LONG_AGO)
    status = ModelDeploymentStatus(incoming=incoming)
    world = replace(WORLD, versions=(evaluated(1, champion_uid=None),), pods={"m-v1": PodsView(broken="fails")})
    assert decide_rollout(spec(), status, world).status.incoming == incoming
    other = replace(world, versions=(*world.versions, evaluated(2, champion_uid=None)))
    assert ends(decide_rollout(spec(), status, other)) == [("m-v1", "Rejected", "PodsFailing")]


def test_an_incoming_version_with_some_pods_missing_does_not_share_traffic_for_ever() -> None:
    incoming = IncomingStatus(version="m-v2", uid="u2", reason="Deploy", since=LONG_AGO)
    world = replace(WORLD, versions=(V1, evaluated(2)), pods={"m-v1": PodsView(2), "m-v2": PodsView(1)})
    decision = decide_rollout(spec(), SERVING.model_copy(update={"incoming": incoming}), world)
    assert ends(decision) == [("m-v2", "Rejected", "PodsNotReady")]


def test_a_mistyped_pin_does_not_shield_a_failing_canary() -> None:
    broken = replace(CANARY_WORLD, pods={"m-v1": PodsView(2), "m-v2": PodsView(broken="fails")})
    decision = decide_rollout(spec(version="m-v99"), IN_CANARY, broken)
    assert decision.pin_problem is not None
    assert ends(decision) == [("m-v2", "Rejected", "PodsFailing")]


def test_a_pinned_version_whose_pods_fail_is_named() -> None:
    world = replace(WORLD, versions=(V1, version(3)), pods={"m-v1": PodsView(2), "m-v3": PodsView(broken="fails")})
    decision = decide_rollout(spec(version="m-v3"), SERVING, world)
    assert decision.pin_problem == "spec.version: m-v3: a pod fails: the old version serves on"


def test_a_version_made_again_under_the_canarys_name_is_not_the_canary() -> None:
    again = replace(V2_CANARY, uid="u99")
    decision = decide_rollout(spec(), IN_CANARY, replace(CANARY_WORLD, versions=(V1, again)))
    assert ends(decision) == [("m-v2", "Superseded", "VersionDeleted")]
