"""The canonical line: one for each request, however it ended."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from holdfast.asgi import ASGIApp, Receive, Scope, Send
from holdfast.context import RequestContext, current
from holdfast.decide.redaction import Redactor
from holdfast.decide.routes import route_of
from holdfast.errors import DeadlinePassed
from holdfast.events import Outcome, RequestFinished
from holdfast.logs.lines import timestamp

LOGGER: Final = logging.getLogger("holdfast.request")
QUIET: Final = frozenset({"/-/live", "/-/ready", "/-/metrics"})
"""Probes and scrapes: their lines are of level debug, for they come every few seconds and say the same."""

_FLOODS: Final = frozenset({"overloaded", "too-many"})
"""Problems for which requests are refused because there are too many of them: so would be their lines. They are told
together, by whoever refuses, and each at level debug."""

_INTERNAL_ERROR: Final = 1011
"""The code with which a WebSocket is closed after an exception."""

Listener = Callable[[RequestFinished], None]


class RequestLine(msgspec.Struct):
    """The fields of the canonical line, in their order."""

    time: str
    level: str
    event: str
    request_id: str
    client_request_id: str | None
    method: str
    route: str | None
    path: str
    status: int
    duration_ms: float
    actor: str | None
    action: str | None
    outcome: str
    client: str | None
    bytes_out: int
    query: str | msgspec.UnsetType = msgspec.UNSET
    problem: str | msgspec.UnsetType = msgspec.UNSET
    trace_id: str | msgspec.UnsetType = msgspec.UNSET
    trace_link: str | msgspec.UnsetType = msgspec.UNSET
    kind: str | msgspec.UnsetType = msgspec.UNSET
    logger: str = LOGGER.name


_LEVELS: Final = {logging.DEBUG: "debug", logging.INFO: "info", logging.ERROR: "error"}
_encode = msgspec.json.Encoder().encode


def layer(app: ASGIApp, tell: Listener) -> ASGIApp:
    """Tell `tell` of each request when it has ended. Needs the context layer outside of it."""

    def told(record: RequestContext) -> None:
        tell(_finished(record, outcome_of(record)))

    def canonical(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        record = current()
        if record is not None and record.scope is scope:
            record.at_end = told
        return app(scope, receive, send)

    return canonical


def outcome_of(record: RequestContext) -> str:
    """The one word that says how a request ended."""
    fine = record.error is None and record.close_code is None and not record.refused
    if record.ended and 0 < record.status < 400 and fine:
        return Outcome.OK
    gone = record.client_left.gone
    if record.refused:
        return Outcome.REFUSED
    if isinstance(record.error, asyncio.CancelledError | DeadlinePassed):
        return Outcome.CLIENT_LEFT if gone and not record.ended else Outcome.CANCELLED
    if record.kind == "websocket":
        failed = record.error or record.close_code == _INTERNAL_ERROR  # also where the framework has handled it
        return Outcome.FAILED if failed else Outcome.REJECTED if record.status >= 400 else Outcome.OK
    if gone and not record.ended:
        return Outcome.CLIENT_LEFT
    if record.status and not record.ended:
        return Outcome.CUT
    if record.status >= 500 or not record.status:
        return Outcome.FAILED
    return Outcome.REJECTED if record.status >= 400 else Outcome.OK


def _finished(record: RequestContext, outcome: str) -> RequestFinished:
    scope = record.scope
    peer = scope.get("client")
    query: bytes = scope["query_string"]
    fields = (
        time.time(),
        record.id,
        record.client_id,
        record.trace_id,
        record.trace_link,
        peer[0] if peer else None,
        scope["type"],
        scope.get("method", "GET"),
        record.path,
        query.decode("latin-1") if query else "",
        route_of(scope),
        record.status,
        (time.perf_counter() - record.started) * 1000,
        record.bytes_out,
        record.actor,
        record.action,
        outcome,
        record.problem,
    )
    return RequestFinished._make(fields)


def level_of(fact: RequestFinished) -> int:
    """The level of a request's line: debug for a probe or one of a flood, error where the service failed."""
    if fact.route in QUIET or (fact.outcome == Outcome.REFUSED and fact.problem in _FLOODS):
        return logging.DEBUG
    return logging.ERROR if fact.outcome in {Outcome.FAILED, Outcome.CUT} else logging.INFO


def line_of(fact: RequestFinished, redactor: Redactor) -> RequestLine:
    """The line of a fact. Only what comes from outside or from the application can hold a secret: it is redacted."""
    text = redactor.text
    unset = msgspec.UNSET
    return RequestLine(
        timestamp(fact.at),
        _LEVELS[level_of(fact)],
        "request",
        fact.request_id,
        fact.client_request_id and text(fact.client_request_id),
        fact.method,
        fact.route,
        text(fact.path),
        fact.status,
        round(fact.duration_ms, 3),
        fact.actor and text(fact.actor),
        fact.action,
        fact.outcome,
        fact.client,
        fact.bytes_out,
        text(fact.query) if fact.query else unset,
        fact.problem or unset,
        fact.trace_id or unset,
        fact.trace_link or unset,
        fact.kind if fact.kind != "http" else unset,
    )


def encode_line(line: RequestLine) -> bytes:
    """The line as JSON, with its newline."""
    return _encode(line) + b"\n"
