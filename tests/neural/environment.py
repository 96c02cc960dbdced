"""An environment of its own that has torch, for whatever needs the neural models outside an image.

    python -m tests.neural.environment ARGUMENT...        # that environment's Python, with these sources

It stands below the cache directory and is made anew when a lock changes. torch comes by pip, which knows where this
machine keeps wheels, and is the one for the CPU alone; everything else is what the images and the other tests have.
"""

import hashlib
import os
import subprocess
import sys
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


def main() -> None:
    """Becomes that Python."""
    python = prepare()
    os.execve(python, [str(python), *sys.argv[1:]], environment())


if __name__ == "__main__":
    main()
