"""`perennial-train` from outside: exit code and one line for whatever is wrong, and a log that people can read."""

import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.trainer.workbench import HOUR, START, Bench, run

from perennial_trainer.main import main


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"evaluation": {"metric": {"type": "Composite"}}}, 2, "Composite is not implemented yet"),
        ({"algorithm": {"name": "xgboost", "parameters": {"depth": 1}}}, 2, "XGBoost does not know or use depth"),
        ({"samples": {"label_delay": "5h", "features": ["gone"]}}, 2, "table samples: column gone is missing"),
        ({"samples": {"label_delay": "5h", "table": "gone"}}, 2, "no table or view 'gone'"),
        ({"store": "gs://bucket"}, 2, "artifact store: 'gs://bucket' is not supported"),
        ({"holdout": {"min_rows": 2_000}}, 3, "1000 resolved rows, 2100 needed"),
        ({"data_window": "6h"}, 3, "1 resolved rows, 300 needed"),
        ({"data_window": "5h"}, 3, "no resolved rows with at from"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_an_exit_code(
    loaded: Bench, changes: dict[str, Any], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, summary = run(loaded, loaded.task(**{"until": START + 1_000 * HOUR + timedelta(hours=5), **changes}))
    assert found == code
    assert summary.artifact is None
    assert summary.error is not None
    assert message in summary.error
    assert capsys.readouterr().err == f"{summary.error}\n"
    assert not loaded.sql("SELECT * FROM model_reports")
    assert not loaded.artifacts.exists()


@pytest.mark.parametrize("name", ["nhits", "patchtst"])
def test_an_image_without_torch_says_which_one_has_it(
    loaded: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "perennial_trainer.neural.training", raising=False)
    monkeypatch.setitem(sys.modules, "neuralforecast", None)
    code, summary = run(loaded, loaded.task(algorithm={"name": name}))
    assert code == 2
    assert summary.error == (
        f"algorithm.name: {name} needs neuralforecast, which this image does not have; "
        "use the image trainer-neural (training.image, or the operator's neural trainer image)"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("noise = 9e999 WHERE id = 'btc-1'", "column noise: 1 of 1000 values are infinite"),
        ("noise = NULL", "column noise: all 1000 values are missing"),
        ("target = 0", "column target: all 1000 labels are 0"),
        ("target = 0 WHERE at < '2024-02-06'", "labels before the holdout are 0"),
    ],
)
def test_data_that_cannot_carry_a_model_ends_with_3(loaded: Bench, change: str, message: str) -> None:
    loaded.sql(f"UPDATE samples SET {change}")
    code, summary = run(loaded, loaded.task())
    assert code == 3
    assert summary.error is not None
    assert message in summary.error


def test_missing_values_are_trained_on(loaded: Bench) -> None:
    loaded.sql("UPDATE samples SET noise = NULL WHERE target = 1 AND id LIKE '%3'")
    assert run(loaded, loaded.task())[0] == 0


def test_without_its_reports_table_a_store_has_to_be_initialised(loaded: Bench) -> None:
    loaded.sql("DROP TABLE model_reports")
    code, summary = run(loaded, loaded.task())
    assert code == 2
    assert summary.error == "sample store: no table 'model_reports'; run `perennial store init`"


def test_a_database_that_is_away_is_worth_another_attempt(loaded: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    code, summary = run(loaded, loaded.task(), "postgresql+psycopg://u:hunter2@127.0.0.1:9/db?connect_timeout=2")
    assert code == 1
    assert summary.error is not None
    assert summary.error.startswith("samples database: ")
    captured = capsys.readouterr()
    assert "hunter2" not in captured.out + captured.err + summary.error


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+psycopg://u:p@hunter2@db/market", "percent-encode user and password in the URL"),
        ("postgresql+psycopg://u:p@hunter2/3@db/market", "percent-encode user and password in the URL"),
        ("postgresql+psycopg://u:p@hunter2:3@db/market", "not an SQLAlchemy URL"),
    ],
)
def test_a_password_that_is_not_escaped_is_never_shown(
    loaded: Bench, capsys: pytest.CaptureFixture[str], url: str, message: str
) -> None:
    code, summary = run(loaded, loaded.task(), url)
    captured = capsys.readouterr()
    assert code == 2
    assert summary.error is not None
    assert message in summary.error
    assert "hunter2" not in captured.out + captured.err + summary.error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "task: document: Invalid JSON"),
        ("{}", "task: version: Field required"),
        ('{"schemaVersion": 2}', "task: schemaVersion: Input should be 1"),
    ],
)
def test_a_task_that_is_none_names_the_field(loaded: Bench, text: str, message: str) -> None:
    code, summary = run(loaded, text)
    assert code == 2
    assert summary.error is not None
    assert summary.error.startswith(message)


def test_files_that_are_not_mounted_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "none"
    assert main(["--task", str(tmp_path / "task.json"), "--termination-log", str(log)]) == 2
    assert capsys.readouterr().err.startswith(f"task: {tmp_path / 'task.json'}: No such file or directory")
    assert not log.exists()


def test_what_nobody_foresaw_is_one_line_and_worth_another_attempt(
    loaded: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("no room\nfor more")

    monkeypatch.setattr("perennial_trainer.main.run_task", fail)
    code, _ = run(loaded, loaded.task())
    captured = capsys.readouterr()
    assert code == 1
    assert captured.err == "unexpected MemoryError: no room for more\n"
    assert "Traceback" in captured.out


def test_the_log_shows_rounds_and_seconds(loaded: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    run(loaded, loaded.task())
    lines = capsys.readouterr().out.splitlines()
    assert any("round 20/20  logloss 0." in line and line.endswith(" s") for line in lines)
    assert any("read 1000 rows x 3 features" in line for line in lines)
    assert logging.getLogger("perennial.train").level == logging.INFO
