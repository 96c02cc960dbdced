"""Tests of the neural models, in an environment of their own that has torch: `make neural`.

    python -m tests.neural [OPTION...]        # pytest's options

It stands below the cache directory and is made anew when a lock changes. torch comes by pip, which knows where this
machine keeps wheels, and is the one for the CPU alone; everything else is what the images and the other tests have.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "perennial" / "neural"
LOCKS = ("trainer_image/torch.lock", "trainer_image/trainer-neural.lock", "requirements-dev.lock")
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


def prepare() -> Path:
    """The environment's Python."""
    python, marker = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "installed"
    wanted = hashlib.sha256(b"".join((ROOT / lock).read_bytes() for lock in LOCKS)).hexdigest()
    if not marker.exists() or marker.read_text() != wanted:
        print(f"making {ENVIRONMENT}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        for lock in LOCKS:
            index = ["--extra-index-url", TORCH_INDEX] if "torch" in lock else []
            subprocess.run([*pip, *index, "-r", ROOT / lock], check=True)
        marker.write_text(wanted)
    return python


def environment() -> dict[str, str]:
    """This project's sources, and no threads that fight over the cores."""
    sources = os.pathsep.join(str(ROOT / part) for part in ("operator", "trainer_image", "."))
    return {**os.environ, "PYTHONPATH": sources, "OMP_NUM_THREADS": "1"}


def main(options: Sequence[str]) -> int:
    """pytest's exit code."""
    command = [prepare(), "-m", "pytest", "tests/neural", *options]
    return subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
