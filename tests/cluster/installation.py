"""The operator in the cluster, installed from the manifests that users apply."""

from collections.abc import Mapping

import yaml
from tests.cluster.kubectl import Cluster, Object
from tests.cluster.providers import ROOT

NAMESPACE = "perennial-system"
DEPLOYMENT = "perennial-operator"


def _build_deployment(deployment: Object, images: Mapping[str, str], environment: Mapping[str, str]) -> Object:
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    wanted = {"PERENNIAL_TRAINER_IMAGE": images["trainer"], "PERENNIAL_SERVER_IMAGE": images["server"], **environment}
    kept = [variable for variable in container["env"] if variable["name"] not in wanted]
    container["env"] = kept + [{"name": name, "value": value} for name, value in wanted.items()]
    container["image"] = images["operator"]
    return deployment


def deploy_operator(
    cluster: Cluster, images: Mapping[str, str], environment: Mapping[str, str] | None = None, *, seconds: int = 180
) -> None:
    """CRDs and operator, with these images and `PERENNIAL_*` settings; returns when it is ready."""
    objects: list[Object] = []
    for folder in ("crds", "operator"):
        rendered = cluster.kubectl("kustomize", str(ROOT / "manifests" / folder))
        objects += [document for document in yaml.safe_load_all(rendered) if document]
    definitions = [item for item in objects if item["kind"] == "CustomResourceDefinition"]
    cluster.apply(*definitions)
    for definition in definitions:
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{definition['metadata']['name']}", "--timeout=60s")
    others = [item for item in objects if item["kind"] != "CustomResourceDefinition"]
    cluster.apply(
        *(
            _build_deployment(item, images, environment or {}) if item["kind"] == "Deployment" else item
            for item in sorted(others, key=lambda item: item["kind"] != "Namespace")
        )
    )
    cluster.wait_rolled_out(NAMESPACE, DEPLOYMENT, seconds)
