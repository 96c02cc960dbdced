"""The CRDs: what an API server would say of them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.api.apiserver import defaulted, faults
from tests.unit.api.cases import MINIMAL, MODELS, SPECS, nodes

from perennial.api.crd import KINDS, Kind, build_crd, main, render_crds
from perennial.api.validation import parse_spec

ROOT = Path(__file__).parents[3]
CRDS = {kind.kind: build_crd(kind) for kind in KINDS}
ALLOWED = {
    *("description", "type", "format", "default", "enum", "pattern", "required", "properties", "items"),
    *("additionalProperties", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength"),
    *("minItems", "maxItems", "maxProperties", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-list-type"),
    *("x-kubernetes-list-map-keys", "x-kubernetes-validations", "x-kubernetes-int-or-string", "anyOf", "allOf"),
}


def root_schema(kind: str) -> dict[str, Any]:
    (version,) = CRDS[kind]["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def test_the_files_are_those_that_the_models_give() -> None:
    assert main(["--check", str(ROOT / "manifests" / "crds")]) == 0


def test_check_names_the_stale_file_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0
    stale = tmp_path / "modelversions.yaml"
    stale.write_text("kind: Nothing\n", encoding="utf-8")
    capsys.readouterr()
    assert main([str(tmp_path), "--check"]) == 1
    assert capsys.readouterr().err == f"{stale}: is not up to date: run `make crds`\n"
    assert stale.read_text(encoding="utf-8") == "kind: Nothing\n"


def test_the_text_is_the_same_each_time_and_without_anchors() -> None:
    first = render_crds()
    assert first == render_crds()
    assert {name: yaml.safe_load(text) for name, text in first.items()} == {
        "modeldeployments.yaml": CRDS["ModelDeployment"],
        "retrainpolicies.yaml": CRDS["RetrainPolicy"],
        "modelversions.yaml": CRDS["ModelVersion"],
    }
    assert not any("&id" in text or "*id" in text for text in first.values())


@pytest.mark.parametrize("kind", CRDS)
def test_the_schema_is_structural(kind: str) -> None:
    for path, node in nodes(root_schema(kind)):
        assert node.keys() <= ALLOWED, path
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path
        assert not ({"properties", "additionalProperties"} <= node.keys()), path
        assert ("anyOf" in node) == bool(node.get("x-kubernetes-int-or-string")), path
        for part in node.get("allOf", []):
            assert part.keys() <= {"pattern"}, path
        if path and path != ".metadata.name":
            assert path.startswith((".spec", ".status", ".metadata", ".kind", ".apiVersion")), path


@pytest.mark.parametrize("kind", CRDS)
def test_every_default_is_valid_before_other_defaults_are_filled_in(kind: str) -> None:
    """An API server checks a default by itself when the CRD is applied, CEL rules included."""
    found = [(path, node) for path, node in nodes(SPECS[kind]) if "default" in node]
    assert found
    for path, node in found:
        assert faults(node, node["default"]) == [], path


@pytest.mark.parametrize("kind", CRDS)
def test_the_api_server_fills_in_the_models_defaults(kind: str) -> None:
    full = defaulted(SPECS[kind], MINIMAL[kind])
    parsed = parse_spec(MODELS[kind], MINIMAL[kind])
    assert parse_spec(MODELS[kind], full) == parsed
    dumped = parsed.model_dump(by_alias=True, exclude_none=True, mode="json")
    assert defaulted(SPECS[kind], dumped) == dumped
    for name, value in dumped.items():
        assert name in full or value in ({}, []), name


@pytest.mark.parametrize("kind", CRDS)
def test_every_field_that_a_user_writes_has_a_description(kind: str) -> None:
    bare = [path for path, node in nodes(SPECS[kind]) if "description" not in node and not path.endswith("[]")]
    assert [path for path in bare if ".dataWindows." not in path] == []


@pytest.mark.parametrize("kind", CRDS)
def test_a_status_is_never_refused_for_what_an_older_or_newer_operator_wrote(kind: str) -> None:
    status = root_schema(kind)["properties"]["status"]
    for path, node in nodes(status):
        if path != ".conditions[]":
            assert not node.keys() & {"default", "required", "pattern", "minimum", "x-kubernetes-validations"}, path
    assert status["properties"]["kopf"]["x-kubernetes-preserve-unknown-fields"] is True
    assert status["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_printer_column_points_at_a_field(kind: Kind) -> None:
    for column in kind.columns:
        node = root_schema(kind.kind)
        if column.path.startswith(".metadata."):
            continue
        path = column.path.replace('[?(@.type=="Ready")]', ".items")
        for name in path.strip(".").split("."):
            node = node["items"] if name == "items" else node["properties"][name]
        assert node["type"] == column.type, column.name


@pytest.mark.parametrize(
    ("kind", "longest"), [("ModelDeployment", "a" * 40), ("ModelVersion", "a" * 55), ("RetrainPolicy", "a" * 63)]
)
def test_names_leave_room_for_what_is_named_after_them(kind: str, longest: str) -> None:
    schema = root_schema(kind)["properties"]["metadata"]
    assert faults(schema, {"name": longest}) == []
    assert faults(schema, {"name": longest + "a"}) != []
    assert bool(faults(schema, {"name": "1-starts-with-a-digit"})) == (kind != "RetrainPolicy")


def test_scope_names_and_subresource() -> None:
    found = {kind: (crd["spec"]["names"]["plural"], crd["spec"]["names"]["shortNames"]) for kind, crd in CRDS.items()}
    assert found == {
        "ModelDeployment": ("modeldeployments", ["mdep"]),
        "RetrainPolicy": ("retrainpolicies", ["rpol"]),
        "ModelVersion": ("modelversions", ["mver"]),
    }
    for crd in CRDS.values():
        assert crd["metadata"]["name"] == f"{crd['spec']['names']['plural']}.perennial.dev"
        assert crd["spec"]["names"]["categories"] == ["perennial"]
        assert crd["spec"]["scope"] == "Namespaced"
        assert crd["spec"]["versions"][0]["subresources"] == {"status": {}}
