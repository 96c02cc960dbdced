"""What may come out of a database, and the one line that each surprise gets."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from tests.unit.trainer.workbench import FEATURES, HOUR, START, Bench, market

from perennial_contract.task import TrainingTask
from perennial_trainer.dataset import Rows, Table, check_rows, inspect_table, load_rows
from perennial_trainer.errors import NotEnoughData, TaskWrong, Unavailable
from perennial_trainer.instants import to_micros
from perennial_trainer.sources import open_source


def load(bench: Bench, task: TrainingTask, also: tuple[str, ...] = ()) -> tuple[Table, Rows]:
    with open_source(bench.url) as source:
        table = inspect_table(source, task)
        rows = load_rows(source, task, table, also)
    check_rows(rows, table.features)
    return table, rows


def features_of(table: Table) -> list[str]:
    return [feature.name for feature in table.features]


def test_rows_come_in_time_order_whatever_the_database_says(bench: Bench) -> None:
    ordered = market(300)
    shuffled = [ordered[i] for i in np.random.default_rng(1).permutation(300)]
    _, rows = load(bench.fill(shuffled), bench.task())
    assert (np.diff(rows.at) > 0).all()
    assert rows.matrix(["ret_1"])[:, 0].tolist() == [row["ret_1"] for row in ordered]
    assert rows.reward.tolist() == [row["reward"] for row in ordered]
    assert rows.target.tolist() == [row["target"] for row in ordered]


def test_the_window_ends_where_outcomes_are_due_and_begins_with_it(loaded: Bench) -> None:
    until = START + 500 * HOUR
    task = loaded.task(until=until, data_window="100h")
    _, rows = load(loaded, task)
    assert rows.at[0] == to_micros(until - timedelta(hours=100))
    assert rows.at[-1] == to_micros(until - task.samples.label_delay)
    assert len(rows) == 96


def test_an_offset_in_the_task_is_the_same_instant(loaded: Bench) -> None:
    utc = loaded.task(until=(START + 500 * HOUR).isoformat())
    oslo = loaded.task(until=(START + 500 * HOUR).isoformat().replace("T20:00:00+00:00", "T22:00:00+02:00"))
    assert oslo.until == utc.until
    assert load(loaded, oslo)[1].fingerprint == load(loaded, utc)[1].fingerprint


def test_unresolved_rows_are_left_out(loaded: Bench) -> None:
    loaded.sql("UPDATE samples SET target = NULL WHERE id = 'btc-17'")
    assert len(load(loaded, loaded.task())[1]) == 999


def test_an_outcome_is_known_when_it_came_but_never_before_it_was_due(loaded: Bench) -> None:
    loaded.sql("UPDATE samples SET resolved_at = '2024-01-02 00:00:00.000000' WHERE id = 'btc-0'")
    loaded.sql("UPDATE samples SET resolved_at = NULL WHERE id = 'btc-1'")
    _, rows = load(loaded, loaded.task())
    assert rows.known_at[0] == to_micros(START + 24 * HOUR)
    assert rows.known_at[1] == to_micros(START + 6 * HOUR)
    assert rows.known_at[2] == to_micros(START + 7 * HOUR)


def test_missing_values_are_nan(loaded: Bench) -> None:
    loaded.sql("UPDATE samples SET noise = NULL WHERE id IN ('btc-3', 'btc-4')")
    _, rows = load(loaded, loaded.task())
    assert np.flatnonzero(np.isnan(rows.matrix(["noise"])[:, 0])).tolist() == [3, 4]


def test_features_are_every_numeric_column_that_is_not_reserved(loaded: Bench) -> None:
    loaded.sql("ALTER TABLE samples ADD COLUMN comment TEXT")
    loaded.sql("ALTER TABLE samples ADD COLUMN trades INTEGER DEFAULT 3")
    table, rows = load(loaded, loaded.task())
    assert [(feature.name, feature.dtype) for feature in table.features] == [
        *((name, "float64") for name in FEATURES),
        ("trades", "int64"),
    ]
    assert (rows.matrix(["trades"]) == 3).all()


def test_declared_features_keep_their_order(loaded: Bench) -> None:
    names = ["noise", "ret_1"]
    table, rows = load(loaded, loaded.task(samples={"label_delay": "5h", "features": names}))
    assert features_of(table) == names
    assert rows.matrix(["ret_1"])[0, 0] == loaded.rows[0]["ret_1"]


def test_names_that_are_sql_words_are_quoted(bench: Bench) -> None:
    bench.features = ("select", "Order")
    rows = [
        {**{k: v for k, v in row.items() if k not in FEATURES}, "select": row["ret_1"], "Order": row["noise"]}
        for row in market(300)
    ]
    bench.fill(rows).sql('ALTER TABLE samples RENAME TO "group"')
    _, loaded_rows = load(bench, bench.task(samples={"label_delay": "5h", "table": "group"}))
    assert loaded_rows.columns == ("select", "Order")


def test_views_serve_as_well(loaded: Bench) -> None:
    loaded.sql("CREATE VIEW latest AS SELECT * FROM samples")
    assert len(load(loaded, loaded.task(samples={"label_delay": "5h", "table": "latest"}))[1]) == 1_000


def test_the_same_rows_have_the_same_fingerprint_and_one_changed_value_another(loaded: Bench) -> None:
    first, again = (load(loaded, loaded.task())[1].fingerprint for _ in range(2))
    loaded.sql("UPDATE samples SET noise = noise + 1e-9 WHERE id = 'btc-500'")
    assert first == again != load(loaded, loaded.task())[1].fingerprint


def test_columns_that_the_champion_alone_reads_are_loaded_beside_the_features(loaded: Bench) -> None:
    task = loaded.task(samples={"label_delay": "5h", "features": ["ret_1"]})
    table, rows = load(loaded, task, ("noise", "ret_1"))
    assert features_of(table) == ["ret_1"]
    assert rows.matrix(["noise", "ret_1"]).shape == (1_000, 2)
    with pytest.raises(TaskWrong, match="column gone is missing; the champion reads it"):
        load(loaded, task, ("gone",))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ({"table": "nothing"}, r"samples\.table: no table or view 'nothing'.*perennial store init"),
        ({"features": ["ret_1", "gone"]}, r"table samples: column gone is missing; samples\.features asks for it"),
        ({"features": ["label"]}, r"samples\.features: column label of samples is TEXT, not a number"),
    ],
)
def test_a_wrong_contract_is_named(loaded: Bench, samples: dict[str, Any], message: str) -> None:
    loaded.sql("ALTER TABLE samples ADD COLUMN label TEXT")
    with pytest.raises(TaskWrong, match=message):
        load(loaded, loaded.task(samples={"label_delay": "5h", **samples}))


def test_a_table_without_a_reserved_column_is_wrong(loaded: Bench) -> None:
    loaded.sql("ALTER TABLE samples DROP COLUMN resolved_at")
    with pytest.raises(TaskWrong, match="column resolved_at is missing"):
        load(loaded, loaded.task())


def test_a_table_without_features_is_wrong(bench: Bench) -> None:
    bench.features = ()
    bench.fill([{k: v for k, v in row.items() if k not in FEATURES} for row in market(300)])
    with pytest.raises(TaskWrong, match="samples has no numeric column beside"):
        load(bench, bench.task())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("noise = 9e999 WHERE id IN ('btc-1', 'btc-2')", "column noise: 2 of 1000 values are infinite; store NULL"),
        ("noise = -9e999 WHERE id = 'btc-1'", "column noise: 1 of 1000 values are infinite"),
        ("vol_24 = NULL", "column vol_24: all 1000 values are missing"),
        ("target = 1", "column target: all 1000 labels are 1; a model needs both 0 and 1"),
        ("reward = 9e999 WHERE id = 'btc-1'", "column reward: 1 of 1000 values are infinite"),
        ("noise = 'abc' WHERE id = 'btc-7'", "column noise: 'abc' is not a number"),
        ("target = NULL", "table samples: no resolved rows with at from"),
    ],
)
def test_values_that_nothing_can_be_learned_from_are_named_and_counted(
    loaded: Bench, change: str, message: str
) -> None:
    loaded.sql(f"UPDATE samples SET {change}")
    with pytest.raises(NotEnoughData, match=message):
        load(loaded, loaded.task())


def test_targets_other_than_0_and_1_are_refused(loaded: Bench) -> None:
    loaded.sql("CREATE VIEW v AS SELECT id, series, at, ret_1, target * 2 AS target, reward, resolved_at FROM samples")
    ones = sum(row["target"] for row in loaded.rows)
    with pytest.raises(NotEnoughData, match=f"column target: {ones} of 1000 rows are neither 0 nor 1"):
        load(loaded, loaded.task(samples={"label_delay": "5h", "table": "v", "features": ["ret_1"]}))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url with hunter2", "not an SQLAlchemy URL"),
        ("mysql://user:hunter2@host/db", "mysql is not supported; use postgresql"),
        ("postgresql+nodriver://user:hunter2@host/db", "is not supported; use postgresql"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(TaskWrong, match=message) as caught, open_source(url):
        pass
    assert "hunter2" not in str(caught.value)


def test_a_database_that_does_not_answer_may_answer_later() -> None:
    url = "postgresql+psycopg://user:hunter2@127.0.0.1:9/db?connect_timeout=2"
    with pytest.raises(Unavailable) as caught, open_source(url):
        pass
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
