"""`perennial replay` as a process: what it writes, Ctrl-C, and the script that a pull request runs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.cluster.providers import ROOT
from tests.integration.operator_api import eventually
from tests.integration.replays import MODEL, POLICY, merged, record, turning_market

BIN = Path(sys.executable).parent
COMPARE = ROOT / "manifests" / "examples" / "replay" / "compare.sh"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return record(tmp_path_factory.mktemp("samples"), turning_market(1100, 800))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with a model and its policy."""
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(MODEL))
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    return tmp_path


def start(folder: Path, *command: object) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "140"}
    words = [str(word) for word in command]
    return subprocess.Popen(
        words, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output, errors = process.communicate(timeout=240)
    assert errors == ""
    return process.returncode, output


FILES = ("-f", "model.yaml", "-f", "policy.yaml")


def stated(path: Path) -> dict[str, object]:
    report: dict[str, object] = json.loads(path.read_text())
    del report["measured"]
    return report


def test_an_interrupted_command_writes_what_it_has_and_goes_on_where_it_was(folder: Path, url: str) -> None:
    whole = finish(start(folder, "perennial", "replay", *FILES, "--samples", url, "--out", "whole"))
    assert whole[0] == 0
    assert "default/m won " in whole[1]
    assert not (folder / "whole" / ".work").exists()

    begun = start(folder, "perennial", "replay", *FILES, "--samples", url, "--out", "part")
    eventually(lambda: any(folder.glob("part/.work/runs/*/reports/*.json")), "a first version is trained", 120)
    begun.send_signal(signal.SIGINT)
    code, said = finish(begun)
    assert code == 130
    assert "interrupted at 2024-" in said
    partial = stated(folder / "part" / "report.json")
    assert partial["complete"] is False
    assert (folder / "part" / "index.html").exists()

    resumed = ("perennial", "replay", *FILES, "--samples", url, "--out", "part", "--resume")
    _, errors = (other := start(folder, *resumed, "--cost", "0.01")).communicate(timeout=60)
    assert other.returncode == 2
    assert "was begun with other files, samples or options" in errors
    code, _ = finish(start(folder, *resumed))
    assert code == 0
    assert stated(folder / "part" / "report.json") == stated(folder / "whole" / "report.json")


def test_a_pull_request_sees_what_its_policy_would_have_meant(folder: Path, url: str) -> None:
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com")
    for words in (("init", "-q"), ("add", "policy.yaml", "model.yaml"), ("commit", "-qm", "before")):
        subprocess.run([*git, *words], cwd=folder, check=True)
    rarely = {**POLICY, "spec": merged(POLICY["spec"], {"triggers": {"schedule": {"every": "3000d"}}})}
    (folder / "policy.yaml").write_text(yaml.safe_dump(rarely))
    options = ("--", "--samples", url, "--out", "review")
    code, said = finish(start(folder, COMPARE, "HEAD", "policy.yaml", "model.yaml", *options))
    assert code == 0
    assert "after beside before" in said
    report = json.loads((folder / "review" / "report.json").read_text())
    assert [run["name"] for run in report["runs"]] == ["after", "before"]
    schedules = [sum(d["reason"] == "ScheduleDue" for d in run["decisions"]) for run in report["runs"]]
    assert schedules[0] == 0
    assert schedules[1] > 0
    assert report["comparison"]["models"][0]["difference"]["outcomes"] > 100


def test_the_script_names_what_is_missing(folder: Path) -> None:
    process = start(folder, COMPARE, "HEAD", "policy.yaml")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors == "compare.sh: name at least one file that declares a model\n"
