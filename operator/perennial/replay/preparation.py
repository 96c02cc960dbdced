"""Before a replay: which samples, which stretch of time, and how long a training takes in it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
from sqlalchemy import make_url

from perennial.adapters.recorded_rows import parquet_path
from perennial.adapters.recording import History, open_history, record_table, to_instant, to_micros
from perennial.adapters.store.trainings import read_training_seconds
from perennial.api.model_deployment import ModelDeploymentSpec
from perennial.api.retrain_policy import RetrainPolicySpec
from perennial.replay.scenario import Scenario, ScenarioError
from perennial.replay.series import find_series
from perennial.replay.simulation import Span
from perennial_contract.recording import RECORDING_FILE

HISTORY_SHARE = 0.25
"""Of the history that precedes a replay, unless the policies look back less far."""
DURATIONS_FILE = "durations.json"


@dataclass(frozen=True)
class Options:
    """What a replay is told."""

    samples: str
    work: Path
    since: datetime | None = None
    until: datetime | None = None
    training_duration: timedelta | None = timedelta(minutes=15)
    """None: what was recorded of each model's trainings."""
    look_every: timedelta | None = None
    """None: a quarter of the shortest labelDelay, and no more often than the shortest interval."""
    cost: float = 0.0
    speed_up: int = 1
    workers: int = 2
    resume: bool = False


def record_tables(
    scenarios: Sequence[Scenario], options: Options, told: Callable[[str, int], None]
) -> dict[str, History]:
    """Every table that a model reads, recorded once.

    Raises:
        StoreError: a table, a column or the outcomes are missing, or the store cannot be read.
    """
    wanted: dict[str, set[str]] = {}
    for scenario in scenarios:
        for spec in scenario.models.values():
            wanted.setdefault(spec.samples.table, set()).update(spec.samples.features)
    found = {}
    for table, features in sorted(wanted.items()):
        folder = options.work / "recording" / table
        again = options.resume and (folder / RECORDING_FILE).is_file()
        found[table] = open_history(folder) if again else record_table(options.samples, table, sorted(features), folder)
        told(table, len(found[table]))
    for spec in (spec for scenario in scenarios for spec in scenario.models.values()):
        if spec.regime is not None:
            find_series(found[spec.samples.table], spec.regime.column)
    return found


def choose_span(scenarios: Sequence[Scenario], histories: Mapping[str, History], options: Options) -> Span:
    """What is simulated: from where a first training has something to learn from, to the last outcome.

    Raises:
        ScenarioError: nothing is left between the two ends.
    """
    specs = [spec for scenario in scenarios for spec in scenario.models.values()]
    policies = [spec for scenario in scenarios for _, spec in scenario.policies]
    used = [histories[spec.samples.table] for spec in specs]
    first, last = min(int(h.at[0]) for h in used), max(_last_visible(spec, histories) for spec in specs)
    since = options.since or to_instant(first) + _run_up(policies, timedelta(microseconds=last - first))
    until = min(options.until, to_instant(last)) if options.until else to_instant(last)
    if since >= until:
        known = f"outcomes are known from {to_instant(first):%Y-%m-%d} until {to_instant(last):%Y-%m-%d}"
        raise ScenarioError(
            f"--from {since:%Y-%m-%d %H:%M} --until {until:%Y-%m-%d %H:%M}: nothing lies between, {known}: widen them"
        )
    often = max(min(spec.samples.label_delay for spec in specs) / 4, min(spec.interval for spec in specs))
    return Span(since.replace(microsecond=0), until, options.look_every or often)


def _last_visible(spec: ModelDeploymentSpec, histories: Mapping[str, History]) -> int:
    history = histories[spec.samples.table]
    known = ~np.isnan(history.target)
    delay = spec.samples.label_delay
    return int(np.maximum(history.known_at(delay), history.at + to_micros(delay))[known].max())


def _run_up(policies: list[RetrainPolicySpec], whole: timedelta) -> timedelta:
    """History that a first training gets."""
    return min(HISTORY_SHARE * whole, *(policy.training.data_window for policy in policies))


def choose_durations(scenarios: Sequence[Scenario], options: Options) -> Callable[[str], timedelta]:
    """What a training of each model takes in simulated time; a run that is taken up keeps what it began with.

    Raises:
        ScenarioError: it is to be what was recorded, and nothing was.
    """
    if options.training_duration is not None:
        fixed = options.training_duration
        return lambda _: fixed
    path = options.work / DURATIONS_FILE
    if options.resume and path.exists():
        seconds: dict[str, float] = json.loads(path.read_text())
    else:
        seconds = {model: median(found) for model, found in read_training_seconds(options.samples).items()}
        path.write_text(json.dumps(seconds))
    missing = sorted({model for scenario in scenarios for model in scenario.models} - seconds.keys())
    if missing:
        raise ScenarioError(
            f"--training-duration recorded: model_reports has none of {', '.join(missing)}: give a duration, as in 15m"
        )
    return lambda model: timedelta(seconds=max(1.0, round(seconds[model], 1)))


def without_password(url: str) -> str:
    """A samples URL as it may be shown and kept."""
    return url if parquet_path(url) else make_url(url).render_as_string(hide_password=True)
