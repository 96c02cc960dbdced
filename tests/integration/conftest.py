"""Fixtures that several integration tests share."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import Cluster, ensure_cluster
from tests.integration.operator_api import Api, proxied
from tests.integration.operator_stand import Stand, running_world
from tests.integration.operator_world import World
from tests.integration.postgres import PostgresServer, fresh_database, running_postgres

from perennial.api.crd import KINDS

CRDS = Path(__file__).parents[2] / "manifests" / "crds"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL, one a test worker."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The SQLAlchemy URL of a fresh database."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """An API server that has our CRDs."""
    cluster = Cluster(ensure_cluster(control_plane_only=True))
    # fields of CEL rules are unknown to kubectl and API servers before 1.28; they drop what they do not know
    cluster.kubectl("apply", "--validate=false", "-k", str(CRDS))
    names = [f"crd/{kind.plural}.perennial.dev" for kind in KINDS]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
    # kubectl's own validation knows a kind once its schema is published, a moment after it is established
    wanted = [f"dev.perennial.v1alpha1.{kind.kind}" for kind in KINDS]
    waiting = time.monotonic()
    while not all(name in cluster.kubectl("get", "--raw", "/openapi/v2") for name in wanted):
        assert time.monotonic() - waiting < 60, "the schemas were not published"
    return cluster


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[Api]:
    """The API server over plain HTTP."""
    with proxied(cluster.kubeconfig) as found:
        yield found


@pytest.fixture(scope="module")
def stand(cluster: Cluster, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """An operator for the namespaces of one module's tests."""
    with Stand(cluster.kubeconfig, api, tmp_path_factory.mktemp("operator") / "log") as stand:
        yield stand


@pytest.fixture
def world(stand: Stand, postgres_url: str) -> Iterator[World]:
    """A namespace of the test's own, with an empty sample store, and an operator that others use too."""
    with running_world(stand.api, stand.operator, stand.next_namespace(), postgres_url) as world:
        yield world


@pytest.fixture(scope="module")
def shared_world(stand: Stand, postgres_server: PostgresServer) -> Iterator[World]:
    """A namespace for tests that differ in the names that they use."""
    with (
        fresh_database(postgres_server) as url,
        running_world(stand.api, stand.operator, stand.next_namespace(), url) as world,
    ):
        yield world


@pytest.fixture
def lone_world(cluster: Cluster, api: Api, postgres_url: str, tmp_path: Path) -> Iterator[World]:
    """A namespace whose operator may be killed."""
    with (
        Stand(cluster.kubeconfig, api, tmp_path / "log", size=1) as stand,
        running_world(api, stand.operator, stand.next_namespace(), postgres_url) as world,
    ):
        yield world
