"""What an installation sets for all models, from the environment of the operator's pod."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from perennial.api.shared import Artifacts, Name
from perennial_contract.task import NEURAL, AlgorithmName


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Settings(BaseModel):
    """`PERENNIAL_<NAME>` variables; what is not set has the default here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespaces: Annotated[tuple[Name, ...], BeforeValidator(_split)] = ()
    """Separated by commas: the operator looks after these alone; none: after all."""
    trainer_image: str = "perennial-trainer:latest"
    neural_trainer_image: str = "perennial-trainer-neural:latest"
    """Of models that torch trains (nhits, patchtst)."""
    server_image: str = "perennial-server:latest"
    artifacts_claim: str | None = None
    artifacts_url: str | None = None
    max_jobs: int = Field(default=10, ge=1)
    """Training Jobs at a time, of all policies together."""
    workers: int = Field(default=8, ge=1)
    port: int = 8080
    """Health and metrics."""
    poll_seconds: float = Field(default=5.0, gt=0)
    """How often something that moves without events of its own (a canary, starting pods) is looked at."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    def trainer_image_for(self, algorithm: AlgorithmName) -> str:
        """The image that trains it, where a policy names none."""
        return self.neural_trainer_image if algorithm in NEURAL else self.trainer_image

    @property
    def default_artifacts(self) -> Artifacts | None:
        """Where models without `spec.artifacts` are archived."""
        if self.artifacts_claim:
            return Artifacts(claim_name=self.artifacts_claim)
        return Artifacts(url=self.artifacts_url) if self.artifacts_url else None


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from environment variables.

    Raises:
        pydantic.ValidationError: a value cannot be used; the message names the setting.
    """
    given = {name: environment.get(f"PERENNIAL_{name.upper()}") for name in Settings.model_fields}
    return Settings.model_validate({name: value for name, value in given.items() if value})
