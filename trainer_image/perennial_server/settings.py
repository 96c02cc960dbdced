"""What the server is told: one file, and secrets in files of their own, which are read when they are needed."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import ValidationError

from perennial_contract.serving import ServerConfig
from perennial_server.errors import ConfigError

_DRIVER = "postgresql+psycopg"


def read_config(path: Path) -> ServerConfig:
    """The server's configuration.

    Raises:
        ConfigError: naming the first field that is wrong.
    """
    try:
        config = ServerConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: mount the configuration there or give --config FILE") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise ConfigError(f"{path}: {where}: {first['msg']}") from None
    for peer in config.peers:
        parts = urlsplit(peer)
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
            raise ConfigError(
                f"{path}: peers: {peer!r} is not a base URL: write it as in http://model-canary.books:8080"
            )
    return config


def secret_reader(path: Path, what: str) -> Callable[[], str]:
    """Reads the secret anew each time, so that a rotated one is taken up without a restart."""

    def read() -> str:
        try:
            text = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"{path}: {error.strerror}: {what} is read from this file: mount its Secret there"
            ) from None
        if not text:
            raise ConfigError(f"{path}: empty: put {what} into its Secret")
        return text

    return read


def conninfo_reader(path: Path) -> Callable[[], str]:
    """The sample store's URL as libpq takes it. The URL itself never gets into a message."""
    read = secret_reader(path, "the sample store's write URL")

    def read_conninfo() -> str:
        scheme, separator, rest = read().partition("://")
        if not separator:
            raise ConfigError(f"{path}: not a URL: write {_DRIVER}://user:password@host/database")
        if scheme not in (_DRIVER, "postgresql"):
            raise ConfigError(f"{path}: {scheme!r} is not a store that servers write to: use {_DRIVER}://…")
        conninfo = f"postgresql://{rest}"
        fix = "percent-encode user and password in the URL"
        try:
            parts = conninfo_to_dict(conninfo)
        except ProgrammingError:  # its message quotes what it stumbles over, which may be the password
            raise ConfigError(f"{path}: not a URL: {fix}") from None
        # The rest of a password that holds an @ or a / is taken for one of these, which errors and logs would show.
        if any("@" in str(parts.get(name)) for name in ("host", "port", "dbname")):
            raise ConfigError(f"{path}: an @ follows the password: {fix}")
        return conninfo

    return read_conninfo
