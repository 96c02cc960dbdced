"""The trainer's row in ``model_reports``, believed only when its digests hold."""

import hashlib

from pydantic import ValidationError

from perennial.domain.evidence import ReportRow
from perennial.domain.version import Trained, Untrusted
from perennial_contract.profile import ReferenceProfile
from perennial_contract.report import PROFILE_FILE, REPORT_FILE, Feature, Manifest, TrainingReport
from perennial_contract.task import ArtifactRef


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def read_trained(
    row: ReportRow | None, uid: str, artifact_uri: str, brought: ArtifactRef | None
) -> Trained | Untrusted:
    """The report, when the manifest has the artifact's digest and lists the very report and profile of the row.

    A model that was brought has a manifest from elsewhere, which cannot list a report that was written today: there the
    digest must be the one that was declared.
    """
    if row is None:
        return Untrusted("ReportMissing", "the Job left no row in model_reports")
    if _digest(row.manifest) != row.digest:
        return Untrusted(
            "DigestMismatch", f"manifest.json has digest {_digest(row.manifest)}, the row says {row.digest}"
        )
    try:
        manifest = Manifest.model_validate_json(row.manifest)
        report = TrainingReport.model_validate_json(row.report)
    except ValidationError as error:
        first = error.errors()[0]
        return Untrusted("ReportInvalid", f"{error.title}: {'.'.join(map(str, first['loc']))}: {first['msg']}")
    if report.version != uid:
        return Untrusted("ReportInvalid", f"the report is on version {report.version}, not on {uid}")
    if brought is not None:
        if brought.digest != row.digest:
            return Untrusted("DigestMismatch", f"spec.artifact.digest is {brought.digest}, the artifact's {row.digest}")
    elif wrong := _files_differ(manifest, row):
        return Untrusted("DigestMismatch", wrong)
    uri = brought.uri if brought else artifact_uri
    return Trained(report, ArtifactRef(uri=uri, digest=row.digest), sum(f.bytes for f in manifest.files))


def _files_differ(manifest: Manifest, row: ReportRow) -> str | None:
    listed = {f.name: f.digest for f in manifest.files}
    for name, text in ((REPORT_FILE, row.report), (PROFILE_FILE, row.profile)):
        if listed.get(name) != _digest(text):
            return f"{name} has digest {_digest(text)}, the manifest says {listed.get(name)}"
    return None


def read_features(row: ReportRow | None, artifact: ArtifactRef) -> tuple[Feature, ...] | None:
    """What a model reads, trained here or brought: its manifest says so once it has the artifact's digest."""
    if row is None or _digest(row.manifest) != artifact.digest:
        return None
    try:
        return Manifest.model_validate_json(row.manifest).features
    except ValidationError:
        return None


def read_profile(row: ReportRow, digest: str) -> ReferenceProfile | None:
    """The row's profile, when the manifest has the artifact's digest and, where it lists a profile, lists this one.

    A model that was brought may come without a profile: the trainer then writes one of the rows here, which no manifest
    lists.
    """
    if _digest(row.manifest) != digest:
        return None
    try:
        listed = {file.name: file.digest for file in Manifest.model_validate_json(row.manifest).files}
        if listed.get(PROFILE_FILE, _digest(row.profile)) != _digest(row.profile):
            return None
        return ReferenceProfile.model_validate_json(row.profile)
    except ValidationError:
        return None
