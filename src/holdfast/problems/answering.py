"""The layer that answers what nobody answered."""

import asyncio
import logging
from typing import Final

from holdfast.asgi import ASGIApp, Headers, Message, Receive, Scope, Send
from holdfast.context import current
from holdfast.decide.defaults import STATUSES, is_default, may_be_default
from holdfast.errors import DeadlinePassed, HoldfastError, MethodNotAllowed, NotFound, Stopping, Unforeseen
from holdfast.problems.document import problem, told_as

_LOG = logging.getLogger("holdfast.problems")
_OF_DEFAULTS: Final[dict[int, type[HoldfastError]]] = {404: NotFound, 405: MethodNotAllowed, 500: Unforeseen}
_REPLACED: Final = frozenset({b"content-type", b"content-length", b"content-encoding", b"etag", b"cache-control"})

_TURNS: Final = 32
"""Turns of the event loop that a stream's end waits: such a middleware needs three, and may be in another one."""
_ending: Final[set[asyncio.Task[None]]] = set()


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
        await self._replace(told_as(error))


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
    made = problem(told_as(error), scope)
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
