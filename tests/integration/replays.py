"""A small market whose rule turns over half-way, the YAML of a model and its policy, and a replay of both."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
import yaml

from perennial.adapters.store.schema import samples_table
from perennial.replay.preparation import Options
from perennial.replay.report import Report
from perennial.replay.runner import Book, Watcher, replay
from perennial.replay.scenario import read_scenario

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FEATURES = ("ret_1", "vol_24", "noise")
Row = dict[str, Any]

MODEL: dict[str, Any] = {
    "apiVersion": "perennial.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "m", "labels": {"book": "spot"}},
    "spec": {
        "algorithm": {"name": "xgboost", "parameters": {"num_boost_round": 20, "max_depth": 2}},
        "samples": {
            "readUrlFrom": {"name": "store", "key": "read"},
            "writeUrlFrom": {"name": "store", "key": "write"},
            "labelDelay": "2h",
        },
        "server": {"replicas": 2},
        "canary": {"steps": [0.34, 0.5], "minStepDuration": "2h", "minOutcomes": 30, "maxDuration": "20d"},
        "health": {"window": "8d", "minOutcomes": 40},
        "rollback": {"window": "2d"},
    },
}
POLICY: dict[str, Any] = {
    "apiVersion": "perennial.dev/v1alpha1",
    "kind": "RetrainPolicy",
    "metadata": {"name": "p"},
    "spec": {
        "selector": {"matchLabels": {"book": "spot"}},
        "triggers": {"schedule": {"every": "7d"}, "health": {}},
        "training": {"dataWindow": "20d", "holdout": {"share": 0.4, "minRows": 150}},
        "promotion": {"minOutcomes": 60},
        "limits": {"cooldown": "12h", "maxPerDay": 3},
    },
}


def turning_market(rows: int = 1800, turn: int = 1000, seed: int = 3) -> list[Row]:
    """Hours in which ``ret_1`` tells the next outcome, and from ``turn`` on tells the opposite."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, len(FEATURES)))
    sign = np.where(np.arange(rows) < turn, 1.0, -1.0)
    target = (1.5 * sign * values[:, 0] + rng.normal(size=rows) > 0).astype(int)
    reward = np.where(target == 1, 1.0, -1.0) * rng.uniform(0.001, 0.02, rows)
    return [
        {
            "id": f"s{i}",
            "series": "S",
            "at": START + i * HOUR,
            **dict(zip(FEATURES, map(float, values[i]), strict=True)),
            "target": int(target[i]),
            "reward": float(reward[i]),
            "resolved_at": START + (i + 1 + i % 2) * HOUR,
        }
        for i in range(rows)
    ]


def record(folder: Path, rows: list[Row]) -> str:
    """The rows in an SQLite file; returns its URL."""
    url = f"sqlite:///{folder / 'samples.db'}"
    engine = sa.create_engine(url)
    table = samples_table("samples", FEATURES)
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(sa.insert(table), rows)
    engine.dispose()
    return url


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Changes over a base."""
    result = dict(base)
    for name, value in changes.items():
        result[name] = merged(result[name], value) if isinstance(result.get(name), dict) else value
    return result


def write_files(folder: Path, model: dict[str, Any] | None = None, policy: dict[str, Any] | None = None) -> Path:
    """The YAML, with changes to either spec."""
    documents = [
        {**MODEL, "spec": merged(MODEL["spec"], model or {})},
        {**POLICY, "spec": merged(POLICY["spec"], policy or {})},
    ]
    path = folder / "book.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


def run(
    files: list[Path], url: str, work: Path, watcher: Watcher | None = None, **options: Any
) -> tuple[Report, list[Book]]:
    """A replay from beginning to end, unless the watcher stops it."""
    books = [Book(f"book-{number}", read_scenario([path])) for number, path in enumerate(files)]
    given = replace(Options(samples=url, work=work), **options)
    report = asyncio.run(replay(books, given, watcher or Watcher()))
    return report, books


def stated(report: Report) -> str:
    """The document without what depends on the machine."""
    return json.dumps({k: v for k, v in report.to_dict().items() if k != "measured"}, sort_keys=True)
