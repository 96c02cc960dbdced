"""`perennial_*` series for Prometheus. A series ends when its object does, a gauge also when nobody looks at it."""

from collections.abc import Iterable
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from perennial.api.conditions import find_condition
from perennial.api.model_deployment_status import DriftStatus, ModelDeploymentStatus
from perennial.api.retrain_policy import RetrainPolicyStatus
from perennial_contract.profile import REGIMES

M = TypeVar("M", bound=MetricWrapperBase)
_OBJECT = ("namespace", "name")
_HEALTH_STATES = ("Healthy", "Degraded", "Critical", "Unknown")
_DRIFT_STATES = ("None", "Suspected", "Drifting", "Unknown")
_JOB_STATES = ("Waiting", "Planned", "Running", "Done")
_TRAINING_BUCKETS = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)


class Metrics:
    """The operator's series, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._objects: dict[tuple[str, str, str], set[tuple[MetricWrapperBase, tuple[str, ...]]]] = {}
        self._health = self._gauge("model_health", "1 for the state that holds", "state")
        self._win_rate = self._gauge("model_win_rate", "Wins / acted over the health window")
        self._win_rate_lower = self._gauge("model_win_rate_lower", "Lower bound of the win rate's interval")
        self._win_rate_upper = self._gauge("model_win_rate_upper", "Upper bound of the win rate's interval")
        self._calibration = self._gauge("model_calibration_error", "Expected calibration error")
        self._early = self._gauge("early_win_rate", "Expected of predictions that have no outcome yet; an estimate")
        self._brier = self._gauge("model_brier_score", "Brier score")
        self._effective = self._gauge("model_effective_outcomes", "What the outcomes are worth as independent ones")
        self._drift = self._gauge("model_drift", "1 for the state that holds", "state")
        self._psi = self._gauge("feature_psi", "Population stability index of the worst features", "feature")
        self._store = self._gauge("store_ready", "1 while the sample store answers, 0 while it does not")
        self._samples = self._gauge("samples", "Live predictions in the health window")
        self._resolved = self._gauge("samples_resolved", "Those with an outcome")
        self._overdue = self._gauge("samples_overdue", "Those whose outcome is due and missing")
        self._late = self._gauge("samples_late", "Those whose outcome came late")
        self._regime = self._gauge("regime", "1 for the regime that the market is in, none while in between", "state")
        self._candidate = self._gauge("regime_candidate_seconds", "How long another regime has lasted without a return")
        self._weight = self._gauge("canary_weight_ratio", "Weight of the canary, 0 without one")
        self._observed = self._gauge("canary_observed_weight_ratio", "Share of live requests that the canary answered")
        self._evidence = self._gauge("canary_evidence", "e-value that the canary is better")
        self._harm = self._gauge("canary_harm", "e-value that the canary is worse")
        self._pairs = self._gauge("canary_pairs", "Resolved pairs")
        self._jobs = self._gauge("plan_jobs", "Planned jobs by state", "state")
        self.triggers = self._counter("triggers_total", "Versions created, by trigger", "type")
        self.verdicts = self._counter("verdicts_total", "Verdicts", "decision")
        self.promotions = self._counter("promotions_total", "Versions that became stable", "reason")
        self.rollbacks = self._counter("rollbacks_total", "Older versions that became stable again")
        self.training = Histogram(
            "perennial_training_seconds",
            "Wall time of training Jobs",
            ("namespace", "name", "result"),
            buckets=_TRAINING_BUCKETS,
            registry=self.registry,
        )
        self.reconcile = Histogram(
            "perennial_reconcile_seconds", "Seconds a reconcile takes", ("kind",), registry=self.registry
        )
        self.errors = Counter(
            "perennial_reconcile_errors_total", "Failed reconciles", ("kind",), registry=self.registry
        )
        self.requests = Counter(
            "perennial_api_requests_total",
            "Requests to the API server",
            ("method",),
            registry=self.registry,
        )
        self.store_seconds = Histogram(
            "perennial_store_query_seconds", "Seconds a look into the store takes", ("look",), registry=self.registry
        )

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"perennial_{name}", text, (*_OBJECT, *labels), registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"perennial_{name}", text, (*_OBJECT, *labels), registry=self.registry)

    def exposition(self) -> bytes:
        """The text format."""
        return generate_latest(self.registry)

    def show_model(self, namespace: str, name: str, status: ModelDeploymentStatus) -> None:
        """Set a model's gauges; what is not known has no series, never a zero."""
        owner = ("ModelDeployment", namespace, name)
        health, canary = status.health, status.canary
        state = health.state if health else "Unknown"
        for candidate in _HEALTH_STATES:
            self._set(owner, self._health, float(candidate == state), candidate)
        rate = health.win_rate if health else None
        self._set(owner, self._win_rate, rate.value if rate else None)
        self._set(owner, self._win_rate_lower, rate.lower if rate else None)
        self._set(owner, self._win_rate_upper, rate.upper if rate else None)
        self._set(owner, self._effective, rate.effective_outcomes if rate else None)
        self._set(owner, self._calibration, health.calibration_error if health else None)
        self._set(owner, self._brier, health.brier if health else None)
        self._show_drift(owner, status.drift)
        early = health.early_estimate if health else None
        self._set(owner, self._early, early.win_rate if early else None)
        store = find_condition(status.conditions, "StoreReady")
        self._set(owner, self._store, float(store.status == "True") if store else None)
        self._set(owner, self._samples, health.samples if health else None)
        self._set(owner, self._resolved, health.resolved if health else None)
        self._set(owner, self._overdue, health.overdue if health else None)
        self._set(owner, self._late, health.late if health else None)
        self._show_regime(owner, status)
        self._set(owner, self._weight, canary.weight if canary else 0.0)
        self._set(owner, self._observed, canary.observed_weight if canary else None)
        self._set(owner, self._evidence, canary.evidence.e_value if canary else None)
        self._set(owner, self._harm, canary.evidence.harm if canary else None)
        self._set(owner, self._pairs, canary.evidence.pairs if canary else None)

    def _show_drift(self, owner: tuple[str, str, str], drift: DriftStatus | None) -> None:
        """The features of the status alone: however many a model has, its series are few."""
        for candidate in _DRIFT_STATES:
            self._set(owner, self._drift, float(drift.state == candidate) if drift else None, candidate)
        shown = {feature.name: feature.psi for feature in drift.features} if drift else {}
        known = {labels[2] for metric, labels in self._objects.get(owner, ()) if metric is self._psi}
        for name in known | shown.keys():
            self._set(owner, self._psi, shown.get(name), name)

    def _show_regime(self, owner: tuple[str, str, str], status: ModelDeploymentStatus) -> None:
        regime = status.regime
        known = regime is not None and regime.state != "Unknown"
        for state in REGIMES:
            self._set(owner, self._regime, float(regime.current == state) if regime and known else None, state)
        lasted = None
        if regime and known and regime.evidence_until:
            since = regime.candidate_since or regime.evidence_until
            lasted = (regime.evidence_until - since).total_seconds()
        self._set(owner, self._candidate, lasted)

    def show_policy(self, namespace: str, name: str, status: RetrainPolicyStatus) -> None:
        """Count a policy's planned jobs by state."""
        states: list[str] = [job.state for job in status.plan.jobs] if status.plan else []
        for state in _JOB_STATES:
            self._set(("RetrainPolicy", namespace, name), self._jobs, float(states.count(state)), state)

    def count(self, owner: tuple[str, str, str], counter: Counter, *labels: str) -> None:
        """Count one for an object (kind, namespace, name)."""
        self._remember(owner, counter, labels).inc()

    def time_training(self, namespace: str, model: str, result: str, seconds: float) -> None:
        """A training Job ended."""
        owner = ("ModelDeployment", namespace, model)
        self._remember(owner, self.training, (result,)).observe(seconds)

    def _set(self, owner: tuple[str, str, str], gauge: Gauge, value: float | None, *labels: str) -> None:
        if value is None:
            self._drop(owner, [(gauge, (owner[1], owner[2], *labels))])
        else:
            self._remember(owner, gauge, labels).set(value)

    def _remember(self, owner: tuple[str, str, str], metric: M, labels: Iterable[str]) -> M:
        values = (owner[1], owner[2], *labels)
        self._objects.setdefault(owner, set()).add((metric, values))
        return metric.labels(*values)

    def hide(self, kind: str, namespace: str, name: str) -> None:
        """Nobody looks at the object now: its gauges end, and what was counted stays counted."""
        owner = (kind, namespace, name)
        self._drop(owner, [series for series in self._objects.get(owner, ()) if isinstance(series[0], Gauge)])

    def forget(self, kind: str, namespace: str, name: str) -> None:
        """The object is gone, and so are its series."""
        owner = (kind, namespace, name)
        self._drop(owner, list(self._objects.get(owner, ())))
        self._objects.pop(owner, None)

    def _drop(self, owner: tuple[str, str, str], series: Iterable[tuple[MetricWrapperBase, tuple[str, ...]]]) -> None:
        known = self._objects.get(owner, set())
        for metric, values in series:
            if (metric, values) in known:
                known.discard((metric, values))
                metric.remove(*values)
