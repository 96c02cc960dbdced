"""Where measurements end up: one JSON file that every benchmark merges its figures into."""

import json
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("results.json")


def record(name: str, value: float, unit: str, results: Path = RESULTS) -> None:
    """Sets one figure and leaves the others as they are; names come sorted, so that a diff shows what changed."""
    known = json.loads(results.read_text()) if results.exists() else {}
    known[name] = {"value": value, "unit": unit, "measured": datetime.now(UTC).date().isoformat()}
    partial = results.with_suffix(".partial")
    partial.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    partial.replace(results)
