"""`perennial store` as people call it."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from perennial.cli import build_app

ROWS = "id,series,at,f1,target,reward\na,BTC,2024-01-01T00:00:00Z,0.5,1,0.01\nb,BTC,2024-01-02T00:00:00Z,0.7,,\n"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


def call(*arguments: object, env: dict[str, str] | None = None) -> Result:
    variables = {"PERENNIAL_SAMPLES_URL": None, "COLUMNS": "200", "TERM": "dumb"} | (env or {})
    return CliRunner().invoke(build_app("store"), ["store", *map(str, arguments)], env=variables)


def test_the_store_is_made_filled_and_shown(tmp_path: Path, url: str) -> None:
    (tmp_path / "samples.csv").write_text(ROWS)
    secret = tmp_path / "url"
    secret.write_text(url + "\n")
    made = call("init", "--url-file", secret, "--features", "f0, f1")
    assert (made.exit_code, made.output) == (
        0,
        "samples, predictions and model_reports are there; 2 feature columns added\n",
    )
    assert "0 feature columns added" in call("init", "--url", url, "--features", "f1").output
    assert "1 feature columns added" in call("init", "--url", url, "--features", "f2").output
    loaded = call("load", tmp_path / "samples.csv", env={"PERENNIAL_SAMPLES_URL": url})
    assert loaded.exit_code == 0
    assert "2 samples read, 2 new, 0 known" in loaded.stdout
    shown = call("status", "--url", url).stdout
    assert "2, 3 features" in shown
    assert "1, 1.0 a day" in shown
    assert "2024-01-02 00:00 UTC" in shown


def test_loading_makes_the_tables_that_are_missing(tmp_path: Path, url: str) -> None:
    (tmp_path / "samples.csv").write_text(ROWS)
    assert call("load", tmp_path / "samples.csv", "--url", url, "--table", "Mine").exit_code == 0
    assert "2, 1 features" in call("status", "--url", url, "--table", "Mine").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["status"], 2, "no store is named"),
        (["status", "--url-file", "/nowhere/url"], 2, "--url-file: /nowhere/url cannot be read"),
        (["status", "--url", "mysql://user:s3cret@host/db"], 2, "'mysql' is not usable"),
        (["status", "--url", "postgresql+psycopg://user:s3cret@127.0.0.1:1/db"], 1, "see that the database runs"),
        (["status", "--url", "sqlite:////nowhere/store.db"], 2, "name a file in a directory that exists"),
        (["status", "--url", "sqlite://"], 2, "there is no table 'samples'"),
        (["init", "--url", "sqlite://", "--table", "a-b"], 2, "--table: 'a-b' is no table name"),
        (["init", "--url", "sqlite://", "--features", "a,b c"], 2, "--features: 'b c' is no column name"),
        (["init", "--url", "sqlite://", "--features", "reward"], 2, "--features: 'reward' is a column of every"),
        (["load", "/nowhere/file.csv", "--url", "sqlite://"], 2, "/nowhere/file.csv: No such file or directory"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: list[str], code: int, message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert "s3cret" not in result.output
    assert "Traceback" not in result.output


def test_a_bad_row_ends_the_load_with_its_place(tmp_path: Path, url: str) -> None:
    (tmp_path / "bad.csv").write_text(ROWS + "c,BTC,2024-01-03,1,0,0\n")
    result = call("load", tmp_path / "bad.csv", "--url", url)
    assert result.exit_code == 2
    assert "row 4: at = '2024-01-03': write an instant with its offset" in result.stderr
    assert "there is no table" in call("status", "--url", url).stderr


def test_the_overview_loads_no_database_library() -> None:
    code = (
        "import sys; from perennial import cli; sys.argv = ['perennial', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'sqlalchemy', 'numpy', 'pydantic'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Create the sample store" in result.stdout
