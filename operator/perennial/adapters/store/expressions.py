"""The rules of evidence as SQL: which rows count, who acted, who won. `perennial.domain.evidence` states them."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    FromClause,
    Integer,
    and_,
    case,
    cast,
    func,
    literal_column,
    or_,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from perennial.domain.evidence import CALIBRATION_BINS, late_slack
from perennial_contract.samples import Decision


class epoch_seconds(FunctionElement[int]):  # noqa: N801 - a SQL function, called like those of sqlalchemy.func
    """Whole seconds since 1970 of an instant, in either database."""

    type = BigInteger()
    inherit_cache = True


@compiles(epoch_seconds, "postgresql")
def _epoch_in_postgresql(element: epoch_seconds, compiler: SQLCompiler, **options: Any) -> str:
    # date_part is a double: extract would calculate with numerics, several times slower.
    return f"CAST(floor(date_part('epoch', {compiler.process(element.clauses, **options)})) AS bigint)"


@compiles(epoch_seconds, "sqlite")
def _epoch_in_sqlite(element: epoch_seconds, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(element.clauses, **options)}) AS INTEGER)"


class floor_divide(FunctionElement[int]):  # noqa: N801 - as above
    """floor(a / n) for whole numbers and n > 0: SQL's own division rounds towards zero, so up before 1970."""

    type = BigInteger()
    inherit_cache = True


@compiles(floor_divide)
def _floor_divide(element: floor_divide, compiler: SQLCompiler, **options: Any) -> str:
    a, n = (compiler.process(part, **options) for part in element.clauses)
    return f"(({a}) / ({n}) - (({a}) % ({n}) < 0))"


@compiles(floor_divide, "postgresql")
def _floor_divide_in_postgresql(element: floor_divide, compiler: SQLCompiler, **options: Any) -> str:
    a, n = (compiler.process(part, **options) for part in element.clauses)
    return f"CAST(floor(CAST(({a}) AS float8) / ({n})) AS bigint)"


def block_of(at: ColumnElement[datetime], block_seconds: int) -> ColumnElement[int]:
    """floor(epoch / block_seconds)."""
    return floor_divide(epoch_seconds(at), literal_column(str(int(block_seconds))))


def bin_of(score: ColumnElement[float]) -> ColumnElement[int]:
    """The calibration bin of a score in 0..1."""
    return case((score >= 1, CALIBRATION_BINS - 1), else_=cast(func.floor(score * CALIBRATION_BINS), Integer))


def target_of(samples: FromClause) -> ColumnElement[int]:
    """0 or 1, also where a user's own table says true and false or 1.0."""
    return cast(samples.c.target, Integer)


def score_of(predictions: FromClause) -> ColumnElement[float]:
    """P(target = 1) as a double."""
    return cast(predictions.c.score, Float(53))


def double_of(feature: ColumnElement[Any]) -> ColumnElement[float]:
    """A feature as a double, also where a user's own table holds integers or decimals."""
    return cast(feature, Float(53))


def reward_of(samples: FromClause) -> ColumnElement[float]:
    """The long side's reward as a double, also where a user's own table holds decimals."""
    return cast(samples.c.reward, Float(53))


def is_evidence(decision: Decision, samples: FromClause) -> ColumnElement[bool]:
    """Resolved, and for Direction not a draw: at a reward of 0 neither side was right."""
    resolved = samples.c.target.is_not(None)
    if decision.rule == "Selection":
        return resolved
    return and_(resolved, or_(samples.c.reward.is_(None), samples.c.reward != 0))


def is_late(at: ColumnElement[datetime], samples: FromClause, label_delay: timedelta) -> ColumnElement[bool]:
    """Resolved later than was promised, beyond the slack."""
    allowed = (label_delay + late_slack(label_delay)).total_seconds()
    return epoch_seconds(samples.c.resolved_at) - epoch_seconds(at) > allowed


def acts(decision: Decision, score: ColumnElement[float]) -> ColumnElement[bool]:
    """Whether the model did anything at this score."""
    return true() if decision.rule == "Direction" else score >= decision.threshold


def wins(decision: Decision, score: ColumnElement[float], target: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether it acted and was right."""
    up = and_(score >= decision.threshold, target == 1)
    if decision.rule == "Selection":
        return up
    return or_(up, and_(score < decision.threshold, target == 0))


def earned(decision: Decision, score: ColumnElement[float], reward: ColumnElement[float]) -> ColumnElement[float]:
    """Side × reward."""
    return case((score >= decision.threshold, reward), else_=-reward)
