"""Which regime a series is in: one rule for the trainer, which says what a version was trained on, and the operator."""

from collections.abc import Iterable, Sequence
from math import exp, log
from operator import mul

from perennial_contract.profile import RegimeProfile

ENTER, LEAVE = 0.8, 0.5
"""A state is entered when its probability rises above the one, and left when it falls below the other."""
LARGEST = 1e100
"""A value beyond it is no measurement: it is left out, as NaN and infinities are, before a database adds it up."""
_FARTHEST = 1e150
"""In deviations: its square is still a number."""

Probabilities = tuple[float, ...]


def filter_states(profile: RegimeProfile, values: Sequence[float]) -> list[Probabilities]:
    """The probability of each of k states at each of n points, from that point and those before it: (n, k).

    It starts from the stationary distribution; a value that is no measurement tells nothing, and lets time go by.

    Hamilton, "A New Approach to the Economic Analysis of Nonstationary Time Series and the Business Cycle"
    (Econometrica, 1989), for normal states.
    """
    transition = [_normalised(row) for row in profile.transition]
    arriving = list(zip(*transition, strict=True))
    densities = zip(*(_log_densities(values, state.mean, state.deviation) for state in profile.states), strict=True)
    expected, found = _stationary(transition), []
    for logs in densities:
        peak = max(logs)
        weights = [p * exp(density - peak) for p, density in zip(expected, logs, strict=True)]
        if not any(weights):  # what explains the value cannot be reached: the best of the rest does
            peak = max(density for p, density in zip(expected, logs, strict=True) if p)
            weights = [p and p * exp(density - peak) for p, density in zip(expected, logs, strict=True)]
        total = sum(weights)
        probabilities = tuple([weight / total for weight in weights])
        found.append(probabilities)
        expected = [sum(map(mul, probabilities, column)) for column in arriving]
    return found


def hold_states(probabilities: Iterable[Probabilities]) -> list[int | None]:
    """The state that the series is in at each point; None while it is in between."""
    held: int | None = None
    found: list[int | None] = []
    for point in probabilities:
        if held is not None and point[held] < LEAVE:
            held = None
        if held is None:
            likeliest = likeliest_of(point)
            held = likeliest if point[likeliest] > ENTER else None
        found.append(held)
    return found


def likeliest_of(point: Probabilities) -> int:
    """The state with the highest probability; of equals the calmest."""
    return max(range(len(point)), key=point.__getitem__)


def _log_densities(values: Sequence[float], mean: float, deviation: float) -> list[float]:
    """Normal, but for a constant that all states share."""
    scale = log(deviation)
    return [
        -0.5 * min(abs((value - mean) / deviation), _FARTHEST) ** 2 - scale if abs(value) <= LARGEST else 0.0
        for value in values
    ]


def _normalised(row: Sequence[float]) -> list[float]:
    """Stored shares are rounded; a row that says nothing leads anywhere."""
    total = sum(row)
    return [share / total for share in row] if total > 0 else [1 / len(row)] * len(row)


def _stationary(transition: Sequence[Sequence[float]]) -> list[float]:
    """What is left of equal shares after 2³⁰ steps; half of each stays where it is, for chains that go in circles."""
    states = range(len(transition))
    power = [[(row[j] + (i == j)) / 2 for j in states] for i, row in enumerate(transition)]
    for _ in range(30):
        power = [_normalised([sum(power[i][m] * power[m][j] for m in states) for j in states]) for i in states]
    return [sum(power[i][j] for i in states) / len(transition) for j in states]
