"""What a look into the sample store brings back: sums, never rows. The store behind it is an adapter's affair.

One set of rules holds for every look:

- ``until`` (or ``now``) is the instant of the look. Evidence is what was predicted at
  ``since < at ≤ until − labelDelay``: what resolves early is a biased sample. Younger ones count in totals alone.
- Health's time blocks are one labelDelay long, which is one timestamp each (of a whole panel) where the label fits into
  one step. Where a block would hold several, all of them are twice as long.
- A prediction is placed in time by its own ``at``; a sample that has an outcome but no ``at`` yet is in no count.
- Direction always acts (long when score ≥ threshold, else short), a win is long ⇔ target = 1, its reward is
  side × reward, and rows whose reward is exactly 0 are no evidence: neither side was right.
- Selection acts when score ≥ threshold, a win is target = 1, and rows with reward 0 count.
- Utility: win +1, loss −1, no action 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

CALIBRATION_BINS = 10
"""Bins of equal width over the scores 0..1; a score of exactly 1 is in the last."""


def late_slack(label_delay: timedelta) -> timedelta:
    """What an outcome may take beyond labelDelay before it counts as late: a tenth of it, at least a minute."""
    return max(label_delay / 10, timedelta(minutes=1))


def first_open_block(until: datetime, label_delay: timedelta, block_seconds: int) -> int:
    """The block that is still filling at ``until``: those below it are complete, and only they may be bet on."""
    return int((until - label_delay).timestamp() // block_seconds)


class StoreError(Exception):
    """A look failed. One line with field, value and fix; never the URL, which holds a password."""

    def __init__(self, field: str, value: str, fix: str) -> None:
        super().__init__(f"{field}: {value}: {fix}")
        self.field, self.value, self.fix = field, value, fix


class StoreUnavailable(StoreError):  # noqa: N818 - a state of the store, as its condition names it
    """The store does not answer (now): evidence is Unknown, weights hold, try again."""


class StoreMisconfigured(StoreError):  # noqa: N818 - as above
    """The store answers and something is not as declared: a person has to change a resource, a table or a grant."""


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One time block of one version's live predictions that are resolved."""

    block: int
    """floor(epoch of ``at`` / block_seconds)."""
    n: int
    acted: int
    wins: int
    reward_sum: float
    """Σ side × reward over the rows acted on that have a reward, of which there are ``rewarded``."""
    reward_gain: float
    """The positive part of reward_sum."""
    reward_loss: float
    """The negative part as a positive number: profit factor = gain / loss."""
    reward_sq: float
    rewarded: int
    brier_sum: float
    """Σ (y − p)²."""
    score_sum: float
    """Σ p."""
    score_var_sum: float
    """Σ p(1 − p)."""
    spiegelhalter_num: float
    """Σ (y − p)(1 − 2p)."""
    spiegelhalter_den: float
    """Σ (1 − 2p)² p(1 − p)."""
    confidence_sum: float
    """Σ max(p, 1 − p): the probability of the side it leans to, so that its mean compares with a win rate."""

    @property
    def utility_sum(self) -> int:
        """Wins − losses."""
        return 2 * self.wins - self.acted


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The evidence again, by score: bin b holds b/10 ≤ score < (b+1)/10; bins with nothing in them are absent."""

    bin: int
    n: int
    score_sum: float
    target_sum: int
    score_var_sum: float
    pending_up: int = 0
    """Predictions without an outcome, young or overdue, with score ≥ threshold: long, or acted on."""
    pending_up_sum: float = 0.0
    """Σ of their scores."""
    pending_down: int = 0
    """Those with score < threshold: short, or (Selection) not acted on."""
    pending_down_sum: float = 0.0


@dataclass(frozen=True, slots=True)
class HealthLook:
    """One version's live performance; blocks ascending, empty blocks absent."""

    blocks: tuple[BlockRow, ...]
    """Of the window: since < at."""
    earlier: tuple[BlockRow, ...]
    """What lies before it as far as asked: blocks_since ≤ at ≤ since. One block may have a part in both."""
    block_seconds: int
    """Length of the blocks: as asked, or twice that where one would hold several timestamps."""
    bins: tuple[CalibrationBin, ...]
    total: int
    """Live predictions with since < at ≤ until."""
    resolved: int
    """Those with a target, young ones and rewards of 0 included."""
    overdue: int
    """Those without a target though at ≤ until − labelDelay."""
    late: int
    """Those resolved after at + labelDelay + late_slack."""
    newest_resolved: datetime | None
    """The newest ``at`` among the evidence."""


@dataclass(frozen=True, slots=True)
class PairBlock:
    """One time block of samples that both versions scored and that are resolved."""

    block: int
    n: int
    utility_sum: int
    """Σ (canary's − stable's utility): −2·n..2·n."""
    utility_sq: int
    """Σ of the squares of those differences."""
    stable_acted: int
    stable_wins: int
    canary_acted: int
    canary_wins: int


@dataclass(frozen=True, slots=True)
class VersionBlock:
    """One time block of what one version served live, for ``outcomes: Acted``, where there are no pairs."""

    version: str
    block: int
    n: int
    acted: int
    wins: int

    @property
    def utility_sum(self) -> int:
        """Wins − losses."""
        return 2 * self.wins - self.acted


@dataclass(frozen=True, slots=True)
class PairLook:
    """Two versions of one model on the same samples; ``blocks`` ascending, empty blocks absent."""

    blocks: tuple[PairBlock, ...]
    unpaired: tuple[VersionBlock, ...]
    """Resolved live rows a version and block; filled whatever ``outcomes`` says."""
    paired: int
    """Samples that both versions scored, resolved or not (since < at ≤ until − labelDelay, as the next two)."""
    stable_scored: int
    """From the block on in which the canary first scored: while its pods are being made, nothing is missing."""
    canary_scored: int
    resolved_since: int
    """Resolved pairs with at > step_since."""
    live_by_version: Mapping[str, int]
    """Live predictions with step_since < at ≤ until: what the weight really was. Both versions are always keys."""

    @property
    def scored(self) -> int:
        """Samples that at least one of the two scored."""
        return self.stable_scored + self.canary_scored - self.paired

    @property
    def coverage(self) -> float | None:
        """Share of the samples that both scored; None without samples."""
        return self.paired / self.scored if self.scored else None


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """The samples themselves, whoever predicted them."""

    rows: int
    """Samples with an ``at`` ≤ now."""
    resolved: int
    """Those with a target."""
    newest_at: datetime | None
    newest_resolved_at: datetime | None
    """The newest ``resolved_at``."""
    resolved_since: int
    """Those with a target and since < at ≤ now − labelDelay."""
    oldest_since: datetime | None
    """The oldest ``at`` among them."""
    visible_until: datetime
    """now − labelDelay."""

    @property
    def per_day(self) -> float | None:
        """Outcomes a day, measured over what ``resolved_since`` counts; None when that is less than two rows."""
        if self.oldest_since is None or self.resolved_since < 2:
            return None
        days = (self.visible_until - self.oldest_since) / timedelta(days=1)
        return self.resolved_since / days if days > 0 else None


@dataclass(frozen=True, slots=True)
class SeriesLook:
    """The newest timestamps at which a feature was known, ascending, none younger than any other evidence."""

    at: tuple[datetime, ...]
    mean: tuple[float, ...]
    """Over all series at each of them. Values that are missing, or beyond ``regime.LARGEST``, are left out."""
    visible_until: datetime
    """until − labelDelay."""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """What the trainer left in ``model_reports``: texts as they were written, for the digests to be checked."""

    version: str
    model: str
    created_at: datetime
    digest: str
    manifest: str
    report: str
    profile: str
