"""The context of a request: one mutable record, found through one context variable.

The variable refers to the record, and the record is what changes: so an actor that a dependency sets in a thread, or
in a copy of the context, is seen by the line that is written at the end.
"""

import re
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Final

from holdfast.asgi import ASGIApp, Message, Receive, Scope, Send
from holdfast.decide import deadlines
from holdfast.decide.forwarded import Network, Origin, is_trusted, networks, origin
from holdfast.decide.routes import route_of
from holdfast.errors import SettingsInvalid
from holdfast.ids import uuid7
from holdfast.settings import Settings, option
from holdfast.trace import SDK as _SPANS
from holdfast.trace import current_trace_id

CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_WANTED: Final = deadlines.HEADERS | frozenset(
    {b"x-request-id", b"traceparent", b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"holdfast-priority"}
)
SCOPE_KEY: Final = "holdfast.context"
ID_HEADER: Final = b"x-request-id"
_ID_LENGTH: Final = len(ID_HEADER)

Exit = Callable[[], Awaitable[None]]


class ContextSettings(Settings, prefix="HOLDFAST", title="context"):
    """Who is believed about where a request comes from."""

    trusted_proxies: Annotated[
        tuple[str, ...],
        option(
            "Addresses or networks (10.0.0.0/8) of the proxies that are believed about the client and the trace.",
            pattern=r"[0-9A-Fa-f:.]+(/\d{1,3})?",
            pattern_words="an address, or a network such as 10.0.0.0/8",
        ),
    ] = ()


class Gone:
    """Whether the client has left. A server that knows puts its own under `SCOPE_KEY` into the scope."""

    SCOPE_KEY: Final = "holdfast.client"
    __slots__ = ("gone", "on_leave")

    def __init__(self) -> None:
        """The client is there."""
        self.gone: bool = False
        self.on_leave: Callable[[], None] | None = None
        """Called when the client leaves, by whoever is the first to know."""

    def leave(self) -> None:
        """Note that the client has left, and tell whoever serves it. For servers; on the event loop."""
        self.gone = True
        if self.on_leave is not None:
            self.on_leave()


class RequestContext:
    """What is known of one request, from its first byte to its line in the log.

    What most requests leave as it is stands on the class, so that a request pays only for what it has of its own.
    """

    client_id: str | None = None
    """The caller's own ID, where it sent one that can be kept."""
    trace_id: str | None = None
    trace_link: str | None = None
    actor: str | None = None
    action: str | None = None
    status: int = 0
    """0 until the answer begins."""
    bytes_out: int = 0
    ended: bool = False
    """Whether the answer has come to its end while the client was there."""
    over: bool = False
    """Whether the application has returned."""
    refused: bool = False
    admitted: bool = False
    """Whether a server has let it in already, so that no layer need ask again."""
    deadline: float | None = None
    """When it is to be over, by the monotonic clock; None where it has no end."""
    asked_s: float | None = None
    """Seconds that the sender gives it."""
    waited_s: float = 0.0
    """Seconds that it had waited before it was read, where a server knows that."""
    watched: bool = False
    """Whether somebody sees to it that the deadline is kept."""
    shields: int = 0
    """How many sections are under way in which it must not be ended."""
    asked_priority: str | None = None
    """What the sender says of how important it is."""
    trusted_peer: bool = False
    """Whether the sender is believed, as a proxy that is trusted."""
    problem: str | None = None
    """The code of the problem that was answered."""
    error: BaseException | None = None
    close_code: int | None = None
    """What the application has closed a WebSocket with."""
    exits: list[Exit] | None = None
    """Called, last one first, before the answer begins."""
    late_exits: list[Exit] | None = None
    """Called, last one first, when the application has returned."""
    container: object | None = None
    """What holds the request's resources."""
    at_end: "Callable[[RequestContext], None] | None" = None
    """Called when all is over, with this record: whoever tells how the request ended."""

    def __init__(self, scope: Scope, request_id: str, client_left: Gone) -> None:
        """A record for the request that `scope` describes."""
        self.id = request_id
        self.scope = scope
        self.path: str = scope["path"]
        """The path, without the query, decoded; as it came, for a framework may shorten the one in the scope."""
        self.client_left = client_left
        self.started: float = time.perf_counter()

    @property
    def kind(self) -> str:
        """`http`, `websocket`, or `continued` for work that goes on after its request."""
        return self.scope["type"]

    @property
    def method(self) -> str:
        """The request's method; a WebSocket begins with GET."""
        return self.scope.get("method", "GET")

    @property
    def query(self) -> str:
        """What follows the question mark, as it was sent."""
        return self.scope["query_string"].decode("latin-1")

    @property
    def client(self) -> str | None:
        """The client's address, behind trusted proxies the real one; None where the server knows none."""
        peer = self.scope.get("client")
        return peer[0] if peer else None

    @property
    def route(self) -> str | None:
        """The template that the framework matched, such as `/files/{id}`; None before it has, or if it never did."""
        return route_of(self.scope)

    def __repr__(self) -> str:
        return f"<RequestContext {self.id} {self.method} {self.route or self.path} {self.status or 'unanswered'}>"


_current: ContextVar[RequestContext | None] = ContextVar("holdfast_request", default=None)


def current() -> RequestContext | None:
    """The context of the request that is being served here; None outside a request."""
    return _current.get()


def set_actor(actor: str) -> None:
    """Say who the request is made for: an account's name or ID, never a secret. Outside a request nothing happens."""
    record = _current.get()
    if record is not None:
        record.actor = actor


def set_action(action: str) -> None:
    """Say what the request does, in the words of your domain: `file.upload`. Outside a request nothing happens."""
    record = _current.get()
    if record is not None:
        record.action = action


@contextmanager
def continuing(request_id: str | None) -> Generator[None]:
    """Carry the ID of a request in work that goes on after it, here or in another process.

    Lines that are logged in the block are found under the ID. Resources of the request are not to be had: it is over.
    Without an ID the block is as any other.
    """
    if request_id is None:
        yield
        return
    scope: Scope = {"type": "continued", "path": "", "query_string": b"", "headers": []}
    record = RequestContext(scope, request_id, Gone())
    record.over = True
    token = _current.set(record)
    try:
        yield
    finally:
        _current.reset(token)


# -- the layer --


def layer(app: ASGIApp, settings: ContextSettings | None = None) -> ASGIApp:
    """Give each request its context, and each answer its `X-Request-ID`.

    A request that has a context already, such as one that the server made, is passed on as it is.
    Raises SettingsInvalid if a trusted proxy is not an address or network.
    """
    trusted = trusted_networks(settings or ContextSettings())

    async def context(scope: Scope, receive: Receive, send: Send) -> None:
        client_left = scope.get(Gone.SCOPE_KEY)
        if client_left is None:
            client_left = Gone()
            receive = _watching(receive, client_left)
        record = begin(scope, client_left, trusted)
        await serve(record, app, receive, _answering(record, send))

    def enclosed(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if SCOPE_KEY in scope or scope["type"] not in {"http", "websocket"}:
            return app(scope, receive, send)
        return context(scope, receive, send)

    return enclosed


def begin(scope: Scope, client_left: Gone, trusted: Sequence[Network]) -> RequestContext:
    """Make the context of the request that `scope` describes. Of its headers only those are believed that may be."""
    record = scope[SCOPE_KEY] = RequestContext(scope, uuid7(), client_left)
    for name, _ in scope["headers"]:
        if name in _WANTED:
            _read_headers(record, scope, trusted)
            break
    return record


async def serve(record: RequestContext, app: ASGIApp, receive: Receive, send: Send) -> None:
    """Call the application in the context `record`, and do what is to be done when it has returned."""
    token = _current.set(record)
    try:
        await app(record.scope, receive, send)
        record.over = True
        if record.exits or record.late_exits:
            await _leave(record, at_end=True)
    except BaseException as error:
        record.error = record.error or error
        if not record.over:
            record.over = True
            await _leave(record, at_end=True)
        raise
    finally:
        if record.at_end is not None:
            record.at_end(record)
        _current.reset(token)
        del record.scope[SCOPE_KEY]  # the two refer to each other: a cycle would leave each request to the collector
        record.error = None  # as above: its traceback leads back here, and holds whatever the application had open


def _watching(receive: Receive, client: Gone) -> Receive:
    async def watch() -> Message:
        message = await receive()
        if message["type"] in {"http.disconnect", "websocket.disconnect"}:
            client.leave()
        return message

    return watch


def trusted_networks(settings: ContextSettings) -> tuple[Network, ...]:
    """The proxies that are believed. Raises SettingsInvalid if one is not an address or network."""
    try:
        return networks(settings.trusted_proxies)
    except ValueError as error:
        raise SettingsInvalid(
            [f"HOLDFAST_TRUSTED_PROXIES: {error}, allowed: addresses or networks, separated by commas"]
        ) from error


def _read_headers(record: RequestContext, scope: Scope, trusted: Sequence[Network]) -> None:
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in _WANTED:
            text = value.decode("latin-1")
            found[name] = f"{found[name]},{text}" if name in found and name != b"x-request-id" else text
    client_id = found.get(b"x-request-id")
    if client_id is not None and CLIENT_ID.fullmatch(client_id):
        record.client_id = client_id
    believed = bool(trusted) and record.client is not None and is_trusted(record.client, trusted)
    record.trusted_peer = believed
    record.asked_priority = found.get(b"holdfast-priority")
    if not deadlines.HEADERS.isdisjoint(found):
        record.asked_s = deadlines.asked(found, time.time())
    traceparent = _TRACEPARENT.fullmatch(found.get(b"traceparent", ""))
    if traceparent is not None:
        if believed:
            record.trace_id = traceparent[1]
        else:
            record.trace_link = traceparent[1]
    if believed and record.client is not None:
        _adopt(
            record,
            scope,
            origin(
                record.client,
                trusted,
                found.get(b"forwarded", ""),
                found.get(b"x-forwarded-for", ""),
                found.get(b"x-forwarded-proto", ""),
            ),
        )


def _adopt(record: RequestContext, scope: Scope, seen: Origin) -> None:
    """Show the application the client behind the proxies, as it would see it without them."""
    if seen.client != record.client:
        scope["client"] = (seen.client, 0)
    if seen.secure is not None:
        plain, secure = ("ws", "wss") if record.kind == "websocket" else ("http", "https")
        scope["scheme"] = secure if seen.secure else plain


_STARTS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_BODIES: Final = frozenset({"http.response.body", "websocket.http.response.body"})


def _answering(record: RequestContext, send: Send) -> Send:
    """Wrap `send` once: what it passes is noted in the record, and every answer carries the ID."""

    def answer(message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind in _BODIES:
            record.bytes_out += len(message.get("body", b""))
            record.ended = not (message.get("more_body", False) or record.client_left.gone)
        elif kind in _STARTS:
            note_start(record, message.get("status", 101))
            message = _with_id(message, record)
            if record.exits:
                return leave_then(record, send, message)
        elif kind == "websocket.close":
            record.ended = True
            record.close_code = message.get("code", 1000)
            if not record.status:
                record.status = 403
                if "websocket.http.response" in (record.scope.get("extensions") or {}):
                    return _deny(send, record)  # a plain close would be answered without the ID
        return send(message)

    return answer


def note_start(record: RequestContext, status: int) -> None:
    """The answer begins with `status`."""
    record.status = status
    record.deadline = None  # what has begun may last
    if _SPANS in sys.modules:
        record.trace_id = record.trace_id or current_trace_id()  # the span that is current here ends before us


def _with_id(message: Message, record: RequestContext) -> Message:
    """The message with our ID among its headers; the application's own may be shared between requests."""
    headers = [*(message.get("headers") or ()), (ID_HEADER, record.id.encode())]
    for name, _ in headers[:-1]:
        if len(name) == _ID_LENGTH and name.lower() == ID_HEADER:
            headers = [pair for pair in headers[:-1] if pair[0].lower() != ID_HEADER] + headers[-1:]
            break
    return {**message, "headers": headers}


async def _deny(send: Send, record: RequestContext) -> None:
    start: Message = {"type": "websocket.http.response.start", "status": 403, "headers": [(b"content-length", b"0")]}
    await send(_with_id(start, record))
    await send({"type": "websocket.http.response.body", "body": b""})


async def leave_then(record: RequestContext, send: Send, message: Message) -> None:
    """Run the exits, and then send `message`, which begins the answer."""
    try:
        await _leave(record)
    except BaseException:
        record.status = 0  # nothing was sent yet, so what failed in leaving can still be answered for
        raise
    await send(message)


async def _leave(record: RequestContext, *, at_end: bool = False) -> None:
    """Run the exits, last one first. Each runs; the first failure is raised when all have."""
    failed: BaseException | None = None
    while record.exits or (at_end and record.late_exits):
        exits = record.exits or record.late_exits or []
        leave = exits.pop()
        try:
            await leave()
        except BaseException as error:  # noqa: BLE001 - the exits that remain must run whatever this one did
            failed = failed or error
    if failed is not None:
        raise failed
