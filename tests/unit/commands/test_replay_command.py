"""`perennial replay` as people call it, and the one line that each mistake gets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from tests.integration.replays import MODEL, POLICY, merged, record, turning_market
from typer.testing import CliRunner, Result

from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.validation import InvalidSpec, parse_spec
from perennial.cli import build_app
from perennial.replay.report import WinRateDifference
from perennial.replay.telling import explain_difference


def call(*arguments: object) -> Result:
    variables = {"PERENNIAL_SAMPLES_URL": None, "COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(build_app("replay"), ["replay", *map(str, arguments)], env=variables)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def to_file(*documents: dict[str, Any], name: str = "book.yaml") -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump_all(documents))
        return path

    return to_file


@pytest.fixture
def url(tmp_path: Path) -> str:
    return record(tmp_path, turning_market(400))


def refused(result: Result) -> str:
    """What a refused call says: one line, and nothing on standard output but what was read."""
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.removeprefix("perennial: ").strip()


def with_spec(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**document, "spec": merged(document["spec"], changes)}


def test_a_spec_that_the_crd_would_refuse_gets_the_operators_own_message(write: Callable[..., Path], url: str) -> None:
    wrong = with_spec(MODEL, server={"replicas": 0}, canary={"stps": [0.5]})
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(ModelDeploymentSpec, wrong["spec"])
    assert len(caught.value.messages) == 2
    said = refused(call("-f", write(wrong, POLICY), "--samples", url))
    assert said.endswith(f"ModelDeployment m: {caught.value}")


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        pytest.param(
            [with_spec(MODEL, algorithm={"name": "prophet"}), POLICY], "spec.algorithm.name", id="an unknown algorithm"
        ),
        pytest.param([POLICY], "there is no ModelDeployment in it", id="no model"),
        pytest.param([MODEL], "there is no RetrainPolicy in it", id="no policy"),
        pytest.param([MODEL, MODEL, POLICY], "stands in the files twice", id="twice"),
        pytest.param([{**MODEL, "kind": "Modeldeployment"}, POLICY], "is no kind of ours", id="another kind"),
        pytest.param([{**MODEL, "metadata": {}}, POLICY], "metadata.name is missing", id="no name"),
        pytest.param(
            [with_spec(MODEL, samples={"table": "elsewhere"}), POLICY], "no table or view 'elsewhere'", id="no table"
        ),
        pytest.param(
            [with_spec(MODEL, samples={"features": ["ret_1", "ret_9"]}), POLICY],
            "'samples' has no column 'ret_9'",
            id="a missing column",
        ),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_one_line(
    write: Callable[..., Path], url: str, documents: list[dict[str, Any]], said: str
) -> None:
    assert said in refused(call("-f", write(*documents), "--samples", url))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--from", "2030-01-01"], "nothing lies between, outcomes are known from 2024-01-01", id="empty"),
        pytest.param(["--from", "yesterday"], "--from: 'yesterday' is no date", id="no date"),
        pytest.param(["--training-duration", "soon"], "--training-duration: 'soon' is not a duration", id="duration"),
        pytest.param(["--look-every", "0s"], "--look-every: 0s is too short", id="no time between looks"),
        pytest.param(["--training-duration", "recorded"], "model_reports has none of default/m", id="none recorded"),
        pytest.param(["--resume"], "there is no interrupted run in", id="nothing to resume"),
    ],
)
def test_options_that_lead_nowhere_are_refused(
    write: Callable[..., Path], url: str, tmp_path: Path, arguments: list[str], said: str
) -> None:
    out = ("--out", tmp_path / "out")
    assert said in refused(call("-f", write(MODEL, POLICY), "--samples", url, *out, *arguments))


def test_files_and_stores_that_are_not_there_are_named(write: Callable[..., Path], tmp_path: Path) -> None:
    files, out = write(MODEL, POLICY), ("--out", tmp_path / "out")
    assert "no such file or folder" in refused(call("-f", tmp_path / "none.yaml", "--samples", "sqlite://"))
    assert "no samples are named" in refused(call("-f", files))
    assert "cannot be read as YAML" in refused(_bad(tmp_path))
    missing = tmp_path / "none.parquet"
    assert "none.parquet" in refused(call("-f", files, "--samples", missing, *out))
    said = refused(call("-f", files, "--samples", "mysql://user:hunter2@host/db", *out))
    assert "hunter2" not in said


def _bad(folder: Path) -> Result:
    path = folder / "bad.yaml"
    path.write_text("a: [1\n")
    return call("-f", path, "--samples", "sqlite://")


def test_a_store_without_outcomes_is_told(write: Callable[..., Path], url: str, tmp_path: Path) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE samples SET target = NULL"))
    engine.dispose()
    said = refused(call("-f", write(MODEL, POLICY), "--samples", url, "--out", tmp_path / "out"))
    assert "no sample of 'samples' has an outcome: record outcomes first" in said


def test_a_column_that_every_table_has_may_not_be_missing(write: Callable[..., Path], url: str, tmp_path: Path) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE samples DROP COLUMN resolved_at"))
    engine.dispose()
    said = refused(call("-f", write(MODEL, POLICY), "--samples", url, "--out", tmp_path / "out"))
    assert "'samples' has no column 'resolved_at'" in said


@pytest.mark.parametrize(
    ("lower", "upper", "said"),
    [(-0.01, 0.03, "no difference is shown"), (0.004, 0.03, "a difference"), (-0.03, -0.01, "a difference")],
)
def test_a_difference_is_claimed_only_where_the_interval_has_no_zero(lower: float, upper: float, said: str) -> None:
    found = WinRateDifference(value=0.01, lower=lower, upper=upper, outcomes=900, effective_outcomes=70.4, blocks=30)
    told = explain_difference(found, "m", "its first version left alone")
    assert f": {said}, on 70 effective of 900 outcomes; they differed in 30 time blocks" in told
    assert "cannot be told apart" in explain_difference(None, "m", "x")
