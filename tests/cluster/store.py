"""A namespace's own PostgreSQL and its volume for models, as a user would set them up."""

import secrets
import socket
from dataclasses import dataclass
from string import Template

import yaml
from tests.cluster.kubectl import Cluster, await_condition
from tests.cluster.providers import ROOT

USER = 65532
MODELS_CLAIM = "models"
_MANIFEST = ROOT / "tests/cluster/postgres/postgres.yaml"


@dataclass(frozen=True)
class Store:
    """URLs of one sample store: in Pods by name, on this machine by address."""

    read_url: str
    write_url: str
    local_write_url: str


def deploy_store(cluster: Cluster, namespace: str, postgres_image: str) -> Store:
    """PostgreSQL, the Secret `samples-store` (keys `read` and `write`) and the claim `models`; ready on return."""
    passwords = {role: secrets.token_hex(16) for role in ("read", "write")}

    def url(role: str, host: str) -> str:
        return f"postgresql+psycopg://perennial_{role}:{passwords[role]}@{host}:5432/perennial"

    name = f"postgres.{namespace}.svc.cluster.local"
    for claim in (MODELS_CLAIM, "postgres-data"):
        cluster.claim(namespace, claim, USER)
    values = {"image": postgres_image, **{f"{role}_password": password for role, password in passwords.items()}}
    manifest = Template(_MANIFEST.read_text()).substitute(
        values, namespace=namespace, read_url=url("read", name), write_url=url("write", name)
    )
    cluster.apply(*yaml.safe_load_all(manifest))
    start_store(cluster, namespace)
    return Store(url("read", name), url("write", name), url("write", cluster.address(namespace, "postgres")))


def start_store(cluster: Cluster, namespace: str) -> None:
    """Starts the database, if it is stopped; ready on return, also for this machine."""
    cluster.kubectl("-n", namespace, "scale", "deployment/postgres", "--replicas=1")
    cluster.wait_rolled_out(namespace, "postgres")
    address = cluster.address(namespace, "postgres")
    await_condition(lambda: _answers(address), 30, f"PostgreSQL of {namespace} answers at {address}")


def stop_store(cluster: Cluster, namespace: str) -> None:
    """Stops the database; its data stay. Gone on return."""
    cluster.kubectl("-n", namespace, "scale", "deployment/postgres", "--replicas=0")
    pods = ("-n", namespace, "pods", "-l", "app=postgres")
    await_condition(lambda: not cluster.get(*pods)["items"], 60, f"PostgreSQL of {namespace} is gone")


def _answers(address: str) -> bool:
    try:
        socket.create_connection((address, 5432), timeout=1).close()
    except OSError:
        return False
    return True
