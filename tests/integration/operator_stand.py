"""Operators and the namespaces that they look after, from their start to the day when nothing is left of them."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.integration.operator_api import NAMESPACE, Api, eventually
from tests.integration.operator_node import Node
from tests.integration.operator_process import OperatorProcess
from tests.integration.operator_world import World, create_tables

from perennial.adapters.cluster import MODEL_DEPLOYMENT, RETRAIN_POLICY, Kind

SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")


class Stand:
    """An operator with namespaces to hand out; in the end it must have let go of all of them."""

    def __init__(self, kubeconfig: Path, api: Api, log: Path, size: int = 40) -> None:
        token = secrets.token_hex(3)
        self.api = api
        self.operator = OperatorProcess(kubeconfig, log, [f"op-{token}-{i}" for i in range(size)], max_jobs="1000")
        self._free = list(self.operator.namespaces)
        self._used: list[str] = []

    def __enter__(self) -> Self:
        self.operator.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            eventually(lambda: not self._kept(), "the operator lets go of every model")
        finally:
            exit_status = self.operator.stop()
        assert exit_status == 0, self.operator.log.read_text()[-3_000:]

    def _kept(self) -> list[str]:
        return [name for name in self._used if self.api.list(MODEL_DEPLOYMENT, name)]

    def next_namespace(self) -> str:
        """A namespace that nobody had before."""
        name = self._free.pop(0)
        self.api.create(NAMESPACE, None, {"metadata": {"name": name}})
        self._used.append(name)
        eventually(lambda: self.api.find(SERVICE_ACCOUNT, name, "default"), "pods can be made")
        return name


@contextmanager
def running_world(api: Api, operator: OperatorProcess, namespace: str, database: str) -> Iterator[World]:
    """The namespace with its sample store and somebody who plays the node; in the end the namespace is deleted."""
    create_tables(database)
    node = Node(api, namespace, database)
    world = World(api, namespace, database, node, operator)
    world.secret()
    node.start()
    begun = operator.log.stat().st_size
    try:
        yield world
        assert node.problems == []
    finally:
        node.stop()
        print(world.describe())  # shown by pytest when the test failed, as is the log
        for kind in (RETRAIN_POLICY, MODEL_DEPLOYMENT):
            api.call("DELETE", kind.path(namespace))
        api.delete(NAMESPACE, None, namespace)
        with operator.log.open() as log:
            log.seek(begun)
            print(log.read())
