"""A real PostgreSQL from the machine's own packages: initialised in seconds, gone with its directory."""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import sqlalchemy as sa
from tests.integration.ports import free_port

_INSTALLED = Path("/usr/lib/postgresql")
_PATIENCE_SECONDS = 60
_SETTINGS = {
    # A test's database need not survive a power cut.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "log_min_messages": "fatal",
}


def _newest_binaries() -> Path | None:
    found = sorted(_INSTALLED.glob("*/bin/postgres"), key=lambda path: float(path.parent.parent.name))
    return found[-1].parent if found else None


def install_postgres() -> Path:
    """The directory of PostgreSQL's programs, installed by apt first when there is none."""
    if (binaries := _newest_binaries()) is not None:
        return binaries
    with Path(tempfile.gettempdir(), "perennial-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of one test run would otherwise fight over dpkg's own lock
        if (binaries := _newest_binaries()) is None:
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for command in (
                ["apt-get", "update"],
                ["apt-get", "install", "-y", "--no-install-recommends", "postgresql"],
            ):
                subprocess.run(command, check=True, env=environment, capture_output=True)
            binaries = _newest_binaries()
    if binaries is None:
        raise RuntimeError(f"no PostgreSQL below {_INSTALLED}: install the package postgresql")
    return binaries


class PostgresServer:
    """One server with a superuser ``perennial``; it can be stopped and started again, as databases are."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.binaries = install_postgres()
        self.port = free_port()
        self.password = secrets.token_hex(12)
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root, and its user cannot enter root's temporary directories.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(directory, self._user, self._user)
        password_file = directory / "password"
        password_file.write_text(self.password)
        if self._user:
            shutil.chown(password_file, self._user, self._user)
        self._run("initdb", "-D", "data", "-U", "perennial", "--pwfile=password", "--auth=scram-sha-256")

    def _run(self, program: str, *arguments: str) -> None:
        options = ("--no-sync", "--encoding=UTF8", "--locale=C.UTF-8")
        subprocess.run(
            [self.binaries / program, *arguments, *options],
            cwd=self.directory,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            check=True,
            capture_output=True,
        )

    def url(self, database: str = "postgres", scheme: str = "postgresql+psycopg") -> str:
        """The URL of one of its databases, password included."""
        return f"{scheme}://perennial:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts the server and returns when it answers."""
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self.binaries / "postgres", "-D", "data", "-p", str(self.port), "-k", str(self.directory), *settings],
            cwd=self.directory,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                psycopg.connect(self.url(scheme="postgresql"), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start: exit status {self._process.poll()}") from error
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stops the server at once, open connections included."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_PATIENCE_SECONDS)
            self._process = None

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Runs one statement as superuser, outside a transaction."""
        with psycopg.connect(self.url(database, scheme="postgresql"), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server of one's own in a directory of its own: parallel test workers never meet."""
    directory = Path(tempfile.mkdtemp(prefix="perennial-pg-"))
    try:
        server = PostgresServer(directory)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


@contextmanager
def fresh_database(server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database that is dropped in the end."""
    name = f"test_{secrets.token_hex(6)}"
    server.execute(f"CREATE DATABASE {name}")
    try:
        yield server.url(name)
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def granted(url: str, grants: str) -> Iterator[str]:
    """The URL of a user of its own who may do just that with the tables that are there: ``SELECT, INSERT``."""
    user = f"user_{secrets.token_hex(6)}"
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in (
            f"CREATE ROLE {user} LOGIN PASSWORD '{user}'",
            f"GRANT {grants} ON ALL TABLES IN SCHEMA public TO {user}",
        ):
            connection.execute(statement.encode())
        try:
            yield sa.make_url(url).set(username=user, password=user).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP OWNED BY {user}; DROP ROLE {user}".encode())
