"""A server takes its model from a real S3-compatible store, and keeps nothing of it on disk."""

from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store
from tests.integration.object_store import BUCKET, ObjectServer, running_object_store
from tests.unit.server.served import ROWS, train_xgboost, write_artifact

from perennial_contract.artifacts import ArtifactError
from perennial_contract.task import ArtifactRef
from perennial_server.artifact import ArtifactUnreachableError, open_artifact
from perennial_server.errors import ConfigError
from perennial_server.models import load_model


@pytest.fixture(scope="module")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with running_object_store(tmp_path_factory.mktemp("objects")) as server:
        yield server


@pytest.fixture(autouse=True)
def credentials(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in object_server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def ref(tmp_path: Path) -> ArtifactRef:
    """An artifact in the bucket."""
    digest = write_artifact(tmp_path / "a")
    for path in (tmp_path / "a").iterdir():
        obstore.put(S3Store(BUCKET), f"deep/{tmp_path.name}/{path.name}", path.read_bytes())
    return ArtifactRef(uri=f"s3://{BUCKET}/deep/{tmp_path.name}", digest=digest)


def test_a_model_from_a_bucket_scores(ref: ArtifactRef) -> None:
    with open_artifact(ref) as (directory, manifest):
        model = load_model(directory, manifest)
    assert not directory.exists()
    assert model.score(ROWS)[0].tolist() == train_xgboost().inplace_predict(ROWS).astype(float).tolist()


def test_a_changed_byte_in_the_bucket_is_refused(ref: ArtifactRef, tmp_path: Path) -> None:
    key = f"deep/{tmp_path.name}/model.ubj"
    content = bytearray(bytes(obstore.get(S3Store(BUCKET), key).bytes()))
    content[-1] ^= 1
    obstore.put(S3Store(BUCKET), key, bytes(content))
    with pytest.raises(ArtifactError, match=r"model\.ubj: digest is"), open_artifact(ref):
        pytest.fail("opened")


def test_files_that_are_missing_in_the_bucket_are_named(ref: ArtifactRef, tmp_path: Path) -> None:
    obstore.delete(S3Store(BUCKET), f"deep/{tmp_path.name}/model.ubj")
    with pytest.raises(ArtifactError, match=r"model\.ubj: listed in manifest\.json but missing"), open_artifact(ref):
        pytest.fail("opened")
    obstore.delete(S3Store(BUCKET), f"deep/{tmp_path.name}/manifest.json")
    with pytest.raises(ArtifactError, match=r"manifest\.json: missing"), open_artifact(ref):
        pytest.fail("opened")


def test_wrong_credentials_are_the_configurations_fault(ref: ArtifactRef, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    with pytest.raises(ConfigError, match="access denied: check the Secret") as refused, open_artifact(ref):
        pytest.fail("opened")
    assert "hunter2" not in str(refused.value)


def test_a_store_that_does_not_answer_may_answer_later(ref: ArtifactRef, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ArtifactUnreachableError, match=BUCKET) as refused, open_artifact(ref):
        pytest.fail("opened")
    assert "\n" not in str(refused.value)


def test_other_stores_are_not_read() -> None:
    ref = ArtifactRef(uri="https://models/x", digest="sha256:" + "0" * 64)
    with pytest.raises(ConfigError, match=r"'https://models/x' is neither file:///… nor s3://…"), open_artifact(ref):
        pytest.fail("opened")
