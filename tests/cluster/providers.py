"""Where the cluster comes from: `$KUBECONFIG` when set, else kind where Docker runs, else Debian's packages."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "perennial"


def run(*command: str | Path, quiet: bool = False) -> bool:
    """Whether a command succeeds; its output goes to the terminal unless `quiet`."""
    sink = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, stdout=sink, stderr=sink, check=False, cwd=ROOT).returncode == 0


def _must(*command: str | Path) -> None:
    if not run(*command):
        raise RuntimeError(f"{' '.join(map(str, command))}: failed, see above")


class Provider(Protocol):
    """A source of clusters."""

    def up(self, *, control_plane_only: bool) -> Path:
        """Starts the cluster unless it runs, and returns its kubeconfig."""

    def has_image(self, tag: str) -> bool:
        """Whether the cluster's nodes hold an image."""

    def build_image(self, tag: str, dockerfile: str, target: str | None) -> None:
        """Builds an image from the repository's root and hands it to the nodes."""

    def image_bytes(self, tag: str) -> int:
        """What the files of an image take, unpacked."""

    def status(self) -> bool:
        """Prints how the cluster does; whether it answers."""

    def down(self) -> None:
        """Stops the cluster; what was built stays."""


class LocalCluster:
    """A single node on this machine, made of Debian's packages."""

    _program = ROOT / "tests/cluster/localcluster"

    def up(self, *, control_plane_only: bool) -> Path:
        options = ["--control-plane"] if control_plane_only else []
        done = subprocess.run([self._program, "up", *options], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise RuntimeError("localcluster did not start: see above")
        return Path(done.stdout.strip().splitlines()[-1])

    def has_image(self, tag: str) -> bool:
        return run(self._program, "has", tag, quiet=True)

    def build_image(self, tag: str, dockerfile: str, target: str | None) -> None:
        _must(self._program, "image", tag, "-f", dockerfile, *(["--target", target] if target else []), ".")

    def image_bytes(self, tag: str) -> int:
        return int(subprocess.check_output([self._program, "size", tag], text=True))

    def status(self) -> bool:
        return run(self._program, "status")

    def down(self) -> None:
        _must(self._program, "down")


class _Docker:
    """Images built by Docker."""

    def _build(self, tag: str, dockerfile: str, target: str | None) -> None:
        _must("docker", "build", "-t", tag, "-f", dockerfile, *(["--target", target] if target else []), ".")

    def image_bytes(self, tag: str) -> int:
        return int(subprocess.check_output(["docker", "image", "inspect", "--format", "{{.Size}}", tag], text=True))


class KindCluster(_Docker):
    """kind's cluster `perennial`."""

    _name, _node = "perennial", "perennial-control-plane"

    @property
    def _kubeconfig(self) -> Path:
        return _CACHE / "kind.kubeconfig"

    def up(self, *, control_plane_only: bool) -> Path:
        del control_plane_only  # kind's node is up as soon as its control plane is
        if not self._answers():
            _CACHE.mkdir(parents=True, exist_ok=True)
            run("kind", "delete", "cluster", "--name", self._name, quiet=True)
            _must("kind", "create", "cluster", "--name", self._name, "--wait", "3m", "--kubeconfig", self._kubeconfig)
        return self._kubeconfig

    def _answers(self) -> bool:
        return self._kubeconfig.exists() and run("kubectl", "--kubeconfig", self._kubeconfig, "version", quiet=True)

    def has_image(self, tag: str) -> bool:
        return run("docker", "exec", self._node, "crictl", "inspecti", "-q", f"docker.io/library/{tag}", quiet=True)

    def build_image(self, tag: str, dockerfile: str, target: str | None) -> None:
        self._build(tag, dockerfile, target)
        _must("kind", "load", "docker-image", tag, "--name", self._name)

    def status(self) -> bool:
        return run("kubectl", "--kubeconfig", self._kubeconfig, "get", "nodes")

    def down(self) -> None:
        _must("kind", "delete", "cluster", "--name", self._name)


@dataclass(frozen=True)
class GivenCluster(_Docker):
    """The cluster of `$KUBECONFIG`, with images pushed to `$PERENNIAL_TEST_REGISTRY`, which its nodes pull from."""

    kubeconfig: Path

    def up(self, *, control_plane_only: bool) -> Path:
        del control_plane_only
        if not run("kubectl", "--kubeconfig", self.kubeconfig, "version", quiet=True):
            raise RuntimeError(f"KUBECONFIG={self.kubeconfig} does not answer; unset it for a local cluster")
        return self.kubeconfig

    def has_image(self, tag: str) -> bool:
        return run("docker", "manifest", "inspect", tag, quiet=True)

    def build_image(self, tag: str, dockerfile: str, target: str | None) -> None:
        self._build(tag, dockerfile, target)
        _must("docker", "push", tag)

    def status(self) -> bool:
        return run("kubectl", "--kubeconfig", self.kubeconfig, "get", "nodes")

    def down(self) -> None:
        raise RuntimeError("the cluster of $KUBECONFIG is yours to stop")


def _local_kubeconfig() -> Path:
    home = Path(os.environ.get("LOCALCLUSTER_HOME", Path.home() / ".cache/localcluster"))
    return home / "state/pki/admin.kubeconfig"


def find_provider() -> Provider:
    """The provider that this machine and its environment ask for."""
    given = os.environ.get("KUBECONFIG")
    if given and Path(given).resolve() != _local_kubeconfig().resolve():
        return GivenCluster(Path(given))
    if not given and shutil.which("kind") and shutil.which("docker") and run("docker", "info", quiet=True):
        return KindCluster()
    return LocalCluster()


def image_prefix() -> str:
    """What stands before an image's name: the registry of a given cluster, with its slash."""
    provider = find_provider()
    if not isinstance(provider, GivenCluster):
        return ""
    registry = os.environ.get("PERENNIAL_TEST_REGISTRY")
    if not registry:
        raise RuntimeError("set PERENNIAL_TEST_REGISTRY: your cluster pulls the images under test from there")
    return registry.rstrip("/") + "/"


def ensure_cluster(*, control_plane_only: bool = False) -> Path:
    """The kubeconfig of a cluster that answers. A control plane alone is enough where no Pod has to run."""
    return find_provider().up(control_plane_only=control_plane_only)
