"""The images' tags, locks and manifests agree with what they stand for."""

import re
from pathlib import Path

import pytest
import yaml
from tests.cluster import images
from tests.cluster.images import IMAGES, Image
from tests.cluster.providers import ROOT

from perennial.settings import read_settings

LOCKS = ("operator/requirements.lock", *(f"trainer_image/{name}.lock" for name in ("shared", "server", "trainer")))


def _versions(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def _copied(dockerfile: str) -> set[str]:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / dockerfile).read_text(), re.MULTILINE)
    return {path for line in lines for path in line.split()}


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    monkeypatch.setattr(images, "ROOT", tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/main.py").write_text("print(1)")
    return Image("Dockerfile", None, ("source",))


def test_a_tag_follows_the_contents_and_names_of_its_inputs(image: Image, tmp_path: Path) -> None:
    before = image.tag()
    source = tmp_path / "source/main.py"
    source.write_text("print(2)")
    changed = image.tag()
    source.rename(tmp_path / "source/other.py")
    renamed = image.tag()
    (tmp_path / "Dockerfile").write_text("FROM other")

    assert len({before, changed, renamed, image.tag()}) == 4


def test_a_tag_ignores_bytecode(image: Image, tmp_path: Path) -> None:
    before = image.tag()
    (tmp_path / "source/__pycache__").mkdir()
    (tmp_path / "source/__pycache__/main.pyc").write_bytes(b"\0")

    assert image.tag() == before


@pytest.mark.parametrize("dockerfile", sorted({image.dockerfile for image in IMAGES.values()}))
def test_whatever_a_dockerfile_copies_is_part_of_a_tag(dockerfile: str) -> None:
    inputs = {path for image in IMAGES.values() if image.dockerfile == dockerfile for path in image.inputs}

    assert _copied(dockerfile) == inputs


@pytest.mark.parametrize("lock", LOCKS)
def test_images_hold_the_versions_that_the_tests_run_with(lock: str) -> None:
    tested = _versions("requirements-dev.lock")
    locked = _versions(lock)

    assert locked
    assert {name: tested.get(name) for name in locked} == locked


def test_no_lock_tells_where_packages_came_from() -> None:
    for lock in (*LOCKS, "requirements-dev.lock"):
        assert "://" not in (ROOT / lock).read_text(), lock


def test_the_operators_manifest_speaks_the_operators_settings() -> None:
    deployment = yaml.safe_load((ROOT / "manifests/operator/deployment.yaml").read_text())
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    settings = read_settings(environment)

    assert {f"PERENNIAL_{name.upper()}" for name in settings.model_fields_set} == set(environment)
    assert container["ports"] == [{"name": "http", "containerPort": settings.port}]
