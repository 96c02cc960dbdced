"""`report.json` is what its published schema says."""

import json
from pathlib import Path

import jsonschema
import pytest
from tests.cluster.providers import ROOT
from tests.integration.replay_reports import full_report

from perennial.replay.schema import build_schema, main

SCHEMA = ROOT / "docs" / "replay-report.schema.json"


def test_the_published_schema_is_that_of_the_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert SCHEMA.read_text() == build_schema()
    stale = tmp_path / "schema.json"
    stale.write_text("{}")
    assert main(["--check", str(stale)]) == 1
    assert "make crds" in capsys.readouterr().err
    assert main([str(stale)]) == 0
    assert main(["--check", str(stale)]) == 0


def test_a_whole_report_is_valid_under_it() -> None:
    document = json.loads(json.dumps(full_report().to_dict()))
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
