"""What stands in a store, for people."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, func, select

from perennial.adapters.store.checks import columns_of, numeric_features
from perennial.adapters.store.engine import reading
from perennial.adapters.store.schema import predictions_table, samples_table
from perennial.domain.evidence import StoreMisconfigured


@dataclass(frozen=True, slots=True)
class Scored:
    """What one version has said."""

    model: str
    version: str
    track: str
    n: int
    newest: datetime


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The samples and who predicted them."""

    features: tuple[str, ...]
    rows: int
    unplaced: int
    """Outcomes whose sample has not come yet."""
    resolved: int
    oldest: datetime | None
    newest: datetime | None
    newest_resolved: datetime | None
    predictions: tuple[Scored, ...]

    @property
    def per_day(self) -> float | None:
        """Outcomes a day between the oldest and the newest sample; None when there is no span to measure over."""
        if self.oldest is None or self.newest is None or self.newest <= self.oldest:
            return None
        return self.resolved / ((self.newest - self.oldest) / timedelta(days=1))


def observe_status(engine: Engine, table: str, predictions: str) -> StoreStatus:
    """One query a table.

    Raises:
        StoreError: the store does not answer, or a table is missing.
    """
    samples, scored = samples_table(table), predictions_table(predictions)
    with reading(engine) as connection:
        columns = columns_of(connection, table)
        if columns is None:
            raise StoreMisconfigured("--table", f"there is no table {table!r}", "run `perennial store init`")
        row = connection.execute(
            select(
                func.count(samples.c.at).label("rows"),
                (func.count() - func.count(samples.c.at)).label("unplaced"),
                func.count(samples.c.target).filter(samples.c.at.is_not(None)).label("resolved"),
                func.min(samples.c.at).label("oldest"),
                func.max(samples.c.at).label("newest"),
                func.max(samples.c.at).filter(samples.c.target.is_not(None)).label("newest_resolved"),
            )
        ).one()
        by_version = (scored.c.model, scored.c.version, scored.c.track)
        found = connection.execute(
            select(*by_version, func.count(), func.max(scored.c.at)).group_by(*by_version).order_by(*by_version)
        ).all()
    return StoreStatus(
        features=numeric_features(columns),
        predictions=tuple(Scored(*line) for line in found),
        **row._mapping,
    )
