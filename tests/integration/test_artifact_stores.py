"""Artifacts in a real S3-compatible store: written last things last, read back whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store
from tests.integration.object_store import BUCKET, ObjectServer, running_object_store
from tests.unit.trainer.workbench import Bench, market

from perennial_contract.artifacts import ArtifactError, describe_file, digest_bytes
from perennial_contract.report import MANIFEST_FILE, Manifest
from perennial_contract.task import ArtifactRef
from perennial_trainer.artifacts import fetch_artifact, find_artifact, publish_artifact
from perennial_trainer.checkpoints import Checkpoints
from perennial_trainer.errors import TaskWrong, Unavailable
from perennial_trainer.main import main

STORE = f"s3://{BUCKET}/prefix/deep"


@pytest.fixture(scope="module")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with running_object_store(tmp_path_factory.mktemp("objects")) as server:
        yield server


@pytest.fixture(autouse=True)
def credentials(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in object_server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket() -> S3Store:
    """The bucket's objects, past everything that is under test."""
    return S3Store(BUCKET)


def build(directory: Path, model: bytes = b"trees" * 2_000_000) -> Path:
    """An artifact whose model is larger than one part of an upload."""
    directory.mkdir(parents=True)
    files = {"model.ubj": model, "profile.json": b"{}", "report.json": b"{}"}
    for name, content in files.items():
        (directory / name).write_bytes(content)
    manifest = Manifest(
        algorithm="xgboost",
        model_file="model.ubj",
        features=(),
        seed=1,
        fingerprint="",
        libraries={},
        files=tuple(describe_file(directory / name) for name in files),
    )
    (directory / MANIFEST_FILE).write_text(manifest.to_json())
    return directory


@pytest.mark.parametrize("kind", ["s3", "directory"])
def test_checkpoints_are_replaced_and_go_as_one(kind: str, tmp_path: Path) -> None:
    store = STORE if kind == "s3" else f"file://{tmp_path}"
    checkpoints = Checkpoints(store, "trading/m/v1.checkpoint", "a" * 64)
    other = Checkpoints(store, "trading/m/v1.checkpoint", "b" * 64)
    first, second = checkpoints.of(1), checkpoints.of(2)
    assert first.read("running") is None
    first.write("running", b"1" * 20_000_000)
    first.write("running", b"2" * 20_000_000)
    second.write("running", b"second")
    assert first.read("running") == b"2" * 20_000_000
    assert second.read("running") == b"second"
    assert other.of(1).read("running") is None
    Checkpoints(store, "trading/m/v1", "a" * 64).remove()  # a folder's neighbours are none of its own
    assert second.read("running") == b"second"
    other.remove()
    assert first.read("running") is None
    assert second.read("running") is None
    checkpoints.remove()


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def publish(path: str, directory: Path, tmp_path: Path) -> ArtifactRef:
    scratch = tmp_path / f"scratch-{directory.name}"
    scratch.mkdir(exist_ok=True)
    return publish_artifact(STORE, path, directory, scratch)


def test_what_was_put_comes_back_verified(tmp_path: Path) -> None:
    source = build(tmp_path / "a")
    ref = publish("ns/model-uid/v1", source, tmp_path)
    assert ref.uri == f"{STORE}/ns/model-uid/v1"
    copy = folder(tmp_path / "copy")
    assert fetch_artifact(ref, copy).model_file == "model.ubj"
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == {
        path.name: path.read_bytes() for path in source.iterdir()
    }


def test_the_same_again_is_fine_and_another_is_refused(tmp_path: Path) -> None:
    first = publish("twice", build(tmp_path / "a"), tmp_path)
    assert publish("twice", tmp_path / "a", tmp_path) == first
    with pytest.raises(TaskWrong, match=r"holds another artifact .*never overwritten"):
        publish("twice", build(tmp_path / "b", b"other"), tmp_path)
    fetch_artifact(first, folder(tmp_path / "copy"))


def test_a_folder_without_its_manifest_is_no_artifact_and_is_completed(tmp_path: Path, bucket: S3Store) -> None:
    obstore.put(bucket, "prefix/deep/half/model.ubj", b"of an attempt that was killed")
    assert find_artifact(STORE, "half", folder(tmp_path / "s")) is None
    ref = publish("half", build(tmp_path / "a"), tmp_path)
    fetch_artifact(ref, folder(tmp_path / "copy"))


@pytest.mark.parametrize("name", ["model.ubj", "profile.json", "report.json", MANIFEST_FILE])
def test_one_changed_byte_is_refused_and_the_file_named(tmp_path: Path, bucket: S3Store, name: str) -> None:
    ref = publish(f"tampered-{name}", build(tmp_path / "a", b"trees"), tmp_path)
    key = f"prefix/deep/tampered-{name}/{name}"
    content = bytearray(bytes(obstore.get(bucket, key).bytes()))
    content[-1] ^= 1
    obstore.put(bucket, key, bytes(content))
    with pytest.raises(ArtifactError, match=rf"artifact {STORE}/tampered-{name}: {name}: digest is"):
        fetch_artifact(ref, folder(tmp_path / "copy"))


def test_a_missing_file_and_a_missing_artifact_are_named(tmp_path: Path, bucket: S3Store) -> None:
    ref = publish("holey", build(tmp_path / "a", b"trees"), tmp_path)
    obstore.delete(bucket, "prefix/deep/holey/profile.json")
    with pytest.raises(ArtifactError, match=r"profile\.json: listed in manifest\.json but missing"):
        fetch_artifact(ref, folder(tmp_path / "copy"))
    nothing = ArtifactRef(uri=f"{STORE}/nothing", digest=digest_bytes(b""))
    with pytest.raises(ArtifactError, match=r"nothing: manifest\.json: missing"):
        fetch_artifact(nothing, folder(tmp_path / "other"))


def test_wrong_credentials_are_the_tasks_fault_and_stay_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    with pytest.raises(TaskWrong, match=r"s3://models: access denied; check the Secret") as caught:
        publish("denied", build(tmp_path / "a", b"trees"), tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_store_that_does_not_answer_may_answer_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"artifact store: s3://models: ") as caught:
        publish("away", build(tmp_path / "a", b"trees"), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_version_is_trained_into_a_bucket_and_beaten_from_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path).fill(market(1_000))
    (tmp_path / "url").write_text(bench.url)
    arguments = ["--task", str(tmp_path / "task.json"), "--samples-url-file", str(tmp_path / "url")]
    (tmp_path / "task.json").write_text(bench.task(store=STORE).to_json())
    assert main(arguments) == 0
    [row] = bench.sql("SELECT * FROM model_reports")
    ref = ArtifactRef(uri=f"{STORE}/trading/btc-m-uid/v1", digest=row.digest)
    champion = {"name": "btc-v1", "uid": "v-uid-1", "artifact": ref.model_dump()}
    (tmp_path / "task.json").write_text(bench.task(2, store=STORE, champion=champion).to_json())
    assert main(arguments) == 0
    assert len(bench.sql("SELECT * FROM model_reports")) == 2
