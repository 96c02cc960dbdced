"""Where measurements end up: one JSON file that every benchmark merges its figures into."""

import json
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("results.json")


def record(name: str, value: float, unit: str, results: Path = RESULTS) -> None:
    """Sets one figure and leaves the others as they are; names come sorted, so that a diff shows what changed."""
    _set(name, {"value": value, "unit": unit}, results)


def record_missing(name: str, reason: str, results: Path = RESULTS) -> None:
    """A figure that could not be measured, and why."""
    _set(name, {"missing": reason}, results)


def _set(name: str, what: dict[str, float | str], results: Path) -> None:
    known = json.loads(results.read_text()) if results.exists() else {}
    known[name] = {**what, "measured": datetime.now(UTC).date().isoformat()}
    partial = results.with_suffix(".partial")
    partial.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    partial.replace(results)
