"""The trainer on a real PostgreSQL: the same arrays as from SQLite, from a user who may do little."""

from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from tests.integration.postgres import granted
from tests.unit.trainer.workbench import FEATURES, Bench, market

from perennial.adapters.store.schema import reports_table, samples_table
from perennial_contract.artifacts import digest_bytes
from perennial_trainer.database import connect
from perennial_trainer.dataset import Rows, inspect_table, load_rows
from perennial_trainer.errors import TaskWrong, Unavailable
from perennial_trainer.main import main
from perennial_trainer.sources import open_source


@pytest.fixture
def filled(postgres_url: str) -> str:
    """A thousand hours, a few of them odd, as `perennial store init` and `load` leave them."""
    engine = sa.create_engine(postgres_url)
    table = samples_table("samples", FEATURES)
    with engine.begin() as connection:
        table.create(connection)
        reports_table().create(connection)
        connection.execute(sa.insert(table), odd_market())
    engine.dispose()
    return postgres_url


def odd_market() -> list[dict[str, object]]:
    rows = market(1_000)
    rows[3]["noise"] = None
    rows[4]["reward"] = None
    rows[5]["resolved_at"] = None
    rows[6]["series"] = None
    rows[7]["target"] = None
    for row in rows[8:12]:  # several series at one time
        row["at"] = rows[8]["at"]
    return rows


def load(url: str, bench: Bench) -> Rows:
    task = bench.task()
    with open_source(url) as source:
        return load_rows(source, task, inspect_table(source, task))


def execute(url: str, statement: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


def test_both_databases_give_the_same_arrays(filled: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path).fill(odd_market())
    ours, theirs = load(filled, bench), load(bench.url, bench)
    assert len(ours) == 999
    assert ours.fingerprint == theirs.fingerprint
    assert np.array_equal(ours.features, theirs.features, equal_nan=True)
    assert (ours.known_at == theirs.known_at).all()
    assert np.isnan(ours.reward).sum() == 1


def test_both_databases_give_the_same_series(filled: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path).fill(odd_market())
    for url, texts in ((filled, ("'NaN'", "'Infinity'")), (bench.url, ("NULL", "9e999"))):
        for row, text in zip((20, 21), texts, strict=True):
            execute(url, f"UPDATE samples SET noise = {text} WHERE id = 'btc-{row}'")
    found = []
    for url in (filled, bench.url):
        with open_source(url) as source:
            table, task = inspect_table(source, bench.task()), bench.task()
            found.append(source.series("samples", table.types, "noise", task.visible_until, 900))
    ours, theirs = found
    assert len(ours.at) == 900
    assert (ours.at == theirs.at).all()
    assert ours.mean == pytest.approx(theirs.mean, rel=1e-12)


def train(bench: Bench, url: str) -> int:
    """Exit code of the command, run as a Job would."""
    (bench.folder / "task.json").write_text(bench.task().to_json())
    (bench.folder / "url").write_text(url)
    return main(["--task", str(bench.folder / "task.json"), "--samples-url-file", str(bench.folder / "url")])


def test_a_whole_attempt_ends_with_a_row_whose_digests_hold(filled: str, tmp_path: Path) -> None:
    assert train(Bench(tmp_path, rows=market(1_000)), filled) == 0
    with connect(filled) as connection:
        [row] = connection.execute(sa.text("SELECT * FROM model_reports")).all()
    assert digest_bytes(row.manifest.encode()) == row.digest
    assert row.created_at.tzinfo is not None


def test_the_grants_that_the_examples_name_are_enough(filled: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, rows=market(1_000))
    with granted(filled, "SELECT, INSERT, UPDATE") as url:
        assert train(bench, url) == 0
        execute(filled, "UPDATE model_reports SET report = 'cut short'")
        assert train(bench, url) == 0  # an attempt whose end nobody saw is made again
    with connect(filled) as connection:
        [row] = connection.execute(sa.text("SELECT * FROM model_reports")).all()
    assert row.report.startswith("{")


def test_features_of_every_numeric_type_are_read_as_they_are(filled: str, tmp_path: Path) -> None:
    execute(
        filled,
        """CREATE VIEW typed AS SELECT id, series, at, target = 1 AS target, reward::real AS reward, resolved_at,
           ret_1::real AS "Real", 7::smallint AS small, 8::bigint AS big, 0.25::numeric(9, 4) AS exact,
           noise > 0 AS flag, 'text' AS label FROM samples""",
    )
    bench = Bench(tmp_path, rows=market(1_000))
    samples = {"label_delay": "5h", "table": "typed"}
    with open_source(filled) as source:
        table = inspect_table(source, bench.task(samples=samples))
        assert [(feature.name, feature.dtype) for feature in table.features] == [
            ("Real", "float32"),
            ("small", "int64"),
            ("big", "int64"),
            ("exact", "float64"),
        ]
        task = bench.task(samples={**samples, "features": ["exact", "flag", "big"]})
        rows = load_rows(source, task, inspect_table(source, task))
    assert (rows.matrix(["exact"]) == 0.25).all()
    assert (rows.matrix(["big"]) == 8).all()
    assert set(rows.matrix(["flag"])[:, 0][3:]) >= {0.0, 1.0}
    assert set(rows.target) == {0.0, 1.0}


def test_times_without_a_zone_are_refused(filled: str, tmp_path: Path) -> None:
    execute(filled, "ALTER TABLE samples ALTER COLUMN at TYPE timestamp")
    with pytest.raises(TaskWrong, match=r"column at of samples: TIMESTAMP has no time zone; make it timestamptz"):
        load(filled, Bench(tmp_path, rows=market(10)))


def test_a_database_that_only_reads_for_now_is_worth_another_attempt(
    filled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(filled, f'ALTER DATABASE "{sa.make_url(filled).database}" SET default_transaction_read_only = on')
    assert train(Bench(tmp_path, rows=market(1_000)), filled) == 1
    assert capsys.readouterr().err == "samples database: cannot execute INSERT in a read-only transaction\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ret_1 = 'infinity' WHERE id IN ('btc-20', 'btc-21')", "column ret_1: 2 of 999 values are infinite; store"),
        ("noise = '-infinity' WHERE id = 'btc-20'", "column noise: 1 of 999 values are infinite; store NULL instead"),
        ("reward = 'infinity' WHERE id = 'btc-20'", "column reward: 1 of 999 values are infinite; store NULL instead"),
        ("noise = 'NaN'", "column noise: all 999 values are missing; fill it or drop the feature"),
        ("target = 1 WHERE target = 0", "column target: all 999 labels are 1; a model needs both 0 and 1"),
    ],
)
def test_rows_that_nothing_can_be_learned_from_end_with_3_and_one_line(
    filled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    execute(filled, f"UPDATE samples SET {change}")
    assert train(Bench(tmp_path, rows=market(1_000)), filled) == 3
    said = capsys.readouterr().err
    assert said.startswith(message)
    assert said.count("\n") == 1
    with connect(filled) as connection:
        assert not connection.execute(sa.text("SELECT * FROM model_reports")).all()


def test_values_that_are_no_number_are_missing_ones(filled: str, tmp_path: Path) -> None:
    execute(filled, "UPDATE samples SET noise = 'NaN' WHERE id LIKE '%3'")
    assert train(Bench(tmp_path, rows=market(1_000)), filled) == 0


def test_a_grant_that_is_missing_is_not_tried_again_and_a_password_never_shown(filled: str, tmp_path: Path) -> None:
    execute(filled, "CREATE ROLE weak LOGIN PASSWORD 'hunter2'; GRANT USAGE ON SCHEMA public TO weak")
    weak = sa.make_url(filled).set(username="weak", password="hunter2").render_as_string(hide_password=False)
    with pytest.raises(TaskWrong, match=r"samples database: permission denied for table samples"):
        load(weak, Bench(tmp_path, rows=market(10)))
    wrong = sa.make_url(filled).set(username="weak", password="hunter3").render_as_string(hide_password=False)
    with pytest.raises(Unavailable, match="password authentication failed") as caught:
        load(wrong, Bench(tmp_path, rows=market(10)))
    assert "hunter3" not in str(caught.value)
