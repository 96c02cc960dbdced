"""What only a real PostgreSQL shows: grants, time zones, locks, outages, plans."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.sql.expression import Executable
from tests.integration.postgres import running_postgres

from perennial.adapters.store.engine import open_engine, writing
from perennial.adapters.store.load import create_tables
from perennial.adapters.store.queries import build_counts_query, build_health_query, build_pairs_query
from perennial.adapters.store.store import SampleStores, SqlSampleStore
from perennial.domain.evidence import StoreMisconfigured, StoreUnavailable
from perennial_contract.samples import Decision, SampleContract

CONTRACT = SampleContract(label_delay=timedelta(hours=5))
NOW = datetime(2024, 1, 1, tzinfo=UTC)


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def create(url: str) -> None:
    engine = open_engine(url)
    with writing(engine) as connection:
        create_tables(connection, "samples", "predictions", ["ret_1"])
    engine.dispose()


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[SqlSampleStore]:
    create(postgres_url)
    store = SqlSampleStore(postgres_url, statement_seconds=0.5)
    yield store
    store.close()


async def refusal(store: SqlSampleStore) -> str:
    with pytest.raises(StoreMisconfigured) as caught:
        await store.check(CONTRACT)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_store_as_init_makes_it_passes(store: SqlSampleStore) -> None:
    await store.check(CONTRACT)
    counts = await store.observe_counts(CONTRACT, since=NOW, now=NOW)
    assert (counts.rows, counts.newest_at, counts.per_day) == (0, None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ALTER TABLE samples ALTER at TYPE timestamp", "samples.at: is of type TIMESTAMP: make it timestamp with"),
        ("ALTER TABLE predictions ALTER at TYPE timestamp", "predictions.at: is of type TIMESTAMP"),
        ("ALTER TABLE samples ALTER reward TYPE text", "samples.reward: is of type TEXT: make it a number"),
        ("ALTER TABLE samples ALTER id TYPE bigint USING 0", "samples.id: is of type BIGINT: make it text, as"),
        (
            "ALTER TABLE predictions ALTER sample_id TYPE uuid USING NULL",
            "predictions.sample_id: is of type UUID: make it text",
        ),
        ("ALTER TABLE samples DROP COLUMN ret_1", "samples.features: 'samples' has no numeric column"),
        ("ALTER TABLE samples DROP CONSTRAINT samples_pkey", "run ALTER TABLE samples ADD PRIMARY KEY (id)"),
        (
            "ALTER TABLE predictions DROP CONSTRAINT predictions_pkey, ADD PRIMARY KEY (model, sample_id, track)",
            "'predictions' may hold a row twice: it has no unique key on (model, version, sample_id)",
        ),
        ("DROP TABLE model_reports", "there is no table or view 'model_reports'"),
    ],
)
async def test_what_cannot_work_is_named(store: SqlSampleStore, postgres_url: str, change: str, message: str) -> None:
    execute(postgres_url, change)
    assert message in await refusal(store)


async def test_a_unique_constraint_is_a_key_and_a_view_has_none(store: SqlSampleStore, postgres_url: str) -> None:
    execute(
        postgres_url,
        "ALTER TABLE samples DROP CONSTRAINT samples_pkey, ADD UNIQUE (id)",
        "ALTER TABLE predictions DROP CONSTRAINT predictions_pkey",
        "CREATE UNIQUE INDEX own ON predictions (sample_id, model, version)",
        "CREATE VIEW recent AS SELECT * FROM samples",
    )
    await store.check(CONTRACT)
    await store.check(CONTRACT.model_copy(update={"table": "recent"}))
    execute(
        postgres_url,
        "DROP INDEX own; CREATE UNIQUE INDEX own ON predictions (model, version, sample_id) WHERE score > 0",
    )
    assert "no unique key on (model, version, sample_id)" in await refusal(store)


async def test_ids_may_be_cast_by_a_view_and_be_text_of_any_kind(store: SqlSampleStore, postgres_url: str) -> None:
    execute(
        postgres_url,
        "CREATE DOMAIN key AS text",
        "ALTER TABLE predictions ALTER sample_id TYPE key",
        "CREATE TABLE own (id uuid PRIMARY KEY, series text, at timestamptz, ret_1 float8, target int, reward float8, "
        "resolved_at timestamptz)",
        "CREATE VIEW cast_ids AS SELECT id::text, series, at, ret_1, target, reward, resolved_at FROM own",
        "ALTER TABLE samples ALTER id TYPE varchar(80)",
    )
    await store.check(CONTRACT)
    await store.check(CONTRACT.model_copy(update={"table": "cast_ids"}))
    with pytest.raises(StoreMisconfigured, match=r"own\.id: is of type UUID"):
        await store.check(CONTRACT.model_copy(update={"table": "own"}))


async def test_a_look_at_ids_of_another_type_says_so(store: SqlSampleStore, postgres_url: str) -> None:
    execute(postgres_url, "ALTER TABLE samples ALTER id TYPE bigint USING 0")
    with pytest.raises(StoreMisconfigured, match=r"samples\.id and predictions\.sample_id one type"):
        await store.observe_health(
            CONTRACT, Decision(), model="a/b", version="v", since=NOW, until=NOW, block_seconds=36_000
        )


async def test_a_missing_grant_and_a_wrong_password_are_told_apart_from_an_outage(
    store: SqlSampleStore, postgres_url: str
) -> None:
    stores = SampleStores()
    user = "reader_" + postgres_url.rpartition("_")[2]
    execute(postgres_url, f"CREATE ROLE {user} LOGIN PASSWORD 'r1ght'")
    url = re.sub(r"//[^@]*@", f"//{user}:r1ght@", postgres_url)
    with pytest.raises(StoreMisconfigured, match=r"permission denied.*grant the URL's user SELECT"):
        await stores.at(url).observe_counts(CONTRACT, since=NOW, now=NOW)
    with pytest.raises(StoreMisconfigured, match="correct user and password in the URL") as caught:
        await stores.at(url.replace("r1ght", "s3cret")).check(CONTRACT)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(StoreMisconfigured, match=r"does not exist"):
        await stores.at(postgres_url + "x").check(CONTRACT)
    stores.close()
    execute(postgres_url, f"DROP ROLE {user}")


async def test_users_own_tables_may_hold_booleans_and_decimals(store: SqlSampleStore, postgres_url: str) -> None:
    execute(
        postgres_url,
        "DROP TABLE samples",
        "CREATE TABLE samples (id text PRIMARY KEY, series text, at timestamptz, ret_1 numeric, target boolean, "
        "reward numeric(12, 6), resolved_at timestamptz)",
        "INSERT INTO samples VALUES ('a', 's', '2023-12-31Z', 1, true, 0.5, '2023-12-31Z')",
        "INSERT INTO predictions VALUES ('a/b', 'v', 'a', 'live', 0.25, '2023-12-31Z')",
    )
    await store.check(CONTRACT)
    look = await store.observe_health(
        CONTRACT, Decision(), model="a/b", version="v", since=NOW - timedelta(days=3), until=NOW, block_seconds=36_000
    )
    assert (look.blocks[0].wins, look.blocks[0].reward_sum, look.bins[0].target_sum) == (0, -0.5, 1)


async def test_numbers_that_are_none_are_refused_not_averaged(store: SqlSampleStore, postgres_url: str) -> None:
    execute(
        postgres_url,
        "INSERT INTO samples (id, at, target, reward) VALUES ('a', '2023-12-31Z', 1, 'NaN')",
        "INSERT INTO predictions VALUES ('a/b', 'v', 'a', 'live', 0.25, '2023-12-31Z')",
    )
    with pytest.raises(StoreMisconfigured, match=r"samples\.reward: a sum of it is nan: remove rows with NaN"):
        await store.observe_health(
            CONTRACT,
            Decision(),
            model="a/b",
            version="v",
            since=NOW - timedelta(days=3),
            until=NOW,
            block_seconds=36_000,
        )
    with pytest.raises(psycopg.errors.CheckViolation):
        execute(postgres_url, "INSERT INTO predictions VALUES ('a/b', 'v', 'b', 'live', 'NaN', '2023-12-31Z')")


async def test_a_slow_look_ends_in_time_and_holds_nobody_up(store: SqlSampleStore, postgres_url: str) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute("LOCK TABLE samples")
        look = asyncio.create_task(store.observe_counts(CONTRACT, since=NOW, now=NOW))
        turns = 0
        while not look.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert turns > 10
        with pytest.raises(StoreUnavailable, match=r"statement timeout.*shorten the window"):
            await look
    assert (await store.observe_counts(CONTRACT, since=NOW, now=NOW)).rows == 0


async def test_a_store_that_comes_back_is_used_again() -> None:
    with running_postgres() as server:
        url = server.url()
        create(url)
        store = SqlSampleStore(url)
        await store.check(CONTRACT)
        server.stop()
        with pytest.raises(StoreUnavailable, match="see that the database runs"):
            await store.check(CONTRACT)
        server.start()
        await store.check(CONTRACT)
        store.close()


async def test_looks_only_read(store: SqlSampleStore, postgres_url: str) -> None:
    def write(connection: object) -> None:
        connection.execute(text("DELETE FROM samples"))  # type: ignore[attr-defined] # a Connection

    with pytest.raises(StoreUnavailable, match="read-only transaction"):
        await store._look("write", write)


def test_looks_use_the_indexes(postgres_url: str) -> None:
    create(postgres_url)
    execute(
        postgres_url,
        "INSERT INTO samples SELECT i::text, 's', timestamptz '2023-01-01Z' + i * interval '1 hour', i, i % 2, 0.1 "
        "FROM generate_series(1, 50000) i",
        "INSERT INTO predictions SELECT 'a/b', 'version-' || v, id, 'live', 0.5, at FROM samples, "
        "generate_series(1, 3) v",
        "VACUUM (ANALYZE) samples",
        "VACUUM (ANALYZE) predictions",
    )
    since, until = NOW, NOW + timedelta(days=5)
    health = build_health_query(
        CONTRACT, Decision(), model="a/b", version="version-1", since=since, until=until, block_seconds=36_000
    )
    pairs = build_pairs_query(
        CONTRACT,
        Decision(),
        model="a/b",
        stable="version-1",
        canary="version-2",
        since=since,
        step_since=since,
        until=until,
        block_seconds=36_000,
    )
    counts = build_counts_query("samples", CONTRACT.label_delay, since=since, now=until)
    for query, indexes in ((health, ("predictions_version_at", "samples_pkey")), (counts, ("samples_at",))):
        plan = explain(postgres_url, query)
        assert all(index in plan for index in indexes), plan
        assert "Seq Scan" not in plan
    plan = explain(postgres_url, pairs)
    assert "predictions_version_at" in plan
    assert "Seq Scan on predictions" not in plan


def explain(url: str, query: Executable) -> str:
    engine = open_engine(url)
    compiled = query.compile(engine, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined] # a Select
    processors = compiled._bind_processors
    values = {name: processors.get(name, lambda value: value)(value) for name, value in compiled.params.items()}
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN {compiled}", values).all()
    engine.dispose()
    return "\n".join(row[0] for row in rows)
