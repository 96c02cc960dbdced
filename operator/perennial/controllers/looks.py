"""What a ModelDeployment's monitors see in the sample store, and what is known when it does not answer."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.adapters.cluster import RETRAIN_POLICY
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_deployment_status import CanaryStatus, Evidence, HealthStatus
from perennial.controllers.context import Context, Kept
from perennial.controllers.governance import governing_policy
from perennial.controllers.objects import Model, Version, parse_policy
from perennial.controllers.profiles import observe_profile
from perennial.domain.blocks import health_block_seconds, pair_block_seconds
from perennial.domain.canary import CanaryLook
from perennial.domain.canary_evidence import decide_evidence
from perennial.domain.cusum import cusum_start, kept_cursor
from perennial.domain.early_estimate import estimate_early
from perennial.domain.evidence import PairLook, StoreError, StoreMisconfigured
from perennial.domain.feasibility import Feasibility, decide_feasible
from perennial.domain.health import decide_health
from perennial.domain.sample_store import SampleStore
from perennial.domain.traffic import warm_previous
from perennial_contract.profile import ScoreProfile


@dataclass(frozen=True, slots=True)
class StoreState:
    """The store, or what is wrong with it."""

    store: SampleStore | None
    error: StoreError | None = None

    @property
    def misconfigured(self) -> bool:
        """A person has to change something."""
        return isinstance(self.error, StoreMisconfigured)


async def open_store(context: Context, model: Model) -> StoreState:
    """The model's sample store, checked against its contract."""
    assert model.spec is not None
    samples = model.spec.samples
    try:
        store = await context.store_at(model.namespace, "spec.samples.readUrlFrom", samples.read_url_from)
        await store.check(samples.contract, samples.recorded_by)
    except StoreError as error:
        return StoreState(None, error)
    return StoreState(store)


async def observe_canary(
    context: Context, model: Model, canary: CanaryStatus, state: StoreState, now: datetime
) -> CanaryLook | StoreError | None:
    """The canary's paired evidence, or why the store does not give it; None when that is known already.

    A look serves for `poll_seconds`: the event of its own status write must not bring the next one.
    """
    asked = (model.uid, canary.uid, canary.step_started_at)
    kept = context.canary_looks.get(model.uid)
    if kept and kept.asked == asked and now - kept.at < timedelta(seconds=context.settings.poll_seconds):
        return kept.look
    look = await _look_at_canary(model, canary, state, now)
    context.canary_looks[model.uid] = Kept(asked, now, look)
    return look


async def _look_at_canary(
    model: Model, canary: CanaryStatus, state: StoreState, now: datetime
) -> CanaryLook | StoreError | None:
    spec, stable = model.spec, model.status.stable
    if spec is None or stable is None or state.store is None:
        return None
    pair = _Pair(stable.uid, canary.uid, canary.started_at, canary.step_started_at, spec.canary.max_duration)
    try:
        look, evidence = await _weigh(model, spec, state.store, pair, now)
    except StoreError as error:
        return error
    return CanaryLook(
        evidence=evidence,
        resolved_since_step=look.resolved_since,
        paired=spec.samples.outcomes == "All",
        observed_weight=_weight(look, canary.uid),
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two versions that are compared, by UID, and for how long they may be."""

    stable: str
    challenger: str
    since: datetime
    step_since: datetime
    at_most: timedelta


async def _weigh(
    model: Model, spec: ModelDeploymentSpec, store: SampleStore, pair: _Pair, now: datetime
) -> tuple[PairLook, Evidence]:
    """The look at a pair, and what it says of the challenger."""
    seconds = pair_block_seconds(spec.samples.label_delay, pair.at_most)
    look = await store.observe_pairs(
        spec.samples.contract,
        spec.decision,
        model=f"{model.namespace}/{model.name}",
        stable=pair.stable,
        canary=pair.challenger,
        since=pair.since,
        step_since=pair.step_since,
        until=now,
        block_seconds=seconds,
    )
    evidence = await asyncio.to_thread(  # seconds, where labels are short and the comparison is old
        decide_evidence,
        spec.samples.contract,
        look,
        stable=pair.stable,
        challenger=pair.challenger,
        block_seconds=seconds,
        until=now,
    )
    return look, evidence


async def observe_probation(context: Context, model: Model, state: StoreState, now: datetime) -> Evidence | None:
    """What speaks for the version before the stable one; None while it is not warm, or the store does not answer.

    Looked at as often as the monitors look: nobody waits for it, as for a canary's next step.
    """
    spec, stable, previous = model.spec, model.status.stable, warm_previous(model.status, now)
    if spec is None or stable is None or previous is None or state.store is None:
        return None
    asked, kept = (stable.uid, previous.uid), context.probations.get(model.uid)
    if kept and kept.asked == asked and now - kept.at < spec.interval:
        return kept.look
    since = previous.replaced_at
    pair = _Pair(stable.uid, previous.uid, since, since, spec.probation)
    try:
        _, evidence = await _weigh(model, spec, state.store, pair, now)
    except StoreError:
        return None
    context.probations[model.uid] = Kept(asked, now, evidence)
    return evidence


def _weight(look: PairLook, canary: str) -> float | None:
    total = sum(look.live_by_version.values())
    return round(look.live_by_version.get(canary, 0) / total, 2) if total else None


async def observe_health(
    context: Context, model: Model, version: Version | None, state: StoreState, now: datetime
) -> HealthStatus | None:
    """The stable version's health; Unknown when the store does not answer, None without a stable version."""
    spec, stable, before = model.spec, model.status.stable, model.status.health
    if spec is None or stable is None:
        return None
    since, sum_start = now - spec.health.window, cusum_start(spec.health, before, stable.version, now)
    look, early = None, None
    if state.store is not None:
        try:
            look = await state.store.observe_health(
                spec.samples.contract,
                spec.decision,
                model=f"{model.namespace}/{model.name}",
                version=stable.uid,
                since=since,
                until=now,
                block_seconds=health_block_seconds(spec.samples.label_delay, spec.health.window),
                blocks_since=sum_start,
            )
            early = estimate_early(spec.decision, look.bins, await _score_profile(context, state.store, version))
        except StoreMisconfigured as error:
            kept = kept_cursor(before, stable.version)
            wrong = HealthStatus(reason="StoreMisconfigured", message=str(error), version=stable.version, cusum=kept)
            return _unless_only_the_window_moved(wrong, before)
        except StoreError:
            look = None
    seen = decide_health(spec.health, spec.samples.contract, look, stable.version, since, now, before)
    return _unless_only_the_window_moved(seen.model_copy(update={"early_estimate": early}), before)


async def _score_profile(context: Context, store: SampleStore, version: Version | None) -> ScoreProfile | None:
    """How the version's scores came true on its holdout; None: not known, now or ever."""
    try:
        profile = await observe_profile(context, store, version) if version else None
    except StoreError:
        return None
    return profile.scores if profile else None


async def observe_feasible(
    context: Context, model: Model, state: StoreState, health: HealthStatus | None, now: datetime
) -> Feasibility:
    """Whether the minimums, those of the governing policy too, can be met at the rate at which outcomes come in."""
    spec = model.spec
    assert spec is not None
    per_day = None
    if state.store is not None:
        try:
            counts = await state.store.observe_counts(spec.samples.contract, since=now - spec.health.window, now=now)
            per_day = counts.per_day
        except StoreError:
            per_day = None
    rate = health.win_rate if health else None
    worth = min(1.0, rate.effective_outcomes / rate.outcomes) if rate and rate.outcomes else 1.0
    policies = map(parse_policy, await context.cluster.list(RETRAIN_POLICY, model.namespace))
    policy = governing_policy(policies, model.labels)
    governing = policy.spec if policy else None
    return decide_feasible(
        spec,
        per_day,
        effective_share=worth,
        training=governing.training if governing else None,
        promotion=governing.promotion if governing else None,
    )


def _unless_only_the_window_moved(seen: HealthStatus, before: HealthStatus | None) -> HealthStatus:
    """A look that saw the same writes nothing."""
    if before is None:
        return seen
    window = {"window_from": before.window_from, "window_until": before.window_until}
    return before if seen.model_copy(update=window) == before else seen


def due(context: Context, model: Model, now: datetime) -> timedelta:
    """How long until the monitors look again; zero: now."""
    assert model.spec is not None
    last = context.monitored.get(model.uid)
    return max(timedelta(0), last + model.spec.interval - now) if last else timedelta(0)
