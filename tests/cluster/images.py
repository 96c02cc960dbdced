"""The images under test, tagged by what they are made of: an image that is there is never built again."""

import hashlib
import sys
import time
from dataclasses import dataclass

from tests.cluster.providers import ROOT, find_provider, image_prefix


@dataclass(frozen=True)
class Image:
    """A Dockerfile's target and everything that it copies."""

    dockerfile: str
    target: str | None
    inputs: tuple[str, ...]

    def tag(self) -> str:
        """The hash of names and contents of all inputs."""
        digest = hashlib.sha256()
        for path in sorted(p for i in (self.dockerfile, *self.inputs) for p in (ROOT / i, *(ROOT / i).rglob("*"))):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:12]


_CONTRACT = "trainer_image/perennial_contract"
_SLIM = "trainer_image/slim.sh"
_SHARED = "trainer_image/shared.lock"
IMAGES = {
    "operator": Image(
        "operator/Dockerfile", None, ("operator/perennial", "operator/requirements.lock", _CONTRACT, _SLIM)
    ),
    "trainer": Image(
        "trainer_image/Dockerfile",
        "trainer",
        ("trainer_image/perennial_trainer", "trainer_image/trainer.lock", _SHARED, _CONTRACT, _SLIM),
    ),
    "trainer-neural": Image(
        "trainer_image/Dockerfile",
        "trainer-neural",
        (
            "trainer_image/perennial_trainer",
            "trainer_image/trainer-neural.lock",
            "trainer_image/torch.lock",
            "trainer_image/trainer.lock",
            _SHARED,
            _CONTRACT,
            _SLIM,
        ),
    ),
    "server": Image(
        "trainer_image/Dockerfile",
        "server",
        ("trainer_image/perennial_server", "trainer_image/server.lock", _SHARED, _CONTRACT, _SLIM),
    ),
    "postgres": Image("tests/cluster/postgres/Dockerfile", None, ("tests/cluster/postgres/start",)),
}


def build_and_load_images(*names: str) -> dict[str, str]:
    """The tags of the images named (all of them when none is), built and on the cluster's nodes."""
    provider, prefix = find_provider(), image_prefix()
    tags = {}
    for name in names or IMAGES:
        image = IMAGES[name]
        tags[name] = tag = f"{prefix}perennial-{name}:{image.tag()}"
        if provider.has_image(tag):
            continue
        print(f"building {tag}", file=sys.stderr, flush=True)
        started = time.monotonic()
        provider.build_image(tag, image.dockerfile, image.target)
        print(f"built {tag} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return tags
