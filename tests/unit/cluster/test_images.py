"""The images' tags, locks and manifests agree with what they stand for."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster import images
from tests.cluster.images import IMAGES, Image
from tests.cluster.installation import edit_kustomization
from tests.cluster.providers import ROOT

from perennial.settings import read_settings

LOCKS = ("operator/requirements.lock", *(f"trainer_image/{name}.lock" for name in ("shared", "server", "trainer")))

NEURAL_LOCK = "trainer_image/trainer-neural.lock"


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


def test_the_neural_image_differs_in_nothing_that_the_tests_run_with() -> None:
    tested, locked = _versions("requirements-dev.lock"), _versions(NEURAL_LOCK)

    assert {"neuralforecast", "onnxscript", "safetensors"} <= set(locked)
    assert not {name for name in locked if name.startswith(("nvidia", "cuda", "triton"))}
    assert {name: version for name, version in locked.items() if name in tested} == {
        name: tested[name] for name in locked if name in tested
    }


def test_no_lock_tells_where_packages_came_from() -> None:
    for lock in (*LOCKS, NEURAL_LOCK, "requirements-dev.lock"):
        assert "://" not in (ROOT / lock).read_text(), lock


def _manifest(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "manifests/operator" / name).read_text())
    return document


def _environment(kustomization: dict[str, Any]) -> dict[str, str]:
    (generator,) = kustomization["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in generator["literals"])


def test_the_operators_manifest_speaks_the_operators_settings() -> None:
    container = _manifest("deployment.yaml")["spec"]["template"]["spec"]["containers"][0]
    environment = _environment(_manifest("kustomization.yaml"))
    settings = read_settings(environment)

    assert {f"PERENNIAL_{name.upper()}" for name in settings.model_fields_set} == set(environment)
    assert container["ports"] == [{"name": "http", "containerPort": settings.port}]


def test_the_kustomization_alone_says_which_images_run() -> None:
    deployment, kustomization = _manifest("deployment.yaml"), _manifest("kustomization.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (image,), (generator,) = kustomization["images"], kustomization["configMapGenerator"]

    assert container["image"] == image["name"]
    assert container["envFrom"] == [{"configMapRef": {"name": generator["name"]}}]
    assert "env" not in container, "it would win over what the kustomization says"
    assert generator["namespace"] == deployment["metadata"]["namespace"]
    assert {image["newName"], *_environment(kustomization).values()} == {
        "perennial-operator",
        f"perennial-trainer:{image['newTag']}",
        f"perennial-trainer-neural:{image['newTag']}",
        f"perennial-server:{image['newTag']}",
    }


def test_the_cluster_under_test_runs_the_images_under_test() -> None:
    images = {name: f"registry:5000/perennial-{name}:{name}123" for name in IMAGES}
    edited = edit_kustomization(_manifest("kustomization.yaml"), images, {"PERENNIAL_POLL_SECONDS": "1"})

    (image,) = edited["images"]
    assert f"{image['newName']}:{image['newTag']}" == images["operator"]
    assert _environment(edited) == {
        "PERENNIAL_TRAINER_IMAGE": images["trainer"],
        "PERENNIAL_NEURAL_TRAINER_IMAGE": images["trainer-neural"],
        "PERENNIAL_SERVER_IMAGE": images["server"],
        "PERENNIAL_POLL_SECONDS": "1",
    }
