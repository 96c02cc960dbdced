"""The trainer's row: believed when its digests hold, and told why when they do not."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.operator_reports import DEPLOY, Training, build_row, digest

from perennial.controllers.reports import read_trained
from perennial.domain.evidence import ReportRow
from perennial.domain.version import Trained, Untrusted
from perennial_contract.samples import Decision, SampleContract
from perennial_contract.task import Algorithm, ArtifactRef, TrainingTask, VersionRef

TASK = TrainingTask(
    version=VersionRef(namespace="ns", model="m", model_uid="m-uid", name="m-v1", uid="v-uid", revision=1),
    algorithm=Algorithm(name="xgboost"),
    samples=SampleContract(label_delay=timedelta(hours=1)),
    decision=Decision(),
    until=datetime(2026, 1, 1, tzinfo=UTC),
    data_window=timedelta(days=30),
    store="file:///artifacts",
)
URI = "file:///artifacts/ns/m-m-uid/v1"


def row(training: Training = DEPLOY, **changes: str) -> ReportRow:
    """A row as the trainer writes it, changed afterwards."""
    return ReportRow(**{**build_row(TASK, training), **changes})


def test_a_row_whose_digests_hold_is_believed() -> None:
    found = row()
    trained = read_trained(found, "v-uid", URI, None)
    assert isinstance(trained, Trained)
    assert trained.artifact == ArtifactRef(uri=URI, digest=found.digest)
    assert trained.bytes == 9 + len(found.report) + len(found.profile)
    assert trained.report.version == "v-uid"


UNTRUSTED = [
    ("no row at all", None, "ReportMissing", "the Job left no row in model_reports"),
    ("another manifest", row(Training(tampering="digest")), "DigestMismatch", "manifest.json has digest sha256:"),
    ("one character of the report", row(Training(tampering="report")), "DigestMismatch", "report.json has digest"),
    ("one character of the profile", row(Training(tampering="profile")), "DigestMismatch", "profile.json has digest"),
    ("a manifest that is none", row(Training(tampering="json")), "ReportInvalid", "Manifest: "),
    ("no JSON", row(manifest="x", digest=digest("x")), "ReportInvalid", "Manifest: "),
    ("another version's report", row(Training(tampering="version")), "ReportInvalid", "the report is on version"),
]


@pytest.mark.parametrize(("found", "reason", "said"), [c[1:] for c in UNTRUSTED], ids=[c[0] for c in UNTRUSTED])
def test_a_row_that_is_not_believed_says_why(found: ReportRow | None, reason: str, said: str) -> None:
    untrusted = read_trained(found, "v-uid", URI, None)
    assert isinstance(untrusted, Untrusted)
    assert untrusted.reason == reason
    assert untrusted.message.startswith(said)


def test_a_model_that_was_brought_is_held_to_the_digest_that_was_declared() -> None:
    found = row(report=row().report.replace("3900", "3901"))
    elsewhere = ArtifactRef(uri="s3://models/mine", digest=found.digest)
    trained = read_trained(found, "v-uid", URI, elsewhere)
    assert isinstance(trained, Trained)
    assert trained.artifact == elsewhere
    untrusted = read_trained(found, "v-uid", URI, ArtifactRef(uri="s3://models/mine", digest=digest("x")))
    assert isinstance(untrusted, Untrusted)
    assert untrusted.message.startswith("spec.artifact.digest is sha256:")
