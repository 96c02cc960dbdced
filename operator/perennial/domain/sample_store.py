"""What the operator asks of a sample store: the Protocol that adapters and a replay implement."""

from datetime import datetime
from typing import Literal, Protocol

from perennial.domain.drift_evidence import DriftLook, Span
from perennial.domain.evidence import HealthLook, PairLook, ReportRow, SampleCounts, SeriesLook
from perennial_contract.profile import ReferenceProfile
from perennial_contract.samples import Decision, SampleContract


class SampleStore(Protocol):
    """One query a table a look. Every method raises StoreUnavailable or StoreMisconfigured, and nothing else."""

    async def check(self, contract: SampleContract, recorded_by: Literal["Server", "Client"] = "Server") -> None:
        """Raises StoreMisconfigured when a table, column or key is missing, or a type cannot work."""
        ...

    async def observe_health(
        self,
        contract: SampleContract,
        decision: Decision,
        *,
        model: str,
        version: str,
        since: datetime,
        until: datetime,
        block_seconds: int,
        blocks_since: datetime | None = None,
    ) -> HealthLook:
        """How ``version`` (a ModelVersion's UID) of ``model`` (namespace/name) did on live requests.

        Evidence from ``blocks_since`` on, where that is before ``since``, comes as block sums alone.
        """
        ...

    async def observe_pairs(
        self,
        contract: SampleContract,
        decision: Decision,
        *,
        model: str,
        stable: str,
        canary: str,
        since: datetime,
        step_since: datetime,
        until: datetime,
        block_seconds: int,
    ) -> PairLook:
        """How two versions did on the same samples since the canary began, and what the present step has seen."""
        ...

    async def observe_counts(self, contract: SampleContract, *, since: datetime, now: datetime) -> SampleCounts:
        """How many samples and outcomes there are, and how many outcomes belong to samples newer than ``since``."""
        ...

    async def observe_drift(
        self, contract: SampleContract, profile: ReferenceProfile, *, model: str, version: str, span: Span
    ) -> DriftLook:
        """The samples of some windows in the bins of a profile, and the version's live scores."""
        ...

    async def observe_series(self, contract: SampleContract, column: str, *, until: datetime, limit: int) -> SeriesLook:
        """The newest ``limit`` timestamps at which a feature was known, and its mean over the series at each."""
        ...

    async def read_report(self, version_uid: str) -> ReportRow | None:
        """The trainer's report on a version; None until it has written one."""
        ...
