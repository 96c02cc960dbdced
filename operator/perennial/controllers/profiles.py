"""The reference profile of a version: read once, believed only when its digests hold."""

import hashlib

from pydantic import ValidationError

from perennial.controllers.context import Context
from perennial.controllers.objects import Version
from perennial.domain.evidence import ReportRow
from perennial.domain.sample_store import SampleStore
from perennial_contract.profile import ReferenceProfile
from perennial_contract.report import PROFILE_FILE, Manifest


async def observe_profile(context: Context, store: SampleStore, version: Version) -> ReferenceProfile | None:
    """The profile of a trained version; None when there is none that can be believed.

    It never changes, so one that was read is kept.

    Raises:
        StoreError: the store does not answer.
    """
    uid, artifact = version.uid, version.status.artifact
    if uid not in context.profiles:
        row = await store.read_report(uid)
        profile = read_profile(row, artifact.digest) if row is not None and artifact is not None else None
        if profile is None:
            return None
        context.profiles[uid] = profile
    return context.profiles[uid]


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


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
