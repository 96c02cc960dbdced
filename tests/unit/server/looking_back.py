"""A model that looks back on three rows, as a real artifact, and what it must say."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from tests.unit.server.served import FEATURES

from perennial_contract.artifacts import describe_file, digest_file
from perennial_contract.recording import key_hash
from perennial_contract.report import MANIFEST_FILE, Feature, Manifest
from perennial_contract.sequence import SEQUENCE_FILE, Sequence, series_key

FILE = Path(__file__).parents[2] / "data" / "look_back.onnx"
"""Made by `tests.neural.look_back`, of these weights."""
LENGTH, WIDTH = 3, len(FEATURES)
OF_FEATURES = np.array([[0.1, -0.2, 0.3], [-0.4, 0.5, 0.6], [0.7, 0.8, -0.9], [1.0, -1.1, 1.2]])
OF_TARGETS = np.array([0.15, -0.25, 0.35])
HOUR = timedelta(hours=1)
DELAY = timedelta(minutes=90)


def expected(windows: Any, targets: Any = ((0, 0, 0),)) -> Any:
    """P(target = 1) of windows [n, 4, 3] and past targets [n, 3] of −1, 0, 1."""
    logits = (np.asarray(windows) * OF_FEATURES).sum(axis=(1, 2)) + (np.asarray(targets) * OF_TARGETS).sum(axis=1)
    return 1 / (1 + np.exp(-logits))


def write_look_back(
    directory: Path, *, members: int = 1, series: tuple[str, ...] = ("BTC", "ETH"), **changes: Any
) -> str:
    """Writes the artifact; the digest of its manifest."""
    directory.mkdir(parents=True, exist_ok=True)
    names = ["model.onnx", *(f"model-{n}.onnx" for n in range(2, members + 1))]
    for name in names:
        (directory / name).write_bytes(FILE.read_bytes())
    sequence = Sequence(
        input_size=LENGTH, label_delay=DELAY, steps={series_key(key_hash(name)): 3_600_000_000 for name in series}
    )
    (directory / SEQUENCE_FILE).write_text(sequence.model_copy(update=changes).to_json())
    manifest = Manifest(
        algorithm="nhits",
        model_file=names[0],
        member_files=tuple(names[1:]),
        features=tuple(Feature(name=feature) for feature in FEATURES),
        seed=7,
        fingerprint="sha256:" + "0" * 64,
        libraries={},
        files=tuple(describe_file(directory / name) for name in (*names, SEQUENCE_FILE)),
    )
    (directory / MANIFEST_FILE).write_text(manifest.to_json())
    return digest_file(directory / MANIFEST_FILE)
