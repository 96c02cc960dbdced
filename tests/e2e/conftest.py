"""The cluster, the images and the operator once for all workers; a namespace, a database and a volume for each test."""

import json
import os
import secrets
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client, config
from tests.cluster import Cluster, build_and_load_images, deploy_operator, deploy_store, ensure_cluster
from tests.cluster.installation import DEPLOYMENT, NAMESPACE
from tests.e2e.database import Database
from tests.e2e.market import FEATURES
from tests.e2e.scene import Scene

from perennial.adapters.cluster import Cluster as Api
from perennial.commands.store import init

OPERATOR = {"PERENNIAL_POLL_SECONDS": "1", "PERENNIAL_LOG_LEVEL": "INFO"}
KEEP = "PERENNIAL_E2E_KEEP"
"""Set: namespaces and operator stay for a look."""
_INSTALLED = pytest.StashKey[dict[str, Any]]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Set up by the main process, whose output is shown while it builds; its workers are told the result."""
    worker = getattr(session.config, "workerinput", None)
    if worker is not None:
        session.config.stash[_INSTALLED] = json.loads(worker["installed"])
    elif not session.config.option.collectonly:
        kubeconfig = ensure_cluster()
        images = build_and_load_images()
        deploy_operator(Cluster(kubeconfig), images, OPERATOR)
        run = secrets.token_hex(2)
        session.config.stash[_INSTALLED] = {"kubeconfig": str(kubeconfig), "images": images, "run": run}


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist: what a worker is told."""
    node.workerinput["installed"] = json.dumps(node.config.stash[_INSTALLED])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The operator goes last, once the namespaces are gone: deleting a model is its work."""
    installed = session.config.stash.get(_INSTALLED, None)
    if installed is None or hasattr(session.config, "workerinput") or KEEP in os.environ:
        return
    cluster = Cluster(Path(installed["kubeconfig"]))
    cluster.kubectl("-n", NAMESPACE, "scale", f"deployment/{DEPLOYMENT}", "--replicas=0")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A failed scenario shows its namespace as it was at that moment."""
    report: Any = yield
    scene = getattr(item, "funcargs", {}).get("scene")
    if report.when == "call" and report.failed and isinstance(scene, Scene):
        report.sections.append((f"namespace {scene.namespace}", scene.describe()))
    return report


@pytest.fixture(scope="session")
def installed(pytestconfig: pytest.Config) -> dict[str, Any]:
    """Kubeconfig and images."""
    found = pytestconfig.stash.get(_INSTALLED, None)
    assert found is not None, "no cluster was set up: run `pytest tests/e2e`"
    return found


@pytest.fixture(scope="session")
def cluster(installed: dict[str, Any]) -> Cluster:
    """The cluster as its users have it."""
    return Cluster(Path(installed["kubeconfig"]))


@pytest.fixture(scope="session")
def removal() -> Iterator[ThreadPoolExecutor]:
    """Namespaces go while the next test runs already."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
async def scene(
    cluster: Cluster, installed: dict[str, Any], removal: ThreadPoolExecutor, request: pytest.FixtureRequest
) -> AsyncIterator[Scene]:
    """A namespace with a sample store of its own and a volume for models; the table `samples` is there, and empty."""
    namespace = f"e2e-{request.node.name.removeprefix('test_').replace('_', '-')}-{installed['run']}"
    cluster.kubectl("create", "namespace", namespace)
    try:
        store = deploy_store(cluster, namespace, installed["images"]["postgres"])
        init(url=store.local_write_url, features=",".join(FEATURES))
        configuration = client.Configuration()
        await config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
        api = Api(client.ApiClient(configuration), observer=lambda _: None)
        try:
            scene = Scene(namespace, cluster, api, Database(store.local_write_url), installed["images"]["trainer"])
            await scene.allow_outcomes()
            yield scene
        finally:
            await api.close()
    finally:
        if KEEP not in os.environ:
            removal.submit(cluster.remove_namespace, namespace, 300)
