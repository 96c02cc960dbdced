"""A folder with a sample store and an artifact store, and a pattern that only a look back can see."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.trainer.workbench import FEATURES, HOUR, START, Bench

SMALL: dict[str, dict[str, Any]] = {
    "nhits": {"input_size": 6, "max_steps": 60, "val_check_steps": 10, "mlp_units": [[24, 24]] * 3},
    "patchtst": {
        "input_size": 6,
        "max_steps": 60,
        "val_check_steps": 10,
        "hidden_size": 16,
        "n_heads": 2,
        "encoder_layers": 1,
        "linear_hidden_size": 16,
        "patch_len": 4,
        "stride": 2,
        "learning_rate": 0.005,
    },
}
"""Networks that train in a second."""


def panel(rows: int, series: tuple[str, ...] = ("btc", "eth"), seed: int = 0) -> list[dict[str, Any]]:
    """Hours of made-up markets: the outcome is told by ``ret_1`` of the row two hours before, and by nothing else."""
    found = []
    for number, name in enumerate(series):
        rng = np.random.default_rng(seed + number)
        values = rng.normal(size=(rows, len(FEATURES)))
        told = np.concatenate([np.zeros(2), values[:-2, 0]])
        target = (told * 3 + rng.normal(size=rows) > 0).astype(int)
        reward = np.where(target == 1, 1.0, -1.0) * rng.uniform(0.001, 0.02, rows)
        found += [
            {
                "id": f"{name}-{i}",
                "series": name,
                "at": START + i * HOUR,
                **dict(zip(FEATURES, map(float, values[i]), strict=True)),
                "target": int(target[i]),
                "reward": float(reward[i]),
                "resolved_at": START + i * HOUR + timedelta(minutes=90),
            }
            for i in range(rows)
        ]
    return found


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[list[dict[str, Any]]], Bench]:
    """A bench with the rows."""
    return lambda rows: Bench(tmp_path).fill(rows)


def algorithm(name: str, **more: Any) -> dict[str, Any]:
    """A task's ``algorithm`` of a small network."""
    members = more.pop("members", 1)
    return {"name": name, "parameters": {**SMALL[name], **more}, "members": members}
