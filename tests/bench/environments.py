"""Virtual environments for what we are measured beside: made once, kept below the cache directory."""

import os
import subprocess
import sys
from pathlib import Path

_PATIENCE_SECONDS = 900


class NotInstalledError(Exception):
    """It cannot be installed here; the text says why."""


def prepare_environment(name: str, requirements: tuple[str, ...]) -> Path:
    """The directory of its programs, installed when they are not there yet.

    Raises:
        NotInstalledError: pip failed, or took longer than 15 minutes.
    """
    environment = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "perennial" / f"bench-{name}"
    marker, wanted, programs = environment / "installed", "\n".join(requirements), environment / "bin"
    if marker.exists() and marker.read_text() == wanted:
        return programs
    print(f"installing {', '.join(requirements)} into {environment}", flush=True)
    pip = (programs / "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        subprocess.run(pip, check=True, capture_output=True, text=True, timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise NotInstalledError(f"{name}: pip took longer than {_PATIENCE_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        raise NotInstalledError(f"{name}: {_last_line(error.stderr)}") from error
    marker.write_text(wanted)
    return programs


def _last_line(text: str | None) -> str:
    lines = (text or "").strip().splitlines()
    return lines[-1] if lines else "pip failed and said nothing"
