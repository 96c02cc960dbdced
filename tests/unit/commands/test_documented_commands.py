"""The commands that README and examples name bring rows that the examples' own policies train on."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from sqlalchemy import text
from tests.unit.commands import market
from typer.testing import CliRunner

from perennial.adapters.store.engine import open_engine
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.retrain_policy import RetrainPolicySpec
from perennial.api.validation import parse_spec
from perennial.cli import build_app
from perennial.commands import example
from perennial.commands.example import btc
from perennial.commands.example.fetch import Package

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "manifests" / "examples"


@pytest.fixture(autouse=True)
def _made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Markets as old as the real ones, with hardly more rows than the policies ask for."""

    def fetched(package: Package) -> bytes:
        if package == btc.PACKAGE:
            return market.candles(4_500, begin=datetime(2017, 7, 1, tzinfo=UTC))
        return market.closes(1_600, begin=datetime(1990, 1, 2, tzinfo=UTC), shares=20)

    monkeypatch.setattr(example, "fetch", fetched)


def commands(path: Path) -> list[str]:
    """Each `perennial example …` of a text: a line of shell, or in backticks."""
    source = path.read_text(encoding="utf-8")
    shell = re.findall(r"^(perennial example [^#\n]+)", source, re.MULTILINE)
    return [command.strip() for command in shell + re.findall(r"`(perennial example [^`]+)`", source)]


def spec_of(path: str) -> ModelDeploymentSpec:
    return parse_spec(ModelDeploymentSpec, yaml.safe_load((EXAMPLES / path).read_text(encoding="utf-8"))["spec"])


@pytest.mark.parametrize(
    ("document", "model", "policy"),
    [
        (ROOT / "README.md", "btc/xgboost.yaml", "btc/policy.yaml"),
        (EXAMPLES / "btc/xgboost.yaml", "btc/xgboost.yaml", "btc/policy.yaml"),
        (EXAMPLES / "btc/lightgbm.yaml", "btc/lightgbm.yaml", "btc/policy.yaml"),
        (EXAMPLES / "sp500/model.yaml", "sp500/model.yaml", "sp500/policy.yaml"),
    ],
    ids=["README", "btc xgboost", "btc lightgbm", "sp500"],
)
def test_what_the_documented_command_loads_is_enough_to_train_on(
    tmp_path: Path, document: Path, model: str, policy: str
) -> None:
    (command,) = commands(document)
    url = f"sqlite:///{tmp_path}/store.db"
    program, *arguments = shlex.split(command)
    result = CliRunner().invoke(build_app("example"), arguments, env={"PERENNIAL_SAMPLES_URL": url})
    assert (program, result.exit_code) == ("perennial", 0), result.output

    samples = spec_of(model).samples
    training = parse_spec(
        RetrainPolicySpec, yaml.safe_load((EXAMPLES / policy).read_text(encoding="utf-8"))["spec"]
    ).training
    now = datetime.now(UTC)
    engine = open_engine(url, ("sqlite",))
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT at, resolved_at FROM {samples.table}")).all()
        assert connection.execute(text(f"SELECT count(*) FROM {samples.predictions_table}")).scalar() == 0
    engine.dispose()
    times = [[datetime.fromisoformat(value).replace(tzinfo=UTC) for value in row] for row in rows]
    assert max(resolved for _, resolved in times) <= now
    # as the trainer takes them: within the window, and their outcome's time is over
    inside = sum(now - training.data_window <= at <= now - samples.label_delay for at, _ in times)
    assert inside * training.holdout.share >= training.holdout.min_rows
