"""Did the win rate fall, and since when? A cumulative sum over time blocks sees it sooner than a window does."""

from bisect import bisect_left
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil, expm1, inf, sqrt

from perennial.api.model_deployment import Health
from perennial.api.model_deployment_status import CusumStatus, HealthStatus
from perennial.domain.evidence import BlockRow, HealthLook

SHIFT = 0.05
"""A fall from so far above minWinRate to so far below it is what the sum is tuned to."""
HEALTHY_MARGIN = 0.02
"""False alarms are promised for win rates so far above minWinRate: at the line itself, any alarm is half true."""
CAP = 1.1
"""The sum goes no further over its threshold: it has to come back once the model has recovered."""
LEAVE = 0.5
"""Of the threshold: a version that was flagged stays so until the sum is under it."""
MOST_WINDOWS = 4
"""No sum begins before so many windows ago."""
LEAST_THRESHOLD, MOST_THRESHOLD = 1.0, 200.0
"""Of a sum of log-likelihood ratios: less is no evidence however many false alarms are allowed, more is never asked."""
ROUNDING = 1e-9
"""So little is 0, but for the last digits of a float."""

_TENTHS = range(round(10 * LEAST_THRESHOLD), round(10 * MOST_THRESHOLD) + 1)


@dataclass(frozen=True, slots=True)
class Cusum:
    """The sum as it stands."""

    value: float
    threshold: float
    since: datetime
    """Begin of the first block that it rests on, before which it was 0: a change, if there is one, came then."""
    acted: int
    """Outcomes since then."""
    wins: int


def healthy_margin(min_win_rate: float) -> float:
    """`HEALTHY_MARGIN`, as far as there is room for it."""
    return min(HEALTHY_MARGIN, (1 - min_win_rate) / 2)


def kept_cursor(previous: HealthStatus | None, version: str) -> CusumStatus | None:
    """Where the version's sum was last 0, for a status that knows nothing else of it."""
    known = previous.cusum if previous and previous.version == version else None
    return CusumStatus(since=known.since) if known else None


def cusum_start(spec: Health, previous: HealthStatus | None, version: str, until: datetime) -> datetime:
    """Where the sum is 0 and begins: where it last was, and no more than `MOST_WINDOWS` ago.

    For a version that was not looked at before: where the window begins. A cursor from the future, which a clock that
    was set back leaves, does not shorten it.
    """
    since = until - spec.window
    known = kept_cursor(previous, version)
    if known is None or known.since > until:
        return since
    return max(known.since, until - MOST_WINDOWS * spec.window)


def cusum_threshold(min_win_rate: float, outcomes: float, blocks: float = inf) -> float:
    """h that the sum of a healthy model reaches once in so many effective outcomes; rounded up to a tenth.

    A tenth hides how the measured arrival of outcomes wavers. ``blocks``: see `average_run_length`.
    """
    found = bisect_left(_TENTHS, outcomes, key=lambda tenth: average_run_length(min_win_rate, tenth / 10, blocks))
    return _TENTHS[min(found, len(_TENTHS) - 1)] / 10


def average_run_length(min_win_rate: float, threshold: float, blocks: float = inf) -> float:
    """Effective outcomes until the sum of a model at minWinRate + `HEALTHY_MARGIN` reaches h, on average.

    Args:
        blocks: K, that the design effect was measured over; infinite: it is known.

    The sum is taken for a Brownian motion with drift −μ and variance σ² an outcome, held at 0: from there it reaches h
    after (e^{θh} − 1 − θh) / (μθ) outcomes, θ = 2μ/σ² (Siegmund, "Sequential Analysis", 1985, section II.6). Steps of
    whole blocks overshoot, and so take longer.
    A design effect over K blocks, with the covariance of neighbours in it, is off by a share of √(3/K), one standard
    deviation, and so is every look's sum. It passes h as often as one without error passes h′ < h,
    θh = θh′ + (θh′)²·3/(2K): the mean of e^{−θh} over such errors, to the first order.
    """
    margin = healthy_margin(min_win_rate)
    share, weight = min_win_rate + margin, loss_weight(min_win_rate)
    drift, variance = weight * margin, weight**2 * share * (1 - share)
    theta = 2 * drift / variance
    reach, noise = theta * threshold, 1.5 / blocks
    if noise:
        reach = (sqrt(1 + 4 * noise * reach) - 1) / (2 * noise)
    return (expm1(reach) - reach) / (drift * theta)


def loss_weight(min_win_rate: float) -> float:
    """δ/v: what a loss weighs in the log-likelihood ratio of p₁ to p₀, linear in wins as both are close."""
    return 2 * SHIFT / (min_win_rate * (1 - min_win_rate))


def decide_cusum(
    min_win_rate: float,
    look: HealthLook,
    *,
    start: datetime,
    first_open: int,
    design_effect: float,
    threshold: float,
) -> Cusum:
    """The sum over complete blocks since ``start``, where it is 0.

    Args:
        first_open: the first block that is not complete.
        design_effect: acted / effective outcomes, at least 1: by so much the sum of rows is more than its evidence.

    S = max(0, S + x), x = δ/v · (p_mid·acted − wins) / design effect: Page, "Continuous inspection schemes"
    (Biometrika, 1954), with the log-likelihood ratio of minWinRate − 0.05 to minWinRate + 0.05. Where S was last 0
    is the likeliest place of the change (Siegmund, 1985). That place does not depend on the design effect: whoever
    goes on from there comes to the same S as if they had never stopped.
    """
    since = ceil(start.timestamp() / look.block_seconds)
    weight, most = loss_weight(min_win_rate) / max(1.0, design_effect), CAP * threshold
    value, acted, wins = 0.0, 0, 0
    for block in _whole_blocks(look):
        if not since <= block.block < first_open or not block.acted:
            continue
        since = since if acted else block.block
        value = min(most, value + weight * (min_win_rate * block.acted - block.wins))
        acted, wins = acted + block.acted, wins + block.wins
        if value < ROUNDING:
            value, since, acted, wins = 0.0, block.block + 1, 0, 0
    return Cusum(value, threshold, datetime.fromtimestamp(since * look.block_seconds, UTC), acted, wins)


def _whole_blocks(look: HealthLook) -> list[BlockRow]:
    """Those before the window and those in it; the one that the window cuts in two is put together again."""
    earlier, blocks = list(look.earlier), list(look.blocks)
    if earlier and blocks and earlier[-1].block == blocks[0].block:
        cut = earlier.pop()
        blocks[0] = replace(blocks[0], acted=cut.acted + blocks[0].acted, wins=cut.wins + blocks[0].wins)
    return earlier + blocks
