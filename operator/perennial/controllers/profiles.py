"""The reference profile of a version: it never changes, so it is read once."""

from perennial.controllers.context import Context
from perennial.controllers.objects import Version
from perennial.controllers.reports import read_profile
from perennial.domain.sample_store import SampleStore
from perennial_contract.profile import ReferenceProfile


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
