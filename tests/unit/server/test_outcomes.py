"""The outcomes port in process: who may, what is understood, what is said when it fails."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.server.served import make_config

from perennial_server.errors import ConfigError, RequestError, StoreRefusedError, StoreUnavailableError
from perennial_server.metrics import Metrics
from perennial_server.outcomes import Outcome, OutcomeConflictError, Recorded, build_outcomes_app, parse_outcomes

NOW = datetime(2024, 5, 2, tzinfo=UTC)
RIGHT = {"Authorization": "Bearer s3cret"}
ONE = {"outcomes": [{"id": "a", "target": 1, "reward": 0.01}]}


class Store:
    """Answers what it is told to."""

    def __init__(self, answer: Recorded | Exception) -> None:
        self.answer = answer
        self.asked: list[Outcome] = []

    async def record(self, outcomes: Sequence[Outcome]) -> Recorded:
        self.asked += outcomes
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def client(store: Store, tmp_path: Path, token: str | Exception = "s3cret") -> httpx.AsyncClient:
    def read_token() -> str:
        if isinstance(token, Exception):
            raise token
        return token

    app = build_outcomes_app(store, read_token, Metrics(make_config(tmp_path, "sha256:" + "0" * 64)))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


async def test_outcomes_are_recorded(tmp_path: Path) -> None:
    store = Store(Recorded(1, 0))
    answer = await client(store, tmp_path).post("/outcomes", json=ONE, headers=RIGHT)
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "already": 0})
    assert [(one.id, one.target, one.reward) for one in store.asked] == [("a", 1, 0.01)]
    assert store.asked[0].resolved_at is not None


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic s3cret", "Bearer", "Bearer é"])
async def test_without_the_token_nothing_is_taken(tmp_path: Path, header: str | None) -> None:
    store = Store(Recorded(1, 0))
    headers = {b"Authorization": header.encode()} if header else {}
    answer = await client(store, tmp_path).post("/outcomes", json=ONE, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert store.asked == []


async def test_a_conflict_names_the_ids_and_what_became_of_the_rest(tmp_path: Path) -> None:
    store = Store(OutcomeConflictError(("a", "b")))
    answer = await client(store, tmp_path).post("/outcomes", json=ONE, headers=RIGHT)
    assert answer.status_code == 409
    assert answer.json()["conflicts"] == ["a", "b"]
    assert "'a', 'b'" in answer.json()["error"]
    assert "nothing of this request was recorded" in answer.json()["error"]


@pytest.mark.parametrize("failure", [StoreUnavailableError("host db.internal refused"), ConfigError("no secret")])
async def test_a_store_that_is_down_is_a_503(tmp_path: Path, failure: Exception) -> None:
    answer = await client(Store(failure), tmp_path).post("/outcomes", json=ONE, headers=RIGHT)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert "db.internal" not in answer.text


async def test_a_token_that_cannot_be_read_is_a_503_and_no_open_door(tmp_path: Path) -> None:
    store = Store(Recorded(1, 0))
    answer = await client(store, tmp_path, ConfigError("gone")).post("/outcomes", json=ONE, headers=RIGHT)
    assert (answer.status_code, store.asked) == (503, [])


async def test_what_the_store_refuses_is_the_clients_to_mend(tmp_path: Path) -> None:
    store = Store(StoreRefusedError("value out of range"))
    answer = await client(store, tmp_path).post("/outcomes", json=ONE, headers=RIGHT)
    assert answer.status_code == 400
    assert "value out of range" in answer.json()["error"]


async def test_other_methods_and_paths_are_refused_as_json(tmp_path: Path) -> None:
    app = client(Store(Recorded(0, 0)), tmp_path)
    assert (await app.get("/outcomes")).status_code == 405
    assert "error" in (await app.post("/other")).json()


BAD: dict[str, tuple[Any, str]] = {
    "not JSON": (b"{", "body: "),
    "no outcomes": (b"{}", "outcomes: "),
    "empty": (b'{"outcomes": []}', "outcomes: "),
    "unknown field": (b'{"outcomes": [{"id": "a", "target": 1, "tagret": 1}]}', "outcomes[0].tagret: 1"),
    "target 2": (b'{"outcomes": [{"id": "a", "target": 2}]}', "outcomes[0].target: 2"),
    "target null": (b'{"outcomes": [{"id": "a", "target": null}]}', "outcomes[0].target: None"),
    "infinite reward": (b'{"outcomes": [{"id": "a", "target": 1, "reward": Infinity}]}', "outcomes[0].reward: inf"),
    "naive time": (
        b'{"outcomes": [{"id": "a", "target": 1, "resolvedAt": "2024-05-01T12:00:00"}]}',
        "outcomes[0].resolvedAt: '2024-05-01T12:00:00': Input should have timezone info: write it with an offset",
    ),
    "empty id": (b'{"outcomes": [{"id": "", "target": 1}]}', "outcomes[0].id: ''"),
    "id with NUL": (b'{"outcomes": [{"id": "a\\u0000", "target": 1}]}', "outcomes[0].id"),
    "one sample, two outcomes": (
        b'{"outcomes": [{"id": "a", "target": 1}, {"id": "a", "target": 0}]}',
        "'a' is there twice with different outcomes",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case: str) -> None:
    body, message = BAD[case]
    with pytest.raises(RequestError) as refused:
        parse_outcomes(body, NOW)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_same_outcome_twice_is_one_and_order_is_by_id() -> None:
    body = b'{"outcomes": [{"id": "b", "target": 1}, {"id": "a", "target": 0}, {"id": "b", "target": 1}]}'
    assert [(one.id, one.target, one.resolved_at) for one in parse_outcomes(body, NOW)] == [
        ("a", 0, NOW),
        ("b", 1, NOW),
    ]


def test_a_time_that_is_given_is_kept() -> None:
    body = b'{"outcomes": [{"id": "b", "target": 1, "resolvedAt": "2024-05-01T14:00:00+02:00"}]}'
    assert parse_outcomes(body, NOW)[0].resolved_at == datetime(2024, 5, 1, 12, tzinfo=UTC)
