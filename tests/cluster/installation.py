"""The operator in the cluster, installed from the manifests that users apply."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml
from tests.cluster.kubectl import Cluster, Object
from tests.cluster.providers import ROOT

NAMESPACE = "perennial-system"
DEPLOYMENT = "perennial-operator"
MANIFESTS = ROOT / "manifests"


def edit_kustomization(kustomization: Object, images: Mapping[str, str], environment: Mapping[str, str]) -> Object:
    """As the README tells people to: their images in one file, and what else is set beside them."""
    (image,), (generator,) = kustomization["images"], kustomization["configMapGenerator"]
    name, _, tag = images["operator"].rpartition(":")
    settings = dict(literal.split("=", 1) for literal in generator["literals"])
    settings |= {"PERENNIAL_TRAINER_IMAGE": images["trainer"], "PERENNIAL_SERVER_IMAGE": images["server"]}
    if "trainer-neural" in images:
        settings["PERENNIAL_NEURAL_TRAINER_IMAGE"] = images["trainer-neural"]
    settings |= environment
    return {
        **kustomization,
        "images": [{**image, "newName": name, "newTag": tag}],
        "configMapGenerator": [{**generator, "literals": [f"{key}={value}" for key, value in settings.items()]}],
    }


def deploy_operator(
    cluster: Cluster, images: Mapping[str, str], environment: Mapping[str, str] | None = None, *, seconds: int = 180
) -> None:
    """CRDs and operator, with these images and `PERENNIAL_*` settings; returns when it is ready."""
    definitions = _render(cluster, MANIFESTS / "crds")
    cluster.apply(*definitions)
    for definition in definitions:
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{definition['metadata']['name']}", "--timeout=60s")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(MANIFESTS / "operator", Path(folder, "operator")))
        file = copy / "kustomization.yaml"
        edited = edit_kustomization(yaml.safe_load(file.read_text()), images, environment or {})
        file.write_text(json.dumps(edited))  # as YAML, a tag such as 123e45 would be a number to some
        objects = _render(cluster, copy)
    cluster.apply(*sorted(objects, key=lambda item: item["kind"] != "Namespace"))
    cluster.wait_rolled_out(NAMESPACE, DEPLOYMENT, seconds)


def _render(cluster: Cluster, folder: Path) -> list[Object]:
    rendered = cluster.kubectl("kustomize", str(folder))
    return [document for document in yaml.safe_load_all(rendered) if document]
