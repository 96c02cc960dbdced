"""The sample store of a replay: what a recording had to show at the instant of a look."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from perennial.domain.drift_evidence import DriftLook, Span
from perennial.domain.evidence import HealthLook, PairLook, ReportRow, SampleCounts, SeriesLook
from perennial.replay.drift import look_at_drift
from perennial.replay.looks import count_samples, look_at_health, look_at_pairs
from perennial.replay.predictions import Predictions
from perennial.replay.reports import ReportFolder
from perennial.replay.series import Series, build_series, look_at_series
from perennial_contract.profile import ReferenceProfile
from perennial_contract.samples import Decision, SampleContract


class RecordedStore:
    """A `SampleStore` that shows of a recording what was known at the instant of a look, and nothing later."""

    def __init__(self, models: Mapping[str, Predictions], reports: ReportFolder) -> None:
        self._models, self._reports = models, reports
        self._series: dict[tuple[str, str], Series] = {}

    def at(self, _: str) -> "RecordedStore":
        """Every URL of a replay leads here."""
        return self

    async def check(self, contract: SampleContract, recorded_by: Literal["Server", "Client"] = "Server") -> None:
        """What there is was checked when it was recorded."""

    async def read_report(self, version_uid: str) -> ReportRow | None:
        """See `SampleStore`."""
        return self._reports.read(version_uid)

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
        """See `SampleStore`."""
        predictions = self._models[model]
        return look_at_health(predictions, contract, decision, version, since, until, block_seconds, blocks_since)

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
        """See `SampleStore`."""
        sides = {"stable": stable, "canary": canary}
        return look_at_pairs(self._models[model], contract, decision, sides, since, step_since, until, block_seconds)

    async def observe_drift(
        self, contract: SampleContract, profile: ReferenceProfile, *, model: str, version: str, span: Span
    ) -> DriftLook:
        """See `SampleStore`."""
        return look_at_drift(self._models[model], profile, version, span)

    async def observe_counts(self, contract: SampleContract, *, since: datetime, now: datetime) -> SampleCounts:
        """See `SampleStore`; asked of a table, which every model that reads it knows."""
        tables = (p for p in self._models.values() if p.history.recording.table == contract.table)
        return count_samples(next(p for p in tables if p.label_delay == contract.label_delay), since, now)

    async def observe_series(self, contract: SampleContract, column: str, *, until: datetime, limit: int) -> SeriesLook:
        """See `SampleStore`; a table's column is read once."""
        key = contract.table, column
        if key not in self._series:
            histories = (p.history for p in self._models.values())
            self._series[key] = build_series(next(h for h in histories if h.recording.table == contract.table), column)
        return look_at_series(self._series[key], until - contract.label_delay, limit)
