"""The operator as its users run it: a process of its own, which can be killed and started again."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.integration.operator_api import eventually
from tests.integration.ports import free_port


class OperatorProcess:
    """`python -m perennial.main` with settings of a test's own; its log is a file."""

    def __init__(self, kubeconfig: Path, log: Path, namespaces: Sequence[str], **settings: str) -> None:
        self.log, self.port, self.namespaces = log, free_port(), tuple(namespaces)
        given = {"namespaces": ",".join(namespaces), "poll_seconds": "0.3", "port": str(self.port), **settings}
        variables = {f"PERENNIAL_{name.upper()}": value for name, value in given.items()}
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "OMP_NUM_THREADS": "1", **variables}
        self._process: subprocess.Popen[bytes] | None = None
        self.program: tuple[str, ...] = ("perennial.main",)
        """The module that is run, and its arguments."""

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def launch(self) -> None:
        """Starts it and does not wait."""
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", *self.program]
            self._process = subprocess.Popen(command, stdout=output, stderr=output, env=self._environment)

    def start(self) -> None:
        """Starts it and returns when it is ready."""
        self.launch()
        eventually(self._answers, f"the operator is ready, see {self.log}", 60)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-3_000:]
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return True
        except (URLError, ConnectionError):
            return False

    def kill(self) -> None:
        """As the kernel does when memory is short: nothing is finished."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """As Kubernetes asks; returns the exit status. Of one that is dead already too."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(30)

    def metrics(self) -> dict[str, float]:
        """The series of /metrics, as they are written there, with their values."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as response:
            text = response.read().decode()
        series = re.findall(r"^(perennial_\S+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in series}
