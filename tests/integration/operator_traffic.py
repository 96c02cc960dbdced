"""Clients of two versions of one model: each request is scored by both, and its outcome known at once."""

import threading
from datetime import UTC, datetime, timedelta
from itertools import count

from tests.integration.operator_api import eventually
from tests.integration.operator_world import World

from perennial.adapters.cluster import MODEL_DEPLOYMENT


class Traffic(threading.Thread):
    """Samples that the stable version is wrong about every time, and the canary right in a given share."""

    def __init__(self, world: World, stable: str, canary: str, canary_wins: float) -> None:
        super().__init__(name=f"traffic-{world.namespace}", daemon=True)
        self._world, self._stable, self._canary = world, stable, canary
        self._wins, self._stable_wins = canary_wins, 1 - canary_wins
        self._ended = threading.Event()
        self._numbers = count()
        self._model = stable.rpartition("-v")[0]

    def run(self) -> None:
        """Ten requests at a time until stopped."""
        while not self._ended.wait(0.2):
            self.send_now()

    def send_now(self) -> None:
        """Ten requests of this moment."""
        now = datetime.now(UTC)
        self.send([now - timedelta(milliseconds=10 * i) for i in range(10)])

    def backfill(self) -> None:
        """The canary began an hour ago, and this is what has come in since."""
        eventually(self._shadows, "the canary's pod is ready")
        now = datetime.now(UTC)
        begun = (now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = {"canary": {"startedAt": begun, "stepStartedAt": begun}}
        self._world.api.patch(MODEL_DEPLOYMENT, self._world.namespace, self._model, {"status": status}, "status")
        self.send([now - timedelta(seconds=7 * i) for i in range(1, 500)])

    def _shadows(self) -> bool:
        canary = self._world.status(MODEL_DEPLOYMENT, self._model).get("canary", {})
        return bool(canary.get("readyReplicas"))

    def send(self, times: list[datetime]) -> None:
        """One request at each time."""
        requests = [(f"{self._canary}-{next(self._numbers)}", at) for at in times]
        self._world.samples([(name, at, 1) for name, at in requests])
        for version, track, wins in (
            (self._stable, "live", self._stable_wins),
            (self._canary, "shadow", self._wins),
        ):
            scored = [(name, at, 0.9 if (i % 10) < 10 * wins else 0.1) for i, (name, at) in enumerate(requests)]
            self._world.predictions(version, track, scored, self._model)

    def stop(self) -> None:
        """Ends the thread."""
        self._ended.set()
        self.join()
