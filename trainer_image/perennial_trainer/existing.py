"""Models that were there before: the champion to beat, and one that somebody brought instead of training it."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from perennial_contract.report import REPORT_FILE, Feature, Manifest, TrainingReport
from perennial_contract.task import ArtifactRef, TrainingTask
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.artifacts import fetch_artifact
from perennial_trainer.ensemble import Ensemble, load_members
from perennial_trainer.errors import TaskWrong
from perennial_trainer.instants import to_micros
from perennial_trainer.progress import log


@dataclass(frozen=True)
class ExistingModel:
    """A verified artifact on local disk."""

    directory: Path
    manifest: Manifest
    trained_until: int | None
    """Where its own holdout began, µs since 1970: what it was trained on was known by then. None: it does not say."""

    @property
    def names(self) -> list[str]:
        """Its features, in the model's order."""
        return [feature.name for feature in self.manifest.features]

    @property
    def looks_back(self) -> bool:
        """Whether it needs the rows before those that it scores."""
        return find_algorithm(self.manifest.algorithm).LOOKS_BACK

    def load(self, threads: int) -> Ensemble:
        """The model itself."""
        return load_members(self.directory, self.manifest, threads)


def fetch_model(artifact: ArtifactRef, directory: Path, role: str) -> ExistingModel:
    """Fetches and verifies an artifact.

    Raises:
        ArtifactError: a file is missing or changed; the message names it.
    """
    directory.mkdir()
    manifest = fetch_artifact(artifact, directory)
    report = read_report(directory, manifest)
    if report is None:
        line = (
            "%s: its artifact has no report.json that says what it was trained on; the holdout may hold rows it knows"
        )
        log.info(line, role)
        return ExistingModel(directory, manifest, None)
    return ExistingModel(directory, manifest, to_micros(report.dataset.holdout_from))


def read_report(directory: Path, manifest: Manifest) -> TrainingReport | None:
    """The report of a verified artifact; None when it has none that is ours."""
    if all(file.name != REPORT_FILE for file in manifest.files):
        return None
    try:
        return TrainingReport.model_validate_json((directory / REPORT_FILE).read_bytes())
    except ValidationError:
        return None


def check_brought(task: TrainingTask, manifest: Manifest, contract: tuple[Feature, ...]) -> None:
    """Raises TaskWrong when a brought model is of another kind, or reads other features than the contract says."""
    if manifest.algorithm != task.algorithm.name:
        raise TaskWrong(f"spec.artifact: a model of {manifest.algorithm}, but algorithm.name is {task.algorithm.name}")
    brought, declared = {f.name for f in manifest.features}, {f.name for f in contract}
    if brought != declared:
        differences = [f"{name} missing" for name in sorted(declared - brought)]
        differences += [f"{name} unknown" for name in sorted(brought - declared)]
        raise TaskWrong(f"spec.artifact: its features differ from samples.features: {', '.join(differences)}")
    dtypes = {feature.name: feature.dtype for feature in contract}
    for feature in manifest.features:
        if feature.dtype != dtypes[feature.name]:
            raise TaskWrong(
                f"spec.artifact: feature {feature.name} is {feature.dtype} in its manifest, {dtypes[feature.name]} in "
                "the table; correct the one that is wrong"
            )
