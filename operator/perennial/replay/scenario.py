"""The YAML that would be applied, read as a cluster would read it."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from perennial.adapters.cluster import MODEL_DEPLOYMENT, MODEL_VERSION, RETRAIN_POLICY, SECRET, Kind, Object
from perennial.api import API_VERSION
from perennial.api.base import Spec
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.model_version import ModelVersionSpec
from perennial.api.retrain_policy import RetrainPolicySpec
from perennial.api.shared import MODEL_NAME_LENGTH
from perennial.api.validation import InvalidSpec, not_implemented, parse_spec
from perennial.controllers.governance import governing_policy
from perennial.controllers.objects import parse_policy
from perennial.domain.selector import matches
from perennial_contract.boosting import DEFAULT_LEARNING_RATE, DEFAULT_ROUNDS, LEARNING_RATE_NAMES, ROUNDS_NAMES
from perennial_contract.sequence import DEFAULT_MAX_STEPS
from perennial_contract.task import NEURAL

_SPECS: dict[Kind, type[Spec]] = {
    MODEL_DEPLOYMENT: ModelDeploymentSpec,
    RETRAIN_POLICY: RetrainPolicySpec,
    MODEL_VERSION: ModelVersionSpec,
}
_KINDS = {kind.kind: kind for kind in _SPECS}
_ENDINGS = (".yaml", ".yml")


class ScenarioError(ValueError):
    """The files cannot be replayed. One line: the file, the field, the value and the fix."""


@dataclass(frozen=True)
class Scenario:
    """Models, policies and what they need, ready to be applied."""

    name: str
    """Of the first file that declares a policy."""
    objects: tuple[tuple[Kind, Object], ...]
    models: dict[str, ModelDeploymentSpec]
    """By namespace/name."""
    without_effect: tuple[str, ...]
    """What is declared and not built yet: a sentence each."""
    ungoverned: tuple[str, ...]
    """Models that no policy selects: nobody retrains them."""
    contested: tuple[str, ...]
    """Models that several policies select, and who of these governs: a sentence each."""

    @property
    def policies(self) -> list[tuple[str, RetrainPolicySpec]]:
        """The policies by namespace/name."""
        bodies = [body for kind, body in self.objects if kind is RETRAIN_POLICY]
        parsed = [parse_policy(body) for body in bodies]
        return [(f"{p.namespace}/{p.name}", p.spec) for p in parsed if p.spec]


def read_scenario(paths: Sequence[Path], *, speed_up: int = 1) -> Scenario:
    """Everything of ours in the files, folders searched through; of what else stands in them nothing is needed.

    Args:
        speed_up: so many times fewer boosting rounds, at so many times the learning rate.

    Raises:
        ScenarioError: a file cannot be read, an object is invalid (as the CRD or the operator says it), or there is no
            model or no policy.
    """
    objects: list[tuple[Kind, Object]] = []
    models: dict[str, ModelDeploymentSpec] = {}
    gaps: list[str] = []
    declaring: list[str] = []
    for path, document in _documents(paths):
        kind, body = _checked(path, document)
        spec = _parsed(path, kind, body)
        where = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
        gaps += [f"{kind.kind} {where}: {gap}" for gap in not_implemented(spec)]
        if any(of is kind and _name(other) == _name(body) for of, other in objects):
            raise ScenarioError(f"{path}: {kind.kind} {where}: stands in the files twice: remove one")
        if isinstance(spec, ModelDeploymentSpec):
            if spec.algorithm.name in NEURAL and find_spec("neuralforecast") is None:
                raise ScenarioError(
                    f"{path}: spec.algorithm.name: {spec.algorithm.name}: a replay trains where it runs, and "
                    "neuralforecast is not installed here: pip install 'perennial[replay,neural]'"
                )
            models[where] = spec
            body = _quickened(body, speed_up)
        if kind is RETRAIN_POLICY:
            declaring.append(path.stem)
        objects.append((kind, body))
    names = ", ".join(map(str, paths))
    if not models:
        raise ScenarioError(f"-f {names}: there is no ModelDeployment in it: name a file that declares one")
    if not declaring:
        raise ScenarioError(f"-f {names}: there is no RetrainPolicy in it: name a file that declares one")
    order = [SECRET, MODEL_DEPLOYMENT, RETRAIN_POLICY, MODEL_VERSION]
    objects += [(SECRET, secret) for secret in _secrets(models)]
    objects.sort(key=lambda item: (order.index(item[0]), _name(item[1])))
    return Scenario(declaring[0], tuple(objects), models, tuple(gaps), *_governed(objects))


def _documents(paths: Sequence[Path]) -> Iterator[tuple[Path, Object]]:
    for path in paths:
        if not path.exists():
            raise ScenarioError(f"-f {path}: there is no such file or folder: correct the path")
        found = sorted(p for p in path.rglob("*") if p.suffix in _ENDINGS) if path.is_dir() else [path]
        for file in found:
            try:
                documents: list[Any] = list(yaml.load_all(file.read_text(encoding="utf-8"), _Loader))
            except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
                said = " ".join(str(error).split())
                raise ScenarioError(f"{file}: cannot be read as YAML: {said}") from None
            for document in _unpacked(documents):
                if isinstance(document, dict) and str(document.get("apiVersion", "")).startswith("perennial.dev/"):
                    yield file, document


class _Loader(yaml.SafeLoader):
    """As Kubernetes reads YAML: what looks like a date is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _unpacked(documents: Sequence[Any]) -> Iterator[Any]:
    """`kubectl get -o yaml` writes a List."""
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "List":
            yield from document.get("items") or []
        else:
            yield document


def _checked(path: Path, document: Object) -> tuple[Kind, Object]:
    kind = _KINDS.get(str(document.get("kind")))
    if kind is None or document["apiVersion"] != API_VERSION:
        known = ", ".join(_KINDS)
        found = f"{document['apiVersion']} {document.get('kind')}"
        raise ScenarioError(f"{path}: {found}: is no kind of ours: write {API_VERSION} and one of {known}")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise ScenarioError(f"{path}: {kind.kind}: metadata.name is missing: add it")
    if kind is MODEL_DEPLOYMENT and len(metadata["name"]) > MODEL_NAME_LENGTH:
        raise ScenarioError(f"{path}: metadata.name: {metadata['name']} is over {MODEL_NAME_LENGTH} characters: cut it")
    declared = {name: metadata[name] for name in ("name", "labels", "annotations") if metadata.get(name)}
    body = {"apiVersion": API_VERSION, "kind": kind.kind, "spec": document.get("spec")}
    return kind, {**body, "metadata": {**declared, "namespace": metadata.get("namespace") or "default"}}


def _parsed(path: Path, kind: Kind, body: Object) -> Any:
    spec = body.get("spec")
    try:
        return parse_spec(_SPECS[kind], spec if isinstance(spec, dict) else {})
    except InvalidSpec as error:
        raise ScenarioError(f"{path}: {kind.kind} {body['metadata']['name']}: {error}") from None


def _name(body: Object) -> tuple[str, str]:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def _quickened(body: Object, speed_up: int) -> Object:
    """Fewer and bolder boosting rounds, or fewer steps of a network: a coarser model of the same kind."""
    if speed_up == 1:
        return body
    algorithm = body["spec"]["algorithm"]
    given = dict(algorithm.get("parameters") or {})
    if algorithm["name"] in NEURAL:
        steps = given.get("max_steps", DEFAULT_MAX_STEPS)
        given |= {"max_steps": max(1, round(steps / speed_up))} if isinstance(steps, int) else {}
        return {**body, "spec": {**body["spec"], "algorithm": {**algorithm, "parameters": given}}}
    rounds = next((name for name in ROUNDS_NAMES if name in given), ROUNDS_NAMES[0])
    rate = next((name for name in LEARNING_RATE_NAMES if name in given), LEARNING_RATE_NAMES[0])
    many, bold = given.get(rounds, DEFAULT_ROUNDS), given.get(rate, DEFAULT_LEARNING_RATE)
    if isinstance(many, int) and isinstance(bold, int | float):  # anything else the trainer refuses, and says why
        given |= {rounds: max(1, round(many / speed_up)), rate: min(1.0, bold * speed_up)}
    return {**body, "spec": {**body["spec"], "algorithm": {**algorithm, "parameters": given}}}


def _secrets(models: dict[str, ModelDeploymentSpec]) -> Iterator[Object]:
    """The Secrets that models name; in a replay each of them leads to the recording."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for where, spec in models.items():
        for reference in (spec.samples.read_url_from, spec.samples.write_url_from):
            wanted.setdefault((where.split("/")[0], reference.name), set()).add(reference.key)
    url = base64.b64encode(b"recording").decode()
    for (namespace, name), keys in sorted(wanted.items()):
        yield {"metadata": {"namespace": namespace, "name": name}, "data": dict.fromkeys(sorted(keys), url)}


def _governed(objects: Sequence[tuple[Kind, Object]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Models that nobody governs, and those that several policies would."""
    stamp = {"uid": "", "creationTimestamp": "2000-01-01T00:00:00Z"}
    policies = [
        parse_policy({**body, "metadata": {**body["metadata"], **stamp}}) for k, body in objects if k is RETRAIN_POLICY
    ]
    lone, contested = [], []
    for body in (body for kind, body in objects if kind is MODEL_DEPLOYMENT):
        (namespace, name), labels = _name(body), body["metadata"].get("labels") or {}
        selecting = [p for p in policies if p.namespace == namespace and p.spec and matches(p.spec.selector, labels)]
        governing = governing_policy(selecting, labels)
        if governing is None:
            lone.append(f"{namespace}/{name}")
        elif len(selecting) > 1:
            others = ", ".join(p.name for p in selecting if p is not governing)
            contested.append(f"{namespace}/{name}: {governing.name} governs it, and {others} selects it in vain")
    return tuple(lone), tuple(contested)
