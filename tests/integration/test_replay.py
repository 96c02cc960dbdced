"""Replays of a small market with real trainings: what they tell, and what they cannot know."""

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as arrow
import pytest
import yaml
from pyarrow import parquet
from tests.integration.replays import (
    FEATURES,
    HOUR,
    START,
    Row,
    merged,
    record,
    run,
    stated,
    turning_market,
    write_files,
)

from perennial.replay.report import Decision, ModelReport, Report, Run
from perennial.replay.runner import Watcher
from perennial.replay.simulation import Simulation
from perennial_contract.artifacts import digest_file

TURN = START + 1000 * HOUR


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, str, Path]:
    """One whole replay, its samples and its files."""
    folder = tmp_path_factory.mktemp("replay")
    url, files = record(folder, turning_market()), write_files(folder)
    return run([files], url, folder / "work")[0], url, files


def only(report: Report) -> tuple[Run, ModelReport]:
    [found] = report.runs
    [model] = found.models
    return found, model


def test_the_loop_is_gone_through_as_a_cluster_would(told: tuple[Report, str, Path]) -> None:
    found, model = only(told[0])
    assert told[0].complete
    assert model.name == "default/m"
    first = model.stable[0]
    assert (first.version, model.versions[0].trigger.reason) == ("m-v1", "NoVersion")
    poor = [v for v in model.versions if v.trigger.type == "Health"]
    assert poor, "a market that turned over shows in the model's health"
    assert poor[0].created_at > TURN
    replaced = [s for s in model.stable if s.version != "m-v1"]
    assert replaced, "a version that learned the new rule takes over"
    assert model.counts.retrains == len(model.versions)
    assert model.counts.promotions == len(model.stable)
    verdicts = [v.decision for v in model.versions]
    counts = model.counts
    assert (counts.deploys, counts.canaries, counts.keeps) == tuple(map(verdicts.count, ("Deploy", "Canary", "Keep")))
    reasons = {d.reason for d in found.decisions}
    assert {"NoVersion", "ScheduleDue", "PlanMade", "TrainingStarted", "Promoted"} <= reasons
    assert all(d.message for d in found.decisions)


def test_retraining_pays_where_the_market_turned_over(told: tuple[Report, str, Path]) -> None:
    _, model = only(told[0])
    assert model.with_retraining.win_rate is not None
    assert model.without_retraining.win_rate is not None
    assert model.difference is not None
    assert model.difference.lower > 0
    gap = model.with_retraining.win_rate.value - model.without_retraining.win_rate.value
    assert model.difference.value == pytest.approx(gap, abs=1e-5)
    assert model.difference.outcomes == model.with_retraining.win_rate.outcomes
    assert 0 < model.difference.effective_outcomes <= model.difference.outcomes


def test_what_was_answered_is_every_sample_since_the_first_version_served(told: tuple[Report, str, Path]) -> None:
    _, model = only(told[0])
    since = model.stable[0].from_
    due = [row for row in turning_market() if since < row["at"] <= told[0].settings.until - timedelta(hours=2)]
    assert model.with_retraining.win_rate is not None
    assert model.with_retraining.win_rate.outcomes == len(due)


def test_the_same_inputs_give_the_same_report(told: tuple[Report, str, Path], tmp_path: Path) -> None:
    store = Path(told[1].removeprefix("sqlite:///"))
    before = digest_file(store)
    again, _ = run([told[2]], told[1], tmp_path / "work", workers=1)
    assert stated(again) == stated(told[0])
    assert digest_file(store) == before, "a replay changes no store"


def test_the_future_changes_nothing_before_it(told: tuple[Report, str, Path], tmp_path: Path) -> None:
    """Everything that was not known at an instant is shuffled: features of later samples and outcomes still to come."""
    moment = START + 1200 * HOUR
    rows = turning_market()
    later = [i for i, row in enumerate(rows) if row["at"] > moment]
    pending = [i for i, row in enumerate(rows) if row["at"] <= moment < row["resolved_at"]]
    others = turning_market(seed=99)
    for i in later:
        rows[i] = {**rows[i], **{name: others[i][name] for name in (*FEATURES, "target", "reward")}}
    for i in pending:
        rows[i] = {**rows[i], "target": 1 - rows[i]["target"], "reward": -rows[i]["reward"]}
    changed, _ = run([told[2]], record(tmp_path, rows), tmp_path / "work")
    until = moment - HOUR * 0

    def seen(report: Report) -> list[Decision]:
        return [d for d in only(report)[0].decisions if d.at <= until]

    assert len(seen(told[0])) > 10
    assert seen(changed) == seen(told[0])
    assert stated(changed) != stated(told[0]), "what came after it did change"


def test_an_interrupted_replay_says_so_and_goes_on(told: tuple[Report, str, Path], tmp_path: Path) -> None:
    stop_at = START + 1150 * HOUR
    now: list[datetime] = [START]

    def note(_: str, moment: datetime, __: Simulation) -> None:
        now[0] = moment

    work = tmp_path / "work"
    partial, _ = run([told[2]], told[1], work, Watcher(progress=note, stopped=lambda: now[0] >= stop_at))
    assert not partial.complete
    assert partial.simulated_until < told[0].simulated_until
    known = only(partial)[0].decisions
    assert known == only(told[0])[0].decisions[: len(known)]
    whole, _ = run([told[2]], told[1], work, resume=True)
    assert whole.complete
    assert stated(whole) == stated(told[0])


def test_a_parquet_file_gives_the_same_report(told: tuple[Report, str, Path], tmp_path: Path) -> None:
    rows: list[Row] = turning_market()
    rows.append({**rows[-1], "id": "an outcome that came before its sample", "at": None})
    table = arrow.table({name: [row[name] for row in rows] for name in rows[0]})
    path = tmp_path / "samples.parquet"
    parquet.write_table(table, path)
    again, _ = run([told[2]], str(path), tmp_path / "work")
    assert stated(again) == stated(told[0])


def test_two_policies_are_held_side_by_side(told: tuple[Report, str, Path], tmp_path: Path) -> None:
    never = write_files(tmp_path, policy={"limits": {"cooldown": "3000d"}})
    both, _ = run([told[2], never], told[1], tmp_path / "work")
    assert both.comparison is not None
    [model] = both.comparison.models
    assert model.difference is not None
    assert model.first == only(told[0])[1].with_retraining
    assert [run_.name for run_ in both.runs] == ["book-0", "book-1"]
    assert both.runs[0].models[0] == only(told[0])[1]
    assert {name.split()[0] for name in both.measured.training_cpu_seconds} == {"book-0", "book-1"}


def test_costs_come_off_every_action(told: tuple[Report, str, Path], tmp_path: Path) -> None:
    dear, _ = run([told[2]], told[1], tmp_path / "work", cost=0.001)
    free, paid = only(told[0])[1], only(dear)[1]
    assert free.with_retraining.average_reward is not None
    assert paid.with_retraining.average_reward == pytest.approx(free.with_retraining.average_reward - 0.001, abs=1e-6)
    assert paid.versions == free.versions


def test_a_training_that_cannot_succeed_is_told_as_failed(told: tuple[Report, str, Path], tmp_path: Path) -> None:
    files = write_files(tmp_path, model={"algorithm": {"parameters": {"num_boost_round": 20, "max_dept": 2}}})
    report, _ = run([files], told[1], tmp_path / "work", until=START + 700 * HOUR)
    _, model = only(report)
    assert model.counts.failures >= 1
    assert model.versions[0].phase == "Failed"
    assert "max_dept" in model.versions[0].message
    assert model.with_retraining.win_rate is None
    assert model.curve == []


def test_a_training_that_takes_too_long_is_stopped(told: tuple[Report, str, Path], tmp_path: Path) -> None:
    files = write_files(tmp_path, policy={"training": {"timeout": "5m", "retries": 1}})
    report, _ = run([files], told[1], tmp_path / "work", until=START + 600 * HOUR)
    found, model = only(report)
    assert model.versions[0].phase == "Failed"
    assert "timeout" in model.versions[0].message
    told = [d for d in found.decisions if d.version == "m-v1" and d.kind == "Training"]
    assert [d.reason for d in told] == ["TrainingStarted", "DeadlineExceeded", "TrainingRetried", "DeadlineExceeded"]
    assert told[2].at - told[1].at >= HOUR, "it backed off for training.retryBackoff"


def test_what_nobody_approves_is_over_in_time(told: tuple[Report, str, Path], tmp_path: Path) -> None:
    files = write_files(tmp_path, policy={"promotion": {"approval": "Required", "approvalTimeout": "3d"}})
    report, _ = run([files], told[1], tmp_path / "work", until=START + 800 * HOUR)
    found, model = only(report)
    assert model.versions[0].phase == "Superseded"
    assert model.stable == []
    ended = next(d.at for d in found.decisions if d.reason == "ApprovalTimedOut")
    judged = next(d.at for d in found.decisions if d.reason == "VerdictDeploy")
    assert timedelta(days=3) <= ended - judged < timedelta(days=3, hours=2)


def test_a_replay_ends_while_trainings_are_under_way(told: tuple[Report, str, Path], tmp_path: Path) -> None:
    since = START + 350 * HOUR
    ends = {"since": since, "until": since + timedelta(days=7), "workers": 1}
    report, _ = run([told[2]], told[1], tmp_path / "work", **ends)
    _, model = only(report)
    assert report.complete
    assert model.versions[-1].phase == "Training", "the schedule's first training began with the last look"
    assert model.with_retraining.win_rate is not None


def test_models_of_one_table_may_wait_differently_for_their_outcomes(
    told: tuple[Report, str, Path], tmp_path: Path
) -> None:
    documents = list(yaml.safe_load_all(told[2].read_text()))
    slow = {**documents[0], "metadata": {**documents[0]["metadata"], "name": "slow"}}
    slow["spec"] = merged(slow["spec"], {"samples": {"labelDelay": "6h"}, "algorithm": {"name": "lightgbm"}})
    slow["spec"]["algorithm"] = {"name": "lightgbm", "parameters": {"num_iterations": 20}}
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump_all([*documents, slow]))
    report, _ = run([path], told[1], tmp_path / "work", until=START + 900 * HOUR)
    [found] = report.runs
    assert [(m.name, m.algorithm) for m in found.models] == [("default/m", "xgboost"), ("default/slow", "lightgbm")]
    for model in found.models:
        assert model.counts.promotions >= 1
        assert model.with_retraining.win_rate is not None
    first = [next(v.message for v in m.versions if v.decision == "Deploy") for m in found.models]
    assert first[0] != first[1]


def test_an_interruption_in_the_second_run_is_told_as_one_and_taken_up_there(
    told: tuple[Report, str, Path], tmp_path: Path
) -> None:
    never = write_files(tmp_path, policy={"triggers": {"schedule": {"every": "3000d"}}})
    files, work, until = [told[2], never], tmp_path / "work", START + 800 * HOUR
    whole, _ = run(files, told[1], tmp_path / "other", until=until)
    seen: list[tuple[str, datetime]] = []

    def note(name: str, moment: datetime, __: Simulation) -> None:
        seen.append((name, moment))

    def enough() -> bool:
        return bool(seen) and seen[-1] >= ("book-1", START + 600 * HOUR)

    partial, _ = run(files, told[1], work, Watcher(progress=note, stopped=enough), until=until)
    assert not partial.complete
    assert partial.simulated_until < START + 650 * HOUR
    assert partial.comparison is None, "unequal stretches are not compared"
    again, _ = run(files, told[1], work, resume=True, until=until)
    assert stated(again) == stated(whole)
    assert again.measured.training_cpu_seconds.keys() == whole.measured.training_cpu_seconds.keys()


def test_a_run_begun_anew_takes_nothing_from_the_one_before(told: tuple[Report, str, Path], tmp_path: Path) -> None:
    work, until = tmp_path / "work", START + 600 * HOUR
    (tmp_path / "other").mkdir()
    other = write_files(tmp_path / "other", model={"algorithm": {"parameters": {"num_boost_round": 3}}})
    run([told[2], other], told[1], work, until=until)
    same, _ = run([told[2], told[2]], told[1], work, until=until)
    assert same.runs[0].models == same.runs[1].models
