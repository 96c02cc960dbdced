"""Evidently's drift check, in the virtual environment of its own that `drift.py` makes: reads, checks, prints JSON.

    python evidently_check.py URL|FILE.npy METHOD REFERENCE_FROM REFERENCE_UNTIL CURRENT_UNTIL FEATURES

The samples from REFERENCE_FROM on are the reference, those from REFERENCE_UNTIL on the current data, up to and without
CURRENT_UNTIL. The rows of an array are split in the same proportion as the times.
"""

import json
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def read(source: str, names: list[str], begin: datetime, middle: datetime, end: datetime) -> list[pd.DataFrame]:
    """Reference and current rows, as pandas' guide reads them."""
    if source.endswith(".npy"):
        rows = pd.DataFrame(np.load(source), columns=names)
        cut = round(len(rows) * ((middle - begin) / (end - begin)))
        return [rows[:cut], rows[cut:]]
    at = sa.column("at", sa.DateTime(timezone=True))
    query = sa.select(*map(sa.column, names)).select_from(sa.table("samples"))
    with sa.create_engine(source).connect() as connection:
        return [
            pd.read_sql_query(query.where(at >= since, at < until), connection)
            for since, until in ((begin, middle), (middle, end))
        ]


def peak_mib() -> float:
    """The largest resident memory of this program; ``ru_maxrss`` may be that of the one that started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Times the reading, connecting included, and the check; importing is left out of both."""
    source, method, *times, features = sys.argv[1:]
    names = [f"f{i}" for i in range(int(features))]
    began = time.perf_counter()
    reference, current = read(source, names, *map(datetime.fromisoformat, times))
    read_at = time.perf_counter()
    definition = DataDefinition(numerical_columns=names)
    preset = DataDriftPreset() if method == "default" else DataDriftPreset(method=method)
    found = Report([preset]).run(
        Dataset.from_pandas(current, data_definition=definition),
        Dataset.from_pandas(reference, data_definition=definition),
    )
    [count] = [one["value"] for one in found.dict()["metrics"] if "DriftedColumnsCount" in one["metric_name"]]
    checked_at = time.perf_counter()
    told = {
        "rows": len(current),
        "reference_rows": len(reference),
        "drifted": int(count["count"]),
        "read_s": read_at - began,
        "check_s": checked_at - read_at,
        "peak_mib": peak_mib(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
