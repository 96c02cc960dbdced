"""A warm worker scores a recording with a model that looks back, as a server would have when each row came."""

from pathlib import Path

import numpy as np
from tests.unit.server.looking_back import DELAY, HOUR, LENGTH, expected, write_look_back
from tests.unit.server.served import FEATURES

from perennial_contract.recording import KEYS_FILE, RECORDING_FILE, UNRESOLVED, VALUES_FILE, Recording, key_hash
from perennial_contract.report import Feature
from perennial_contract.task import ArtifactRef
from perennial_contract.worker import ScoreRequest
from perennial_trainer.instants import to_micros
from perennial_trainer.worker import Worker

ROWS = 30


def record(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Thirty hours of one series and one row of another; outcomes have no time of their own."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    values = np.column_stack([rng.integers(0, 2, ROWS + 1), rng.normal(size=(ROWS + 1, 1 + len(FEATURES)))])
    at = np.append(np.arange(ROWS), ROWS - 1) * to_micros(HOUR)
    series = np.append(np.full(ROWS, key_hash("BTC")), key_hash("DOGE"))
    keys = np.column_stack([at, np.full(ROWS + 1, UNRESOLVED), series, np.arange(ROWS + 1)])
    recording = Recording(table="samples", rows=ROWS + 1, features=tuple(Feature(name=name) for name in FEATURES))
    (folder / RECORDING_FILE).write_text(recording.to_json())
    np.save(folder / KEYS_FILE, keys)
    np.save(folder / VALUES_FILE, values)
    return values[:, 2:], values[:, 0]


def score(folder: Path, digest: str, first: int, count: int) -> np.ndarray:
    request = ScoreRequest(
        artifact=ArtifactRef(uri=f"file://{folder / 'artifact'}", digest=digest),
        recording=str(folder / "samples"),
        first=first,
        count=count,
        output=str(folder / "scores.npy"),
    )
    answer = Worker().answer(request.model_dump_json(by_alias=True))
    assert answer.exit_code == 0, answer.error
    found: np.ndarray = np.load(folder / "scores.npy")
    return found


def test_rows_are_scored_by_what_was_known_then(tmp_path: Path) -> None:
    digest = write_look_back(tmp_path / "artifact", series=("BTC",))
    features, target = record(tmp_path / "samples")
    scores = score(tmp_path, digest, 0, ROWS + 1)
    # Short histories at the beginning, and a series that the model never saw: a server would have refused them.
    assert np.flatnonzero(np.isnan(scores)).tolist() == [0, 1, 2, ROWS]
    assert DELAY > HOUR  # so the last hour's outcome is not known, and the two before are
    windows = np.stack([features[row - LENGTH : row + 1] for row in range(LENGTH, ROWS)])
    told = np.stack([[*(2 * target[row - LENGTH : row - 1] - 1), 0] for row in range(LENGTH, ROWS)])
    np.testing.assert_allclose(scores[LENGTH:ROWS], expected(windows, told), atol=1e-6)
    # In pieces they are the same: what stands before a piece is seen all the same.
    np.testing.assert_array_equal(score(tmp_path, digest, 17, 9), scores[17:26])
