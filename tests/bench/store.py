"""How fast `perennial store load` fills PostgreSQL: 316 767 samples of 50 features, from a CSV file, in one command.

Run it with `python -m tests.bench.store`.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tests.bench.record import record
from tests.integration.postgres import fresh_database, running_postgres

ROWS, FEATURES, SERIES = 316_767, 50, 20


def write_file(path: Path) -> None:
    """Samples of 20 series by the hour, with numbers as long as floats get."""
    values = np.random.default_rng(1).normal(size=(ROWS, FEATURES))
    at = np.datetime64("2020-01-01T00:00:00") + np.arange(ROWS) // SERIES * np.timedelta64(1, "h")
    times = np.datetime_as_string(at).tolist()
    ends = np.datetime_as_string(at + np.timedelta64(4, "h")).tolist()
    with path.open("w") as file:
        file.write(f"id,series,at,{','.join(f'f{i}' for i in range(FEATURES))},target,reward,resolved_at\n")
        for row in range(ROWS):
            numbers = ",".join(map(repr, values[row].tolist()))
            key = f"S{row % SERIES}-{row // SERIES},S{row % SERIES}"
            file.write(f"{key},{times[row]}Z,{numbers},{row % 2},{float(values[row, 0]) / 100!r},{ends[row]}Z\n")


def load(path: Path, url: Path) -> float:
    """Seconds of one call of the command, its start included."""
    started = time.perf_counter()
    command = [sys.executable, "-c", "from perennial.cli import main; main()"]
    arguments = ["store", "load", str(path), "--url-file", str(url)]
    run = subprocess.run([*command, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - started
    if not re.search(rf"^{ROWS} samples read", run.stdout):
        raise RuntimeError(f"unexpected answer: {run.stdout}")
    print(f"{seconds:.1f} s: {run.stdout.strip()}")
    return seconds


def main() -> None:
    """Loads into an empty store, then once more, which must change nothing."""
    with tempfile.TemporaryDirectory() as name, running_postgres() as server, fresh_database(server) as url:
        path, secret = Path(name, "samples.csv"), Path(name, "url")
        write_file(path)
        secret.write_text(url)
        record("store.load_rows_per_s", round(ROWS / load(path, secret)), "rows/s")
        record("store.reload_rows_per_s", round(ROWS / load(path, secret)), "rows/s")


if __name__ == "__main__":
    main()
