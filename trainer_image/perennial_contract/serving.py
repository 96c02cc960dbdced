"""What a server is told: one file, mounted read-only at ``/etc/perennial/server.json``."""

from typing import Literal

from pydantic import Field

from perennial_contract.base import Document
from perennial_contract.samples import Decision, SampleContract, Track
from perennial_contract.task import AlgorithmName, ArtifactRef

SERVER_CONFIG_PATH = "/etc/perennial/server.json"
OUTCOMES_TOKEN_PATH = "/etc/perennial/secrets/outcomes-token"  # noqa: S105 - a path, not a token
VERSION_HEADER = "perennial-version"
"""Response header with the UID of the version that answered."""
FORWARDED_HEADER = "perennial-forwarded"
"""Set on a forwarded request: score it as shadow, forward it no further."""


class ServerConfig(Document):
    """One version of one model, served."""

    schema_version: Literal[1] = 1
    model: str
    """namespace/name: the column ``model``."""
    name: str
    """The name in the protocol's paths, ``/v2/models/<name>/infer``."""
    version: str
    """The ModelVersion's UID: the column ``version``."""
    version_name: str
    track: Track
    """What this pod records for requests that were not forwarded to it."""
    algorithm: AlgorithmName
    artifact: ArtifactRef
    samples: SampleContract
    recorded_by: Literal["Server", "Client"] = "Server"
    """Server: the server inserts the sample's features. Client: the sample is there already, or comes by itself."""
    decision: Decision
    peers: tuple[str, ...] = ()
    """Base URLs of the stable and the canary Service: each request is forwarded, after it is answered, to the one that
    reports another version."""
    port: int = Field(default=8080, ge=1, le=65535)
    outcomes_port: int | None = Field(default=None, ge=1, le=65535)
    """Set: ``POST /outcomes`` is served there, with the token of `OUTCOMES_TOKEN_PATH`."""
    queue_limit: int = Field(default=20_000, ge=1)
    """Records that may wait for the database; beyond it they are dropped and counted."""
    drain_seconds: int = Field(default=20, ge=0)
