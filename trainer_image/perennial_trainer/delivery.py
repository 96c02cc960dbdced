"""Writes what an attempt made, in the order that makes an interruption harmless: files, manifest, and last the row."""

import platform
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from perennial_contract.artifacts import ArtifactError, describe_file
from perennial_contract.profile import ReferenceProfile
from perennial_contract.report import (
    MANIFEST_FILE,
    PROFILE_FILE,
    REPORT_FILE,
    Manifest,
    TrainingReport,
)
from perennial_contract.task import ArtifactRef, TrainingTask
from perennial_trainer.algorithms import find_algorithm
from perennial_trainer.algorithms.base import Model, member_name
from perennial_trainer.artifacts import fetch_artifact, find_artifact, publish_artifact
from perennial_trainer.checkpoints import Checkpoints
from perennial_trainer.errors import TaskWrong
from perennial_trainer.existing import ExistingModel, read_report
from perennial_trainer.progress import log
from perennial_trainer.reports import ReportRow
from perennial_trainer.sources import open_source


@dataclass(frozen=True)
class Delivery:
    """Where an attempt's results go."""

    task: TrainingTask
    samples_url: str
    scratch: Path

    def find_earlier(self, now: datetime) -> ArtifactRef | None:
        """The artifact of an earlier attempt that ended before its row was written; the row is made up for.

        Training again could give another artifact (an outcome came late, seconds differ), and none is ever overwritten.

        Raises:
            TaskWrong: the version's path holds something else.
        """
        directory = _empty(self.scratch / "earlier")
        path = self.task.version.artifact_path
        found = find_artifact(self.task.store, path, directory)
        if found is None:
            return None
        try:
            manifest = fetch_artifact(found, directory)
        except ArtifactError as error:
            raise TaskWrong(f"{error}; delete that folder, or train a new version") from None
        report = read_report(directory, manifest)
        if report is None or report.version != self.task.version.uid:
            raise TaskWrong(f"artifact {found.uri}: holds another version; artifacts are never overwritten")
        log.info("found %s of an earlier attempt: nothing to train", found.uri)
        self._write_row(found, directory, now)
        self.forget()
        return found

    def deliver_trained(
        self, model: Model, report: TrainingReport, profile: ReferenceProfile, now: datetime
    ) -> ArtifactRef:
        """Builds the artifact, publishes it, and writes the row with the very texts of its files."""
        directory = _empty(self.scratch / "artifact")
        files = model.save(directory)
        (directory / PROFILE_FILE).write_text(profile.to_json())
        (directory / REPORT_FILE).write_text(report.to_json())
        manifest = _build_manifest(self.task, report, directory, files)
        (directory / MANIFEST_FILE).write_text(manifest.to_json())
        scratch = _empty(self.scratch / "published")
        ref = publish_artifact(self.task.store, self.task.version.artifact_path, directory, scratch)
        log.info("wrote %s  %s", ref.uri, ref.digest)
        self._write_row(ref, directory, now)
        self.forget()
        return ref

    def forget(self) -> None:
        """Removes the checkpoint: there is nothing more to go on with."""
        Checkpoints(self.task.store, self.task.version.checkpoint_path, "").remove()

    def deliver_brought(
        self, ref: ArtifactRef, brought: ExistingModel, report: TrainingReport, profile: ReferenceProfile, now: datetime
    ) -> ArtifactRef:
        """Writes the row of a brought artifact: its own manifest and profile, and a report of today.

        How to check it: the row's digest is the brought one, and that of the manifest's text. The report's is not in
        the manifest (a foreign report's may be). The profile's is, when the manifest lists one; when it does not, the
        profile is of the rows here.
        """
        directory = brought.directory
        (directory / REPORT_FILE).write_text(report.to_json())
        if all(file.name != PROFILE_FILE for file in brought.manifest.files):
            (directory / PROFILE_FILE).write_text(profile.to_json())
        self._write_row(ref, directory, now)
        return ref

    def _write_row(self, ref: ArtifactRef, directory: Path, now: datetime) -> None:
        version = self.task.version
        texts = {name: (directory / name).read_bytes().decode() for name in (MANIFEST_FILE, REPORT_FILE, PROFILE_FILE)}
        row = ReportRow(
            version=version.uid,
            model=version.model_key,
            created_at=now,
            digest=ref.digest,
            manifest=texts[MANIFEST_FILE],
            report=texts[REPORT_FILE],
            profile=texts[PROFILE_FILE],
        )
        with open_source(self.samples_url) as source:
            source.write_report(row)


def _build_manifest(task: TrainingTask, report: TrainingReport, directory: Path, files: tuple[str, ...]) -> Manifest:
    model_file = files[0]
    members = {member_name(model_file, number) for number in range(2, task.algorithm.members + 1)}
    libraries = {"python": platform.python_version(), "numpy": np.__version__}
    return Manifest(
        algorithm=task.algorithm.name,
        model_file=model_file,
        member_files=tuple(name for name in files if name in members),
        features=report.features,
        seed=task.seed,
        fingerprint=report.dataset.fingerprint,
        libraries={**libraries, **find_algorithm(task.algorithm.name).versions()},
        files=tuple(describe_file(directory / name) for name in (*files, PROFILE_FILE, REPORT_FILE)),
    )


def _empty(directory: Path) -> Path:
    directory.mkdir()
    return directory
