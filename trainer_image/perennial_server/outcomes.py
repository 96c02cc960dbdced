"""``POST /outcomes``: what became of samples, recorded once."""

import hmac
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from perennial_contract.base import Document
from perennial_server.asgi import explain_http_error, json_response, read_body
from perennial_server.errors import ConfigError, RequestError, StoreRefusedError, StoreUnavailableError
from perennial_server.metrics import Metrics
from perennial_server.tensors import MAX_TEXT

logger = logging.getLogger(__name__)

MAX_OUTCOMES = 10_000
_MAX_BYTES = 8 * 1024 * 1024
_NAMED_IDS = 20


class Outcome(Document):
    """What became of one sample."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=r"^[^\x00]*$")]
    target: Literal[0, 1]
    reward: float | None = None
    """Of the long side."""
    resolved_at: AwareDatetime | None = None

    def row(self) -> dict[str, Any]:
        """As the table has it."""
        return {"id": self.id, "target": self.target, "reward": self.reward, "resolved_at": self.resolved_at}


class OutcomeRequest(Document):
    """A batch of outcomes: all of it is recorded, or none."""

    outcomes: Annotated[tuple[Outcome, ...], Field(min_length=1, max_length=MAX_OUTCOMES)]


class Recorded(NamedTuple):
    """What a batch came to."""

    accepted: int
    already: int


class OutcomeConflictError(Exception):
    """Outcomes differ from those that are recorded."""

    def __init__(self, ids: tuple[str, ...]) -> None:
        super().__init__(ids)
        self.ids = ids


class OutcomeStore(Protocol):
    """Where outcomes go."""

    async def record(self, outcomes: Sequence[Outcome]) -> Recorded:
        """Records all of them, or raises and records none."""


def parse_outcomes(body: bytes, now: datetime) -> list[Outcome]:
    """The batch in order of id, each id once, with ``resolvedAt`` filled in.

    Raises:
        RequestError: naming the outcome, the field, the value and the fix.
    """
    try:
        request = OutcomeRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(_describe(error)) from None
    found: dict[str, Outcome] = {}
    for outcome in request.outcomes:
        known = found.setdefault(outcome.id, outcome)
        if (known.target, known.reward) != (outcome.target, outcome.reward):
            raise RequestError(f"outcomes: {outcome.id!r} is there twice with different outcomes: send the right one")
    # In order of id, so that writers of the same samples never wait for each other in a circle.
    return [
        outcome if outcome.resolved_at else outcome.model_copy(update={"resolved_at": now})
        for _, outcome in sorted(found.items())
    ]


def _describe(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".") or "body"
    value = repr(first["input"])
    fix = ": write it with an offset, as in 2024-05-01T12:00:00Z" if first["type"] == "timezone_aware" else ""
    return f"{where}: {value if len(value) <= 60 else value[:60] + '…'}: {first['msg']}{fix}"


class OutcomesEndpoint:
    """The handler: who may, what it says, and what came of it."""

    def __init__(self, store: OutcomeStore, read_token: Callable[[], str], metrics: Metrics) -> None:
        self._store = store
        self._read_token = read_token
        self._metrics = metrics

    async def post(self, request: Request) -> Response:
        """Records the batch, or says why not."""
        try:
            self._authorise(request.headers.get("authorization", ""))
            body = await read_body(request.receive, _MAX_BYTES)
            recorded = await self._record(parse_outcomes(body, datetime.now(UTC)))
        except RequestError as error:
            return _refusal(error.status, str(error))
        except OutcomeConflictError as error:
            self._metrics.outcomes.labels("conflict").inc(len(error.ids))
            named = ", ".join(repr(name) for name in error.ids[:_NAMED_IDS])
            message = (
                f"{len(error.ids)} of these outcomes differ from what is recorded ({named}): "
                "nothing of this request was recorded; send it again without them"
            )
            return json_response({"error": message, "conflicts": list(error.ids)}, 409)
        except (StoreUnavailableError, ConfigError) as error:
            logger.warning("outcomes are not recorded: %s", error)
            return _refusal(
                503, "the store does not answer: nothing was recorded; send it again later", {"retry-after": "2"}
            )
        return json_response({"accepted": recorded.accepted, "already": recorded.already})

    def _authorise(self, header: str) -> None:
        scheme, _, token = header.partition(" ")
        right = hmac.compare_digest(token.strip().encode(), self._read_token().encode())
        if scheme.lower() != "bearer" or not right:
            raise RequestError("the bearer token is missing or wrong: send Authorization: Bearer TOKEN", 401)

    async def _record(self, outcomes: Sequence[Outcome]) -> Recorded:
        try:
            recorded = await self._store.record(outcomes)
        except StoreRefusedError as error:
            raise RequestError(f"the store refuses these outcomes, none was recorded: {error}") from None
        self._metrics.outcomes.labels("accepted").inc(recorded.accepted)
        self._metrics.outcomes.labels("already").inc(recorded.already)
        return recorded


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    if status == 401:
        headers = {"www-authenticate": "Bearer"}
    return json_response({"error": message}, status, headers)


def build_outcomes_app(store: OutcomeStore, read_token: Callable[[], str], metrics: Metrics) -> Starlette:
    """The application on the outcomes port."""
    endpoint = OutcomesEndpoint(store, read_token, metrics)
    return Starlette(
        routes=[Route("/outcomes", endpoint.post, methods=["POST"])],
        exception_handlers={HTTPException: explain_http_error},
    )
