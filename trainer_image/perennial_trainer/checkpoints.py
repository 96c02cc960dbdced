"""What a long training keeps in the artifact store, so that an attempt after an eviction goes on where it ended.

It stands beside the version's folder, never in it (a folder of an artifact appears whole), and is removed when the
artifact is there. Another task, or other rows, never go on from it: their key differs.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from perennial_trainer.artifacts import open_store
from perennial_trainer.errors import Unavailable
from perennial_trainer.progress import Throttle, log

EVERY_SECONDS = 30.0


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one version."""

    store: str
    folder: str
    key: str
    """Of everything that the training depends on."""
    every: float = EVERY_SECONDS
    """How often one is worth its while."""
    prefix: str = ""

    def of(self, member: int) -> "Checkpoints":
        """Those of one member of an ensemble."""
        return Checkpoints(self.store, self.folder, self.key, self.every, f"member-{member}-")

    def throttle(self) -> Throttle:
        """Says when the next one is due."""
        return Throttle(every=self.every)

    def read(self, name: str) -> bytes | None:
        """What was kept under a name; None when there is nothing."""
        with TemporaryDirectory(prefix="perennial-") as scratch:
            target = Path(scratch) / "checkpoint"
            return target.read_bytes() if open_store(self.store).read(self._path(name), target) else None

    def write(self, name: str, data: bytes) -> None:
        """Keeps it; a store that does not answer costs the checkpoint, not the training."""
        try:
            open_store(self.store).replace(self._path(name), data)
        except Unavailable as error:
            log.info("no checkpoint: %s", error)

    def remove(self) -> None:
        """Of all members: the artifact is there."""
        try:
            open_store(self.store).remove(self.folder)
        except Unavailable as error:
            log.info("the checkpoint is left: %s", error)

    def _path(self, name: str) -> str:
        return f"{self.folder}/{self.key[:16]}-{self.prefix}{name}"
