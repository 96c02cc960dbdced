"""What is wrong with a store is said in one line, with what to do, and without the password."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.dialects import sqlite

from perennial.adapters.store.engine import open_engine, writing
from perennial.adapters.store.schema import UtcTime, predictions_table, reports_table, samples_table
from perennial.adapters.store.store import SampleStores, SqlSampleStore
from perennial.domain.evidence import StoreMisconfigured, StoreUnavailable
from perennial_contract.samples import SampleContract

CONTRACT = SampleContract(label_delay=timedelta(hours=5))
DRIVERS = ("sqlite",)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def engine(url: str) -> Engine:
    return create_engine(url)


def create(engine: Engine, *features: str) -> None:
    for table in (samples_table("samples", features), predictions_table("predictions"), reports_table()):
        table.metadata.create_all(engine)


async def problem(url: str, contract: SampleContract = CONTRACT) -> str:
    store = SqlSampleStore(url, drivers=DRIVERS)
    try:
        with pytest.raises(StoreMisconfigured) as caught:
            await store.check(contract)
    finally:
        store.close()
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_complete_store_passes(url: str, engine: Engine) -> None:
    create(engine, "ret_1")
    store = SqlSampleStore(url, drivers=DRIVERS)
    await store.check(CONTRACT)
    assert await store.read_report("unknown") is None
    store.close()


async def test_a_missing_table_is_named(url: str, engine: Engine) -> None:
    assert "samples.table: there is no table or view 'samples'" in await problem(url)
    samples_table("samples", ["ret_1"]).metadata.create_all(engine)
    assert "samples.predictionsTable: there is no table or view 'predictions'" in await problem(url)
    predictions_table("predictions").metadata.create_all(engine)
    assert "there is no table or view 'model_reports'" in await problem(url)


async def test_a_missing_column_is_named(url: str, engine: Engine) -> None:
    create(engine, "ret_1")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE samples DROP COLUMN reward"))
    assert "'samples' has no column 'reward'" in await problem(url)


async def test_features_must_be_there_and_numeric(url: str, engine: Engine) -> None:
    create(engine, "ret_1")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE samples ADD COLUMN venue TEXT"))
    for name, words in {"gone": "has no column 'gone'", "venue": "is of type TEXT"}.items():
        contract = SampleContract(label_delay=timedelta(hours=5), features=(name,))
        assert words in await problem(url, contract)


async def test_a_table_without_features_is_refused(url: str, engine: Engine) -> None:
    create(engine)
    assert "has no numeric column beside its own" in await problem(url)


SAMPLES = "id {}, series TEXT, at DATETIME, target INT, reward FLOAT, resolved_at DATETIME, f FLOAT"
PREDICTIONS = "model TEXT, version TEXT, sample_id {}, track TEXT, score FLOAT, at DATETIME"


@pytest.mark.parametrize(
    ("sample", "prediction", "named"),
    [
        ("BIGINT", "TEXT", "samples.id: is of type BIGINT"),
        ("TEXT", "BIGINT", "predictions.sample_id: is of type BIGINT"),
        ("BIGINT", "BIGINT", "samples.id: is of type BIGINT"),
    ],
)
async def test_ids_that_are_no_text_are_refused(
    url: str, engine: Engine, sample: str, prediction: str, named: str
) -> None:
    create(engine, "ret_1")
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE samples"))
        connection.execute(text("DROP TABLE predictions"))
        connection.execute(text(f"CREATE TABLE samples ({SAMPLES.format(sample)})"))
        connection.execute(text(f"CREATE TABLE predictions ({PREDICTIONS.format(prediction)})"))
    assert f"{named}: make it text, as servers write it (a view may cast it)" in await problem(url)


KEYLESS = {
    "samples": "'samples' may hold a row twice: it has no unique key on (id)",
    "predictions": "'predictions' may hold a row twice: it has no unique key on (model, version, sample_id)",
    "model_reports": "'model_reports' may hold a row twice: it has no unique key on (version)",
}


@pytest.mark.parametrize("table", KEYLESS)
async def test_a_table_that_may_hold_a_row_twice_is_refused(url: str, engine: Engine, table: str) -> None:
    create(engine, "ret_1")
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO before"))
        connection.execute(text(f"CREATE TABLE {table} AS SELECT * FROM before"))
    assert KEYLESS[table] in await problem(url)


async def test_a_unique_index_is_a_key_and_a_clients_samples_need_none(url: str, engine: Engine) -> None:
    create(engine, "ret_1")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE samples RENAME TO before"))
        connection.execute(text("CREATE TABLE samples AS SELECT * FROM before"))
    store = SqlSampleStore(url, drivers=DRIVERS)
    await store.check(CONTRACT, "Client")
    with engine.begin() as connection:
        connection.execute(text("CREATE UNIQUE INDEX own ON samples (id)"))
    await store.check(CONTRACT)
    store.close()


async def test_a_view_serves_as_well(url: str, engine: Engine) -> None:
    create(engine, "ret_1")
    with engine.begin() as connection:
        connection.execute(text("CREATE VIEW recent AS SELECT * FROM samples"))
    store = SqlSampleStore(url, drivers=DRIVERS)
    contract = SampleContract(label_delay=timedelta(hours=5), table="recent")
    await store.check(contract)
    now = datetime(2024, 1, 1, tzinfo=UTC)
    assert (await store.observe_counts(contract, since=now, now=now)).rows == 0
    store.close()


async def test_a_look_at_a_missing_table_names_it(url: str) -> None:
    store = SqlSampleStore(url, drivers=DRIVERS)
    now = datetime(2024, 1, 1, tzinfo=UTC)
    with pytest.raises(StoreMisconfigured, match=r"no such table: samples.*perennial store init"):
        await store.observe_counts(CONTRACT, since=now, now=now)
    store.close()


async def test_naive_times_are_refused(url: str, engine: Engine) -> None:
    create(engine, "ret_1")
    naive = datetime(2024, 1, 1)  # noqa: DTZ001 - the very thing
    with pytest.raises(ValueError, match="has no time zone"):
        UtcTime().process_bind_param(naive, sqlite.dialect())


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "samples",
        "postgresql+psycopg2://u:s3cret@h/d",
        "mysql://u:s3cret@h/d",
        "postgresql+psycopg://u:s3cret@h:x/d",
    ],
)
def test_an_unusable_url_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(StoreMisconfigured, match=r"postgresql\+psycopg://USER:PASSWORD") as caught:
        SampleStores().at(bad)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "bad", ["postgresql+psycopg://u:p@s3cret@h/d", "postgresql+psycopg://u:p@s3cret/more@h/d"], ids=["host", "database"]
)
def test_a_password_that_is_not_escaped_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(StoreMisconfigured, match="percent-encode user and password in the URL") as caught:
        SampleStores().at(bad)
    assert "s3cret" not in str(caught.value)


async def test_a_store_that_nobody_serves_is_unavailable() -> None:
    seen: list[tuple[str, float]] = []
    stores = SampleStores(observer=lambda kind, seconds: seen.append((kind, seconds)))
    store = stores.at("postgresql+psycopg://user:s3cret@127.0.0.1:1/nothing")
    with pytest.raises(StoreUnavailable) as caught:
        await store.check(CONTRACT)
    stores.close()
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [kind for kind, _ in seen] == ["check"]


def test_stores_of_one_url_are_one() -> None:
    stores = SampleStores(drivers=DRIVERS)
    assert stores.at("sqlite:///a.db") is stores.at("sqlite:///a.db")
    assert stores.at("sqlite:///a.db") is not stores.at("sqlite:///b.db")
    stores.close()


def test_a_transaction_is_all_or_nothing(engine: Engine, url: str) -> None:
    create(engine)

    def half() -> None:
        with writing(open_engine(url, DRIVERS)) as connection:
            connection.execute(text("INSERT INTO samples (id) VALUES ('a')"))
            connection.execute(text("INSERT INTO nowhere (id) VALUES ('a')"))

    with pytest.raises(StoreMisconfigured, match="no such table: nowhere"):
        half()
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM samples")).scalar() == 0
