"""Live features counted in the bins of a profile: one pass over a window's rows, and only counts come back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Integer,
    Select,
    cast,
    column,
    false,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.sql.functions import FunctionElement

from perennial.adapters.store.expressions import block_of, score_of
from perennial.adapters.store.schema import predictions_table, samples_table
from perennial.domain.drift_evidence import ColumnCounts, DriftLook, DriftWindow, Span
from perennial_contract.profile import FeatureProfile, Histogram, ReferenceProfile
from perennial_contract.samples import SampleContract

COLUMNS_AT_ONCE = 100
"""A statement may bring back some 1 600 columns; more features than this are counted by several."""
_KEY: ColumnElement[int] = literal_column("1")


class is_nan(FunctionElement[bool]):  # noqa: N801 - a SQL function, called like those of sqlalchemy.func
    """NaN, which PostgreSQL takes for the largest number; SQLite stores it as NULL."""

    inherit_cache = True


@compiles(is_nan)
def _never(element: is_nan, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(false(), **options)


@compiles(is_nan, "postgresql")
def _is_nan_in_postgresql(element: is_nan, compiler: SQLCompiler, **options: Any) -> str:
    (value,) = (compiler.process(part, **options) for part in element.clauses)
    return f"{value} = 'NaN'::float8"


@dataclass(frozen=True)
class DriftQuestion:
    """What is counted, of which version."""

    contract: SampleContract
    profile: ReferenceProfile
    model: str
    version: str
    span: Span


def count_windows(connection: Connection, question: DriftQuestion) -> DriftLook:
    """The look: samples in one statement (a few where there are very many features), predictions in another."""
    span, profile = question.span, question.profile
    windows: dict[int, dict[str, Any]] = {}
    for first in range(0, max(len(profile.features), 1), COLUMNS_AT_ONCE):
        features = profile.features[first : first + COLUMNS_AT_ONCE]
        for row in connection.execute(build_features_query(question.contract.table, features, span)):
            key, rows, oldest, newest, *counts = row
            window = windows.setdefault(int(key), {"rows": rows, "oldest": oldest, "newest": newest, "columns": []})
            window["columns"] += _read_columns(features, int(rows), counts)
    if profile.scores is not None:
        for key, _, *counts in connection.execute(build_scores_query(question, profile.scores)):
            if int(key) in windows:
                windows[int(key)]["scores"] = tuple(_bins(profile.scores, [int(count) for count in counts]))
    return DriftLook(
        tuple(
            DriftWindow(number, **{**window, "columns": tuple(window["columns"])})
            for number, window in sorted(windows.items())
        )
    )


def build_features_query(table: str, features: Sequence[FeatureProfile], span: Span) -> Select[Any]:
    """Rows (window, rows, oldest, newest, and of each feature what `_read_columns` takes)."""
    samples = samples_table(table)
    at = samples.c.at
    counts = [count for feature in features for count in _feature_counts(feature)]
    keys: list[ColumnElement[Any]] = [block_of(at, span.seconds), func.count(), func.min(at), func.max(at)]
    return select(*keys, *counts).select_from(samples).where(at >= span.since, at < span.until).group_by(_KEY)


def build_scores_query(question: DriftQuestion, scores: Histogram) -> Select[Any]:
    """Rows (window, total, and what `_bins` takes) of the version's live predictions."""
    predictions = predictions_table(question.contract.predictions_table)
    at, span = predictions.c.at, question.span
    keys: list[ColumnElement[Any]] = [block_of(at, span.seconds), func.count()]
    return (
        select(*keys, *_bin_counts(score_of(predictions), scores.edges))
        .where(
            predictions.c.model == question.model,
            predictions.c.version == question.version,
            predictions.c.track == "live",
            at >= span.since,
            at < span.until,
        )
        .group_by(_KEY)
    )


def _feature_counts(feature: FeatureProfile) -> Iterator[ColumnElement[int]]:
    raw: ColumnElement[Any] = column(quoted_name(feature.name, quote=True))
    value = cast(cast(raw, Integer) if feature.dtype == "bool" else raw, Float(53))
    yield func.count(raw)
    yield func.count().filter(is_nan(value))
    yield _below(value, feature.low)
    yield _above(value, feature.high)
    yield from _bin_counts(value, feature.edges)


def _below(value: ColumnElement[float], limit: float | None) -> ColumnElement[int]:
    return func.count().filter(value < literal(limit, Float(53)) if limit is not None else false())


def _above(value: ColumnElement[float], limit: float | None) -> ColumnElement[int]:
    return func.count().filter(value > literal(limit, Float(53)) if limit is not None else false())


def _bin_counts(value: ColumnElement[float], edges: Sequence[float]) -> Iterator[ColumnElement[int]]:
    """Counts below each edge of the lower half and from each edge of the upper half on: fewer rows pass each filter."""
    yield func.count(value)
    middle = len(edges) // 2
    for edge in edges[:middle]:
        yield func.count().filter(value < literal(edge, Float(53)))
    for edge in edges[middle:]:
        yield func.count().filter(value >= literal(edge, Float(53)))


def _bins(histogram: Histogram, counts: Sequence[int], nan: int = 0) -> list[int]:
    """Rows a bin, of what `_bin_counts` counted; NaN was counted as larger than every edge."""
    total, *cumulative = counts
    middle = len(histogram.edges) // 2
    known = total - nan
    below = [*cumulative[:middle], *(known - (count - nan) for count in cumulative[middle:])]
    return [upper - lower for lower, upper in pairwise([0, *below, known])]


def _read_columns(features: Sequence[FeatureProfile], rows: int, counts: Sequence[Any]) -> Iterator[ColumnCounts]:
    left = iter(int(count) for count in counts)
    for feature in features:
        present, nan, below, above = (next(left) for _ in range(4))
        bins = _bins(feature, [next(left) for _ in range(len(feature.edges) + 1)], nan)
        outside = below + (above - nan if feature.high is not None else 0)
        yield ColumnCounts(feature.name, tuple(bins), rows - present + nan, outside)
