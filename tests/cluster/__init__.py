"""A real cluster for tests and demo, and what stands in it: images, the operator, a sample store for a namespace."""

from tests.cluster.images import build_and_load_images
from tests.cluster.installation import deploy_operator
from tests.cluster.kubectl import Cluster, KubectlError, await_condition
from tests.cluster.providers import ensure_cluster
from tests.cluster.store import Store, deploy_store, start_store, stop_store

__all__ = [
    "Cluster",
    "KubectlError",
    "Store",
    "await_condition",
    "build_and_load_images",
    "deploy_operator",
    "deploy_store",
    "ensure_cluster",
    "start_store",
    "stop_store",
]
