"""What a version remembers of the data it was made from: the yardstick that drift and regimes are measured with."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from perennial_contract.base import Document
from perennial_contract.samples import Dtype, Identifier

Share = Annotated[float, Field(ge=0, le=1)]


class Histogram(Document):
    """A distribution in bins that never move with the data under test."""

    edges: tuple[float, ...]
    """Inner edges, ascending and distinct: len(shares) − 1 of them. A value equal to an edge belongs above it."""
    shares: tuple[Share, ...]
    """Share of the non-missing rows a bin."""
    effective_rows: tuple[float, ...]
    """How many independent rows would know each share as well: fewer than there are where rows resemble their past."""
    degrees_of_freedom: float = Field(gt=0)
    """What the variances behind `effective_rows` are worth: the more, the surer."""


class FeatureProfile(Histogram):
    """A feature as the model saw it in training."""

    name: str
    dtype: Dtype = "float64"
    low: float | None = None
    """The smallest value; absent when all are missing."""
    high: float | None = None
    """The largest."""
    missing_rate: Share
    missing_effective_rows: float
    """As `effective_rows`, of the missing rate."""


class ScoreProfile(Histogram):
    """The model's own scores on the holdout, in ten quantile bins, and how often they came true."""

    rows: int
    mean_scores: tuple[Share, ...]
    """Mean score a bin."""
    target_shares: tuple[Share, ...]
    """Share of target = 1 a bin: what the scores of that bin are worth (calibration)."""


REGIMES = ("Calm", "Normal", "Turbulent")
"""By ascending volatility."""


class RegimeState(Document):
    """One regime: a normal distribution of the series."""

    name: str
    """One of `REGIMES`."""
    mean: float
    deviation: float = Field(gt=0)


class RegimeProfile(Document):
    """The regimes of a series, as fitted before the version was made."""

    column: Identifier
    method: Literal["MarkovSwitching", "VolatilityTerciles"]
    """The second where the first did not converge."""
    states: tuple[RegimeState, ...]
    """By ascending volatility."""
    transition: tuple[tuple[Share, ...], ...]
    """Row i: probabilities of going from state i to each."""
    points: int
    """Timestamps that it was fitted on."""
    until: AwareDatetime
    """The newest of them."""
    trained_on: str
    """The state at that time."""


class ReferenceProfile(Document):
    """The shape of what a version was trained and compared on."""

    schema_version: Literal[2] = 2
    rows: int
    """Training rows (holdout rows for a model that was brought)."""
    from_: AwareDatetime = Field(alias="from")
    until: AwareDatetime
    """The oldest and the newest `at` among them: live windows lie after it."""
    features: tuple[FeatureProfile, ...]
    scores: ScoreProfile | None = None
    regime: RegimeProfile | None = None
