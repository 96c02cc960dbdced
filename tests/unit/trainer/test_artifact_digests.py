"""One byte anywhere is noticed, by name; and what is written once stays."""

from pathlib import Path

import pytest

from perennial_contract.artifacts import ArtifactError, describe_file, digest_bytes, verify_artifact
from perennial_contract.report import MANIFEST_FILE, Manifest
from perennial_contract.task import ArtifactRef
from perennial_trainer.artifacts import fetch_artifact, find_artifact, open_store, publish_artifact
from perennial_trainer.errors import TaskWrong, Unavailable

FILES = {"model.ubj": b"trees", "profile.json": b"{}", "report.json": b"{ }"}


def build(directory: Path, files: dict[str, bytes] = FILES, model_file: str = "model.ubj") -> str:
    """An artifact's directory; returns its digest."""
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    manifest = Manifest(
        algorithm="xgboost",
        model_file=model_file,
        features=(),
        seed=1,
        fingerprint="",
        libraries={},
        files=tuple(describe_file(directory / name) for name in files),
    )
    (directory / MANIFEST_FILE).write_text(manifest.to_json())
    return digest_bytes((directory / MANIFEST_FILE).read_bytes())


def flip(path: Path, position: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_an_intact_artifact_gives_its_manifest(tmp_path: Path) -> None:
    digest = build(tmp_path / "a")
    assert verify_artifact(tmp_path / "a", digest).model_file == "model.ubj"


@pytest.mark.parametrize("name", [*FILES, MANIFEST_FILE])
@pytest.mark.parametrize("position", [0, -1])
def test_one_changed_byte_is_refused_and_the_file_named(tmp_path: Path, name: str, position: int) -> None:
    digest = build(tmp_path / "a")
    flip(tmp_path / "a" / name, position)
    with pytest.raises(ArtifactError, match=f"^{name}: digest is sha256:.*, expected sha256:.*: refused$"):
        verify_artifact(tmp_path / "a", digest)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_longer_file_is_named(tmp_path: Path, name: str) -> None:
    digest = build(tmp_path / "a")
    with (tmp_path / "a" / name).open("ab") as file:
        file.write(b"!")
    with pytest.raises(ArtifactError, match=f"^{name}: .* bytes, expected"):
        verify_artifact(tmp_path / "a", digest)
    (tmp_path / "a" / name).unlink()
    with pytest.raises(ArtifactError, match=f"^{name}: listed in manifest.json but missing$"):
        verify_artifact(tmp_path / "a", digest)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", "manifest.json", "a\\\\b"])
def test_a_manifest_cannot_reach_out_of_its_directory(tmp_path: Path, name: str) -> None:
    build(tmp_path / "a")
    manifest = tmp_path / "a" / MANIFEST_FILE
    manifest.write_text(manifest.read_text().replace('"profile.json"', f'"{name}"'))
    with pytest.raises(ArtifactError, match="is not a plain file name"):
        verify_artifact(tmp_path / "a", digest_bytes(manifest.read_bytes()))


def test_a_manifest_that_is_none_or_forgets_the_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"manifest\.json: missing"):
        verify_artifact(tmp_path, digest_bytes(b""))
    (tmp_path / MANIFEST_FILE).write_bytes(b"{}")
    with pytest.raises(ArtifactError, match=r"manifest\.json: algorithm: Field required"):
        verify_artifact(tmp_path, digest_bytes(b"{}"))
    with pytest.raises(ArtifactError, match=r"model file 'other\.ubj' is not among its files"):
        verify_artifact(tmp_path / "a", build(tmp_path / "a", model_file="other.ubj"))


def test_a_directory_store_gives_back_what_was_put(tmp_path: Path) -> None:
    build(tmp_path / "a")
    store, scratch, copy = f"file://{tmp_path / 'store'}", tmp_path / "scratch", tmp_path / "copy"
    scratch.mkdir()
    copy.mkdir()
    ref = publish_artifact(store, "ns/model-uid/v1", tmp_path / "a", scratch)
    assert ref.uri == f"{store}/ns/model-uid/v1"
    assert fetch_artifact(ref, copy).model_file == "model.ubj"
    assert {path.name: path.read_bytes() for path in copy.iterdir() if path.name in FILES} == FILES
    assert find_artifact(store, "ns/model-uid/v1", scratch) == ref
    assert find_artifact(store, "ns/model-uid/v2", scratch) is None


def test_the_same_artifact_again_is_fine_and_another_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "a")
    build(tmp_path / "b", {**FILES, "model.ubj": b"other"})
    store, scratch = f"file://{tmp_path / 'store'}", tmp_path / "scratch"
    scratch.mkdir()
    first = publish_artifact(store, "v1", tmp_path / "a", scratch)
    assert publish_artifact(store, "v1", tmp_path / "a", scratch) == first
    with pytest.raises(TaskWrong, match=r"holds another artifact .*never overwritten"):
        publish_artifact(store, "v1", tmp_path / "b", scratch)
    assert (tmp_path / "store/v1/model.ubj").read_bytes() == b"trees"


def test_what_a_killed_attempt_left_is_no_artifact_and_is_cleared_away(tmp_path: Path) -> None:
    build(tmp_path / "a")
    (tmp_path / "store/ns/.v1.partial-x").mkdir(parents=True)
    (tmp_path / "scratch").mkdir()
    publish_artifact(f"file://{tmp_path / 'store'}", "ns/v1", tmp_path / "a", tmp_path / "scratch")
    assert [path.name for path in (tmp_path / "store/ns").iterdir()] == ["v1"]


def test_another_user_may_read_what_was_published(tmp_path: Path) -> None:
    build(tmp_path / "a")
    (tmp_path / "scratch").mkdir()
    publish_artifact(f"file://{tmp_path / 'store'}", "v1", tmp_path / "a", tmp_path / "scratch")
    assert (tmp_path / "store/v1").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "store/v1/model.ubj").stat().st_mode & 0o777 == 0o644


def test_a_changed_byte_in_the_store_is_refused_with_the_artifact_and_the_file(tmp_path: Path) -> None:
    build(tmp_path / "a")
    for name in ("scratch", "copy"):
        (tmp_path / name).mkdir()
    ref = publish_artifact(f"file://{tmp_path / 'store'}", "v1", tmp_path / "a", tmp_path / "scratch")
    flip(tmp_path / "store/v1/model.ubj")
    with pytest.raises(ArtifactError, match=r"artifact file://.*/v1: model\.ubj: digest is"):
        fetch_artifact(ref, tmp_path / "copy")


def test_an_artifact_that_is_not_there_is_named(tmp_path: Path) -> None:
    ref = ArtifactRef(uri=f"file://{tmp_path}/nothing", digest=digest_bytes(b""))
    with pytest.raises(ArtifactError, match=r"/nothing: manifest\.json: missing"):
        fetch_artifact(ref, tmp_path)


def test_a_volume_that_cannot_be_written_may_be_there_later(tmp_path: Path) -> None:
    build(tmp_path / "a")
    (tmp_path / "scratch").mkdir()
    (tmp_path / "store").write_text("a file where the volume should be")
    with pytest.raises(Unavailable, match=r"artifact store: .*Not a directory"):
        publish_artifact(f"file://{tmp_path / 'store'}", "v1", tmp_path / "a", tmp_path / "scratch")


@pytest.mark.parametrize("url", ["gs://bucket", "file://host/path", "/artifacts", "s3://", "http://bucket/x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(TaskWrong, match="is not supported; use file:///directory or s3://bucket/prefix"):
        open_store(url)
