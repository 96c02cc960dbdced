"""Features in every type and with every oddity, counted by both databases and once more row by row."""

import math
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, Column, Engine, Float, Integer, MetaData, Numeric, Table, Text, insert
from tests.unit.store.looks import DRIVERS
from tests.unit.store.reference import MODEL, STABLE, START

from perennial.adapters.store.engine import open_engine
from perennial.adapters.store.schema import UtcTime, predictions_table
from perennial.adapters.store.store import SqlSampleStore
from perennial.domain.drift_evidence import ColumnCounts, DriftLook, DriftWindow, Span
from perennial_contract.profile import FeatureProfile, Histogram, ReferenceProfile, ScoreProfile
from perennial_contract.samples import Dtype, SampleContract

CONTRACT = SampleContract(table="Samples", predictions_table="select", label_delay=timedelta(minutes=5))
SPAN = Span(int(START.timestamp()) // 7200 + 1, 3, 7200)
"""It begins two hours into the data, and ends before the data does."""
FEATURES: dict[str, tuple[Dtype, tuple[float, ...], float | None, float | None]] = {
    "x": ("float64", (-1.0, -0.25, 0.0, 0.5, 1.5), -2.0, 2.0),
    "User": ("int64", (2.0, 5.0), 0.0, 8.0),
    "flag": ("bool", (1.0,), 0.0, 1.0),
    "price": ("float64", (0.25, 0.5, 0.75), 0.0, 1.0),
    "constant": ("float64", (), 1.0, 1.0),
    "never": ("float64", (), None, None),
}
SCORE_EDGES = (0.25, 0.5, 0.75)


def _worth(edges: tuple[float, ...]) -> dict[str, Any]:
    bins = len(edges) + 1
    return {
        "edges": edges,
        "shares": (1 / bins,) * bins,
        "effective_rows": (100.0,) * bins,
        "degrees_of_freedom": 50.0,
    }


PROFILE = ReferenceProfile(
    rows=1000,
    from_=START - timedelta(days=30),
    until=START,
    features=tuple(
        FeatureProfile(
            name=name, dtype=dtype, low=low, high=high, missing_rate=0.1, missing_effective_rows=90.0, **_worth(edges)
        )
        for name, (dtype, edges, low, high) in FEATURES.items()
    ),
    scores=ScoreProfile(
        rows=100, mean_scores=(0.1, 0.4, 0.6, 0.9), target_shares=(0.1, 0.4, 0.6, 0.9), **_worth(SCORE_EDGES)
    ),
)


@dataclass
class Store:
    """Samples and predictions."""

    samples: list[dict[str, Any]] = field(default_factory=list)
    predictions: list[dict[str, Any]] = field(default_factory=list)

    def write(self, engine: Engine) -> None:
        """The tables as a user's own migration might have made them."""
        columns = {"x": Float(53), "User": Integer, "flag": Boolean, "price": Numeric(6, 4), "constant": Float(24)}
        features = [Column(name, type_) for name, type_ in columns.items()]
        head = [Column("id", Text, primary_key=True), Column("at", UtcTime)]
        table = Table(CONTRACT.table, MetaData(), *head, *features, Column("never", Float))
        predictions = predictions_table(CONTRACT.predictions_table)
        for one in (table, predictions):
            one.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(insert(table), self.samples)
            connection.execute(insert(predictions), self.predictions)


def draw(seed: int, count: int = 400) -> Store:
    """Rows at edges, beyond limits, missing, NaN and infinite; predictions of others, of shadows, of other times."""
    dice, found = random.Random(seed), Store()
    for i in range(count):
        at = START + timedelta(minutes=2 * dice.randrange(count))
        odd = dice.choice([None, math.nan, math.inf, -math.inf, -1.0, 0.5, -2.0, 2.0])
        sample = {
            "id": f"s{i}",
            "at": at if dice.random() < 0.95 else None,
            "x": odd if dice.random() < 0.4 else dice.gauss(0, 1.2),
            "User": dice.choice([None, *range(12)]),
            "flag": dice.choice([None, True, False]),
            "price": dice.choice([None, 0.25, 0.5001, 1.25, 0.9999]),
            "constant": dice.choice([1.0, 1.0, 1.0, 1.5]),
            "never": None,
        }
        found.samples.append(sample)
        for version, model in ((STABLE, MODEL), ("uid-old", MODEL), (STABLE, "spot/another")):
            found.predictions.append(
                {
                    "model": model,
                    "version": version,
                    "sample_id": f"s{i}",
                    "track": dice.choice(["live", "live", "shadow"]),
                    "score": dice.choice([0.0, 0.25, 0.5, 1.0, dice.random()]),
                    "at": at,
                }
            )
    return found


def expected_drift(store: Store) -> DriftLook:
    """Row by row."""
    windows = []
    for number in range(SPAN.first, SPAN.first + SPAN.count):
        rows = [row for row in store.samples if row["at"] and _window_of(row["at"]) == number]
        scores = [
            row["score"]
            for row in store.predictions
            if (row["model"], row["version"], row["track"]) == (MODEL, STABLE, "live")
            and _window_of(row["at"]) == number
        ]
        if rows:
            times = [row["at"] for row in rows]
            columns = tuple(_count(profile, [row[profile.name] for row in rows]) for profile in PROFILE.features)
            assert PROFILE.scores is not None
            binned = _bins(PROFILE.scores, scores) if scores else ()
            windows.append(DriftWindow(number, len(rows), min(times), max(times), columns, binned))
    return DriftLook(tuple(windows))


def _window_of(at: datetime) -> int:
    return int(at.timestamp() // SPAN.seconds)


def _count(profile: FeatureProfile, values: list[Any]) -> ColumnCounts:
    known = [float(value) for value in values if value is not None and not math.isnan(value)]
    outside = 0
    if profile.low is not None and profile.high is not None:
        outside = sum(not profile.low <= value <= profile.high for value in known)
    return ColumnCounts(profile.name, _bins(profile, known), len(values) - len(known), outside)


def _bins(histogram: Histogram, values: list[float]) -> tuple[int, ...]:
    codes = [sum(value >= edge for edge in histogram.edges) for value in values]
    return tuple(codes.count(number) for number in range(len(histogram.edges) + 1))


async def assert_drift_agrees(url: str, seed: int) -> None:
    """A database's look, compared with the reference."""
    engine, recorded = open_engine(url, DRIVERS), draw(seed)
    recorded.write(engine)
    engine.dispose()
    store = SqlSampleStore(url, drivers=DRIVERS)
    look = await store.observe_drift(CONTRACT, PROFILE, model=MODEL, version=STABLE, span=SPAN)
    assert look == expected_drift(recorded)
    assert len(look.windows) == SPAN.count
    nobody = await store.observe_drift(CONTRACT, PROFILE, model=MODEL, version="uid-unknown", span=SPAN)
    assert [window.scores for window in nobody.windows] == [()] * SPAN.count
    after = await store.observe_drift(
        CONTRACT, PROFILE, model=MODEL, version=STABLE, span=Span(SPAN.first + 10_000, 2, SPAN.seconds)
    )
    assert after.windows == ()
    store.close()
