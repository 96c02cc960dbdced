"""Tiny models as real artifacts, and servers' configurations for them."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import xgboost

from perennial_contract.artifacts import describe_file, digest_file
from perennial_contract.report import MANIFEST_FILE, Feature, Manifest
from perennial_contract.serving import ServerConfig

FEATURES = ("ret_1", "vol_24", 'Mixed Case"; --')
ROWS = np.random.default_rng(7).normal(size=(400, len(FEATURES)))
_TARGET = (ROWS[:, 0] + 0.5 * ROWS[:, 1] > 0).astype(float)


def train_xgboost(rounds: int = 5) -> Any:
    """A booster that knows no feature names, as one trained on arrays."""
    return xgboost.train(
        {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, xgboost.DMatrix(ROWS, _TARGET), rounds
    )


def train_lightgbm(rounds: int = 5) -> Any:
    """The same, by the other library."""
    return lightgbm.train(
        {"objective": "binary", "num_leaves": 7, "num_threads": 1, "verbosity": -1},
        lightgbm.Dataset(ROWS, _TARGET),
        rounds,
    )


def write_artifact(
    directory: Path,
    algorithm: str = "xgboost",
    *,
    rounds: int = 5,
    features: tuple[str, ...] = FEATURES,
    booster: Any = None,
) -> str:
    """Writes model and manifest into the directory; the digest of the manifest."""
    directory.mkdir(parents=True, exist_ok=True)
    train, name = {"xgboost": (train_xgboost, "model.ubj"), "lightgbm": (train_lightgbm, "model.txt")}[algorithm]
    (booster or train(rounds)).save_model(str(directory / name))
    manifest = Manifest(
        algorithm=algorithm,
        model_file=name,
        features=tuple(Feature(name=feature) for feature in features),
        seed=7,
        fingerprint="sha256:" + "0" * 64,
        libraries={},
        files=(describe_file(directory / name),),
    )
    (directory / MANIFEST_FILE).write_text(manifest.to_json())
    return digest_file(directory / MANIFEST_FILE)


def make_config(directory: Path, digest: str, **changes: Any) -> ServerConfig:
    """A configuration as the operator writes it."""
    document = {
        "model": "books/ensemble",
        "name": "ensemble",
        "version": "uid-1",
        "versionName": "ensemble-v1",
        "track": "live",
        "algorithm": "xgboost",
        "artifact": {"uri": f"file://{directory}", "digest": digest},
        "samples": {"labelDelay": "5h"},
        "decision": {},
        **changes,
    }
    return ServerConfig.model_validate(document)


def tensor(name: str, data: list[Any], datatype: str = "FP64", shape: list[int] | None = None) -> dict[str, Any]:
    """A tensor of the protocol."""
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def request_for(ids: list[str], rows: Any = None, **changes: Any) -> dict[str, Any]:
    """A whole request with all features in one tensor."""
    rows = ROWS[: len(ids)].tolist() if rows is None else rows
    tensors = {
        "features": tensor("features", rows, shape=[len(ids), len(FEATURES)]),
        "sample_id": tensor("sample_id", list(ids), "BYTES"),
        "series": tensor("series", ["BTC"] * len(ids), "BYTES"),
        "at": tensor("at", ["2024-05-01T12:00:00Z"] * len(ids), "BYTES"),
        **changes,
    }
    return {"inputs": [value for value in tensors.values() if value is not None]}
