"""Problem details (RFC 9457): every failure answered so that the caller can do something with it.

{"type": "urn:holdfast:problem:not-found", "title": "Not Found", "status": 404,
 "detail": "There is nothing here.", "advice": "Check the address ...", "request_id": "0192..."}
"""

import asyncio
import html
import logging
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from holdfast.asgi import ASGIApp, Headers, Message, Receive, Scope, Send, header
from holdfast.context import RequestContext, current
from holdfast.decide.defaults import STATUSES, is_default, may_be_default
from holdfast.errors import DeadlinePassed, HoldfastError, MethodNotAllowed, NotFound, Stopping, Unforeseen

TYPE: Final = "urn:holdfast:problem:"
_LOG = logging.getLogger("holdfast.problems")
_JSON: Final = (b"content-type", b"application/problem+json")
_HTML: Final = (b"content-type", b"text/html; charset=utf-8")
_NO_STORE: Final = (b"cache-control", b"no-store")
NOT_EXECUTED: Final = (b"holdfast-not-executed", b"1")
"""The header which says that a request was not begun, so that any may be sent again, also a POST."""
_OF_DEFAULTS: Final[dict[int, type[HoldfastError]]] = {404: NotFound, 405: MethodNotAllowed, 500: Unforeseen}
_REPLACED: Final = frozenset({b"content-type", b"content-length", b"content-encoding", b"etag", b"cache-control"})

_TURNS: Final = 32
"""Turns of the event loop that a stream's end waits: such a middleware needs three, and may be in another one."""
_ending: Final[set[asyncio.Task[None]]] = set()

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Problem(NamedTuple):
    """An answer that is a problem document, ready to be sent."""

    status: int
    headers: Headers
    body: bytes

    async def send(self, send: Send) -> None:
        """Send it as the whole answer."""
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": self.body})


def document(error: HoldfastError, request_id: str | None) -> dict[str, object]:
    """The members of the problem document of `error`."""
    return {
        "type": TYPE + error.code,
        "title": error.title(),
        "status": error.status,
        "detail": error.detail,
        "advice": error.advice,
        "request_id": request_id,
        **error.members,
    }


def problem(error: HoldfastError, scope: Scope | None = None, *, request_id: str | None = None) -> Problem:
    """The answer for `error`: a problem document, or a page where the client of `scope` is a browser that asks for one.

    The request ID is that of the present request unless one is given.
    """
    record = current()
    if record is not None:
        record.problem = error.code
        request_id = request_id or record.id
    members = document(error, request_id)
    as_page = scope is not None and wants_page(header(scope, b"accept"))
    body = _page(members) if as_page else _encode(members)
    headers: Headers = [_HTML if as_page else _JSON, (b"content-length", str(len(body)).encode()), _NO_STORE]
    if as_page:
        headers.append(_CSP)
    headers.extend((key.lower().encode("latin-1"), value.encode("latin-1")) for key, value in error.headers.items())
    return Problem(error.status, headers, body)


def wants_page(accept: bytes | None) -> bool:
    """Whether a client prefers HTML: it names `text/html` before, or without, any JSON."""
    if accept is None or b"text/html" not in accept:
        return False
    json = accept.find(b"json")
    return json < 0 or accept.find(b"text/html") < json


_STYLE: Final = """
:root{color-scheme:light dark;--ground:#f6f8f7;--text:#16211e;--soft:#55625d;--line:#dbe2df;--accent:#0b6a5a;
font:100%/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
@media (prefers-color-scheme:dark){
:root{--ground:#0f1413;--text:#e4ebe8;--soft:#9daba6;--line:#2a3532;--accent:#63cfb6}}
body{margin:0;background:var(--ground);color:var(--text)}
main{box-sizing:border-box;max-width:40rem;margin:0 auto;padding:clamp(2rem,16vh,9rem) 1.5rem 3rem}
main{overflow-wrap:anywhere}
h1{font-size:1.625rem;line-height:1.25;letter-spacing:-.015em;margin:0 0 1rem}
p{margin:0 0 .75rem}
.status{color:var(--accent);font-weight:600;margin:0}
.id{margin-top:2rem;padding-top:1.25rem;border-top:1px solid var(--line);color:var(--soft);font-size:.875rem}
code{display:block;color:var(--text);user-select:all}
code{font:1rem/1.5 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
"""
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main><p class="status">{status}</p><h1>{title}</h1><p>{detail}</p><p>{advice}</p>{request}</main></body></html>
"""
_REQUEST: Final = """
<div class="id"><p>Request ID <code>{request_id}</code></p>
<p>Whoever runs this service finds in the log, under this ID, what happened. Name it when you ask for help.</p></div>
"""
# No link leads on from the page: of an application that is not known, no address is known to be there.
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
_CSP: Final = (
    b"content-security-policy",
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'".encode(),
)


def _page(members: Mapping[str, object]) -> bytes:
    """The page says what the document says; it runs no script and loads nothing."""
    shown = {key: html.escape(str(members[key] or "")) for key in ("status", "title", "detail", "advice", "request_id")}
    request = _REQUEST.format(**shown) if shown["request_id"] else ""
    return _PAGE.format(style=_STYLE, request=request, **shown).encode()


# -- the layer --


def layer(app: ASGIApp) -> ASGIApp:
    """Answer what nobody answered: our errors, unforeseen exceptions, and the frameworks' own default bodies.

    This holds the only `try` on a request's way that answers for the application. What it catches is in the log with
    its traceback, under the request's ID; it is raised again only where the answer had begun and must be cut.
    """

    async def problems(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            guarded = _guarded_websocket if scope["type"] == "websocket" else _unguarded
            await guarded(app, scope, receive, send)
            return
        answer = _Answer(scope, send)
        try:
            await app(scope, receive, answer.send)
        except asyncio.CancelledError:
            if not answer.begun:
                await problem(_cancelled(), scope).send(send)
            await answer.end()
            raise
        except Exception as error:  # noqa: BLE001 - the one place that answers for whatever the application raises
            await answer.fail(error)
        else:
            if answer.unfinished:
                await answer.finish()

    return problems


def _cancelled() -> HoldfastError:
    """What the end of a task means to the caller: a deadline of ours says so before it ends one."""
    record = current()
    late = record is not None and record.problem == DeadlinePassed.code
    return DeadlinePassed() if late else Stopping()


class _Answer:
    """What one request was answered so far. Holds back an answer that may be a framework's default.

    The end of a stream is held back for a moment too: Starlette's BaseHTTPMiddleware ends a stream as if it were whole
    where the application below has failed, and raises the failure only then.
    """

    __slots__ = ("_end", "_held", "_scope", "_send", "_start", "_streams", "begun")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._held: list[Message] | None = None
        self._start: Message = {}
        self._end: Message | None = None
        self._streams = False
        self.begun = False
        """Whether anything has been passed on."""

    async def send(self, message: Message) -> None:
        if self.begun:
            if message.get("more_body", False):
                self._streams = True
            elif message["type"] == "http.response.trailers":
                await self.end()
            elif self._streams and not message.get("body") and _content_length(self._start) is None:
                self._end = message
                self._turn(_TURNS)
                return
            await self._send(message)
        elif self._held is not None or message["type"] != "http.response.start":
            await self._second(message)
        elif message["status"] in STATUSES and may_be_default(message["status"], _content_length(message)):
            self._held = [message]
        else:
            self.begun = True
            self._start = message
            await self._send(message)

    @property
    def unfinished(self) -> bool:
        """Whether something is held back, or nothing was sent at all."""
        return self._held is not None or self._end is not None or not self.begun

    def _turn(self, left: int) -> None:
        """Wait for some turns of the loop, then end the stream: the application may go on to do other work."""
        loop = asyncio.get_running_loop()
        if left:
            loop.call_soon(self._turn, left - 1)
        elif self._end is not None:
            _ending.add(task := loop.create_task(self.end()))
            task.add_done_callback(_ending.discard)

    async def end(self) -> None:
        """End a stream whose end was held back."""
        if self._end is not None:
            message, self._end = self._end, None
            await self._send(message)

    async def _second(self, message: Message) -> None:
        """What follows a start that was held back: a body shows whether it is a default, also in pieces."""
        held = self._held or []
        if held and message["type"] == "http.response.body":
            status = held[0]["status"]
            if is_default(status, b"".join(bytes(piece.get("body", b"")) for piece in (*held[1:], message))):
                held.append(message)
                if status != 500 and _is_last(message):  # after a 500 the exception behind it may come, and tells more
                    await self._replace(_OF_DEFAULTS[status]())
                return
        self._held = None
        await self._pass(held)
        await self.send(message)

    async def _pass(self, held: list[Message]) -> None:
        self.begun = True
        if held:
            self._start = held[0]
            self._streams = len(held) > 1
        for message in held:
            await self._send(message)

    async def _replace(self, error: HoldfastError) -> None:
        """Send `error` in place of what is held, keeping the headers that still hold."""
        kept: Headers = []
        if self._held and self._held[0]["status"] == error.status:
            kept = [pair for pair in self._held[0].get("headers", ()) if pair[0].lower() not in _REPLACED]
        self._held = None
        self.begun = True
        made = problem(error, self._scope)
        await made._replace(headers=made.headers + kept).send(self._send)

    async def finish(self) -> None:
        """The application has returned: what is held goes out; if it answered nothing, that is answered for."""
        await self.end()
        if self._held is None:
            record = current()
            if not self.begun and not (record is not None and record.client_left.gone):
                _LOG.error("the application returned without an answer")
                await self._replace(Unforeseen())
            return
        if len(self._held) > 1 and _is_last(self._held[-1]):
            await self._replace(Unforeseen())
            return
        held, self._held = self._held, None
        await self._pass(held)

    async def fail(self, error: Exception) -> None:
        """The application has raised `error`: log it, and answer for it if there is still an answer to give."""
        self._end = None
        record = current()
        if record is not None:
            record.error = error
            if record.client_left.gone:
                log_unheard(error)
                return
        log_failure(error)
        if self.begun and (record is None or record.status):
            raise _Cut from error
        await self._replace(error if isinstance(error, HoldfastError) else Unforeseen())


class _Cut(Exception):
    """The answer had begun when the application failed, so the connection is closed before its end."""


async def _unguarded(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def _guarded_websocket(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001 - as for HTTP
        record = current()
        if record is not None and record.client_left.gone:
            log_unheard(error)
            return
        log_failure(error)
        if record is not None:
            record.error = error
        if record is None or not record.ended:
            await _end_websocket(scope, send, error, accepted=record is None or record.status != 0)


async def _end_websocket(scope: Scope, send: Send, error: Exception, *, accepted: bool) -> None:
    if accepted or "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1011})
        return
    made = problem(error if isinstance(error, HoldfastError) else Unforeseen(), scope)
    await send({"type": "websocket.http.response.start", "status": made.status, "headers": made.headers})
    await send({"type": "websocket.http.response.body", "body": made.body})


def log_failure(error: Exception) -> None:
    """Log an exception with its traceback, unless it is an error of ours that the caller can mend, or a deadline's."""
    if isinstance(error, DeadlinePassed):
        return  # the request's line says it, and nothing is wrong with the code that the traceback would show
    if not isinstance(error, HoldfastError) or error.status >= 500:
        _LOG.error("the application raised an exception", exc_info=error)


def log_unheard(error: Exception) -> None:
    """Log an exception that nobody is there to be told of: for most applications it is how they stop."""
    level = logging.DEBUG if isinstance(error, ConnectionError) else logging.WARNING
    _LOG.log(level, "the application raised an exception after its client had left", exc_info=error)


def is_logged(error: BaseException) -> bool:
    """Whether the exception that comes out of the layer was logged by it, so that a server need not."""
    return isinstance(error, _Cut)


def _is_last(message: Message) -> bool:
    return not message.get("more_body", False)


def _content_length(message: Message) -> int | None:
    for name, value in message.get("headers") or ():
        if name.lower() == b"content-length":  # Django writes names as people do
            return int(value) if value.isdigit() else None
    return None


# -- refusals --


class Refusal:
    """A problem document made once, answered many times: only the request ID differs.

    A refusal is a value that a layer returns with, not an exception.
    """

    __slots__ = ("_after", "_before", "_headers", "code", "status")

    def __init__(self, error: HoldfastError, *headers: tuple[bytes, bytes]) -> None:
        """Prepare the bytes for `error`; `headers` are sent beside its own."""
        marker = "00000000-0000-7000-8000-000000000000"
        made = problem(error, request_id=marker)
        before, _, after = made.body.partition(marker.encode())
        self._before, self._after = before, after
        self._headers: Headers = [*made.headers, *headers]
        self.status: int = made.status
        self.code: str = error.code

    def body(self, request_id: str) -> bytes:
        """The body for the request with this ID, which is 36 characters long."""
        return self._before + request_id.encode() + self._after

    @property
    def around(self) -> tuple[bytes, bytes]:
        """What stands before and after the ID in the body."""
        return self._before, self._after

    @property
    def headers(self) -> Headers:
        """The headers, with the body's length."""
        return list(self._headers)

    async def answer(self, record: RequestContext, send: Send) -> None:
        """Refuse the request of `record`."""
        record.refused = True
        record.problem = self.code
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body(record.id)})
