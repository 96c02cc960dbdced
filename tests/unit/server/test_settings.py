"""What the server is told, and how it says what is wrong with that."""

from pathlib import Path

import pytest
from tests.unit.server.served import make_config

from perennial_server.errors import ConfigError
from perennial_server.settings import conninfo_reader, read_config, secret_reader


def write(folder: Path, text: str) -> Path:
    path = folder / "file"
    path.write_text(text)
    return path


def test_the_operators_document_is_read(tmp_path: Path) -> None:
    config = make_config(
        tmp_path, "sha256:" + "0" * 64, peers=["http://m-stable.books:8080", "http://m-canary.books:8080"]
    )
    assert read_config(write(tmp_path, config.to_json())) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"live"', '"lve"'), "track: Input should be 'live' or 'shadow'"),
        (('"model"', '"modle"'), "model: Field required"),
        (('"port": 8080', '"port": 0'), "port: Input should be greater than or equal to 1"),
        (('"peers": []', '"peers": ["https://m-canary:8080"]'), "'https://m-canary:8080' is not a base URL"),
        (('"peers": []', '"peers": ["http://m-canary:8080/v2"]'), "'http://m-canary:8080/v2' is not a base URL"),
        (("{", "", 1), "document: Invalid JSON"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: tuple[str, ...], message: str) -> None:
    text = make_config(tmp_path, "sha256:" + "0" * 64).to_json()
    old, new = change[:2]
    assert old in text
    with pytest.raises(ConfigError) as refused:
        read_config(write(tmp_path, text.replace(old, new, 1)))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory: mount the configuration there"):
        read_config(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="No such file or directory: the token is read from this file"):
        secret_reader(tmp_path / "nothing", "the token")()


def test_an_empty_secret_is_no_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="empty: put the token into its Secret"):
        secret_reader(write(tmp_path, "\n"), "the token")()


def test_a_rotated_secret_is_taken_up(tmp_path: Path) -> None:
    read = secret_reader(write(tmp_path, "old\n"), "the token")
    assert read() == "old"
    write(tmp_path, "new\n")
    assert read() == "new"


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_the_stores_url_as_libpq_takes_it(tmp_path: Path, scheme: str) -> None:
    read = conninfo_reader(write(tmp_path, f"{scheme}://u:p%40ss@db.ns:5432/market?sslmode=require\n"))
    assert read() == "postgresql://u:p%40ss@db.ns:5432/market?sslmode=require"


@pytest.mark.parametrize(
    "url", ["sqlite:///hunter2.db", "mysql://u:hunter2@h/d", "hunter2", "postgresql://u:hunt%er2@h/d"]
)
def test_other_stores_are_refused_without_a_word_of_their_url(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        conninfo_reader(write(tmp_path, url))()
    assert "hunt" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@hunter2@db/market",
        "postgresql://u:p@hunter2/3@db/market",
        "postgresql://u:hunter2/3@db/market",
        "postgresql://user@ns:hunter2@db/market",
    ],
)
def test_a_password_that_is_not_escaped_is_refused_without_a_word_of_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="percent-encode user and password in the URL") as refused:
        conninfo_reader(write(tmp_path, url))()
    assert "hunt" not in str(refused.value)
