"""Our drift check, in a process of its own: looks, decides, prints JSON.

python -m tests.bench.drift_check URL PROFILE.json NOW
"""

import asyncio
import json
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from perennial.adapters.store.engine import POSTGRESQL, SQLITE
from perennial.adapters.store.store import SqlSampleStore
from perennial.api.model_deployment import Drift
from perennial.api.model_deployment_status import DriftStatus
from perennial.domain.drift import decide_drift
from perennial.domain.drift_evidence import complete_windows
from perennial_contract.profile import ReferenceProfile
from perennial_contract.samples import SampleContract

SPEC = Drift(window=timedelta(days=30), consecutive_windows=1)


async def check(store: SqlSampleStore, profile: ReferenceProfile, now: datetime) -> DriftStatus:
    """As the operator does it at each look."""
    contract = SampleContract(label_delay=timedelta(hours=1))
    span = complete_windows(SPEC, contract.label_delay, now)
    look = await store.observe_drift(contract, profile, model="bench/m", version="u1", span=span)
    if not look.windows:
        raise RuntimeError("the window is empty")
    return decide_drift(SPEC, profile, look, span, "m-v1")


def peak_mib() -> float:
    """The largest resident memory of this program; ``ru_maxrss`` may be that of the one that started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Connecting is timed, importing and reading the profile are not."""
    url, profile_file, now = sys.argv[1:]
    profile = ReferenceProfile.model_validate_json(Path(profile_file).read_text())
    store = SqlSampleStore(url, drivers=(POSTGRESQL, SQLITE))
    began = time.perf_counter()
    status = asyncio.run(check(store, profile, datetime.fromisoformat(now)))
    told = {
        "check_s": time.perf_counter() - began,
        "peak_mib": peak_mib(),
        "drifted": sum(feature.sign is not None for feature in status.features),
        "state": status.state,
    }
    store.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
