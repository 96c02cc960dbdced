"""The one reconcile of each kind."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from perennial.adapters.cluster import MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY
from perennial.controllers.context import Context
from perennial.controllers.model_deployment import reconcile_model
from perennial.controllers.model_version import reconcile_version
from perennial.controllers.queue import Key
from perennial.controllers.retrain_policy import reconcile_policy

RECONCILES: dict[str, Callable[[Context, Key], Awaitable[timedelta | None]]] = {
    MODEL_DEPLOYMENT.kind: reconcile_model,
    MODEL_VERSION.kind: reconcile_version,
    RETRAIN_POLICY.kind: reconcile_policy,
}
