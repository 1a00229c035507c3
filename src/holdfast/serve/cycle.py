"""One request and its answer on a connection: uvicorn's cycle, which says nothing twice and writes with less work."""

import asyncio
import logging
import re
import socket
import struct
from collections.abc import Awaitable, Generator
from typing import Any, Final, Protocol, cast

from uvicorn._types import ASGI3Application, ASGISendEvent, HTTPDisconnectEvent, HTTPRequestEvent, HTTPScope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.server import ServerState

from holdfast.asgi import INTERIM, ASGIApp, Headers, Message, Receive, Send
from holdfast.context import ID_HEADER, RequestContext, leave_then, note_start, serve
from holdfast.problems import is_logged
from holdfast.serve.body import Body, Flag

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE: Final = re.compile(b"[\x00-\x08\x0a-\x1f\x7f]")
_BODILESS: Final = frozenset({204, 304})
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_OURS: Final = frozenset({ID_HEADER})
_OF_OLD: Final = _OURS | {b"transfer-encoding"}
_OF_NO_CONTENT: Final = _OF_OLD | {b"content-length"}
_LOOKED_AT: Final = _FRAMING | {ID_HEADER}
_REPEATED: Final = _FRAMING | {
    b"content-type",
    b"cache-control",
    b"vary",
    b"content-encoding",
    b"x-content-type-options",
}
"""Headers whose few values come again and again, and are no secret: their lines are kept."""
_MOST_LINES: Final = 4096
_RESET: Final = struct.pack("ii", 1, 0)
"""Linger for no time: the connection is reset as it is closed."""
_UNHEARD_S: Final = 1.0
"""How long an application may stream on for a client that has left."""

_lines: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}


class _Done:
    """An awaitable that has nothing to wait for."""

    def __await__(self) -> Generator[Any, None, None]:
        return iter(())  # pyright: ignore[reportReturnType] - an empty iterator serves where nothing is sent into it


_DONE: Final = _Done()


class Connection(Protocol):
    """What a cycle needs of the connection that it is on."""

    transport: asyncio.Transport
    flow: FlowControl
    logger: logging.Logger
    tasks: set[asyncio.Task[None]]

    @property
    def server_state(self) -> ServerState:
        """What all connections share."""
        ...

    def on_response_complete(self) -> None:
        """Hear that an answer is whole."""
        ...


class Slot(Protocol):
    """What a request holds at the gate."""

    def leave(self) -> None:
        """Give it back."""
        ...

    def pause(self) -> None:
        """Give it back until the client has sent more."""
        ...

    def go_on(self) -> None:
        """Take one again: the client has sent more."""
        ...


class Cycle(RequestResponseCycle):
    """uvicorn's cycle. What the problems layer has logged is not logged again."""

    body: Body
    message_event: asyncio.Event
    disconnected: bool
    keep_alive: bool
    waiting_for_100_continue: bool
    more_body: bool
    response_started: bool
    response_complete: bool
    expected_content_length: int
    chunked_encoding: bool | None

    record: RequestContext
    """The request's context, from the moment that it is served."""

    def __init__(
        self, connection: Connection, scope: HTTPScope, *, expect_100_continue: bool, keep_alive: bool
    ) -> None:
        """A request that came on `connection`. uvicorn's own attributes, without its eleven arguments for each."""
        self.connection: Connection = connection
        self.scope: HTTPScope = scope
        self.transport: asyncio.Transport = connection.transport
        self.flow: FlowControl = connection.flow
        self.logger: logging.Logger = connection.logger
        self.default_headers: Headers = connection.server_state.default_headers
        self.message_event = Flag()
        self.disconnected = False
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expect_100_continue
        self.body = Body()
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self.chunked_encoding = None
        self.expected_content_length = 0
        self.task: asyncio.Task[None] | None = None
        self.entrance: Slot | None = None
        """What it holds at the gate, until its answer begins."""
        self.receiving: bool = False
        """Whether the application waits for more of the body."""
        self._head = b""
        """A head that waits for its body, so that both are one write."""
        self._trailing = False
        """Whether fields follow the body."""
        self._until_closed = False
        """Whether the answer ends where the connection does, for a client that knows no chunks."""
        self._unheard_since: float | None = None
        """Since when the application streams on for a client that has left, by the loop."""

    async def receive(self) -> HTTPRequestEvent | HTTPDisconnectEvent:
        """What uvicorn's does, without its two copies of each piece of a body."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            if not self.message_event.is_set():
                await self._wait_for_client()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self.body.taken(), "more_body": self.more_body}

    async def _wait_for_client(self) -> None:
        """Wait for more of the body, without a slot, for nothing is done meanwhile; or for the client to leave."""
        self.receiving = True
        paused = self.entrance if self.more_body else None
        if paused is not None:
            paused.pause()
        try:
            await self.message_event.wait()
        finally:
            self.receiving = False
            if paused is not None:
                paused.go_on()

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Call the application, and close the connection where it left an answer unfinished."""
        try:
            await serve(self.record, cast("ASGIApp", app), cast("Receive", self.receive), cast("Send", self.send))
        except asyncio.CancelledError:
            self._end()
        except BaseException as error:
            if not is_logged(error):
                self.logger.error("an exception left the application", exc_info=error)
            self._end()
        else:
            if not self.response_complete and not self.disconnected:
                if self.response_started:
                    self.logger.error("the application ended without completing its answer")
                self._end()
        finally:
            self._leave()
            self.let_go()
            if self.task is not None:  # a callback for this would cost a turn of the loop
                self.connection.tasks.discard(self.task)
                self.task = None

    def let_go(self) -> None:
        """Take out of the scope what leads back here: such a loop would leave each request to the collector."""
        self.scope.get("extensions", {}).pop(INTERIM, None)

    def _leave(self) -> None:
        """Give the slot back: the work is done, and what follows is up to the client."""
        if self.entrance is not None:
            entrance, self.entrance = self.entrance, None
            entrance.leave()

    def _end(self) -> None:
        """Close before the answer's end, so that nobody takes it for whole."""
        if self.response_complete:
            return
        if self._until_closed:  # such an answer ends where the connection does, so that must not end in good order
            connection: socket.socket = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self.transport.close()

    def interim(self, status: int, headers: Headers) -> None:
        """Write an interim answer (1xx) in front of the answer; nothing once that has begun, or if nobody reads.

        The application finds this in its scope's extensions, under `INTERIM`: layers that look at what is
        sent would take it for the answer.
        """
        if not self.response_started and not self.disconnected and not self.flow.write_paused:
            lines = [_line(name, value)[0] for name, value in headers]
            self.transport.write(b"".join([b"HTTP/1.1 %d \r\n" % status, *lines, b"\r\n"]))

    def send(self, message: ASGISendEvent) -> Awaitable[None]:  # pyright: ignore[reportIncompatibleMethodOverride] - awaitable is enough
        """Write what the application sends; wait only where the client reads more slowly than it is written to."""
        if self.record.exits and not self.response_started:
            return leave_then(self.record, self._pass, cast("Message", message))
        return self._pass(cast("Message", message))

    def _pass(self, message: Message) -> Awaitable[None]:
        if self.disconnected:
            if message.get("more_body", False):
                return self._unheard()
        elif self.flow.write_paused:
            return self._pass_later(message)
        self._write(message)
        return _DONE

    async def _pass_later(self, message: Message) -> None:
        await self.flow.drain()
        self._write(message)

    async def _unheard(self) -> None:
        """Give the loop its turn. Whoever listens has heard by then that the client left; who streams on is stopped."""
        await asyncio.sleep(0)
        now = asyncio.get_running_loop().time()
        self._unheard_since = self._unheard_since or now
        if now - self._unheard_since > _UNHEARD_S:
            raise ConnectionResetError("The client has left.")

    def _write(self, message: Message) -> None:
        kind = message["type"]
        if self.disconnected:
            if kind == "http.response.start" and not self.record.refused:
                note_start(self.record, message["status"])
            return
        if not self.response_started:
            if kind != "http.response.start":
                raise RuntimeError(f"Expected http.response.start, but got {kind!r}.")
            self._trailing = message.get("trailers", False)
            self._write_head(message["status"], message.get("headers") or [])
        elif self.response_complete:
            raise RuntimeError(f"Got {kind!r} after the answer was complete.")
        elif kind == "http.response.trailers" and self._trailing:
            self._write_trailers(message.get("headers") or [], more=message.get("more_trailers", False))
        elif kind != "http.response.body":
            raise RuntimeError(f"Expected http.response.body, but got {kind!r}.")
        else:
            self._write_body(message.get("body", b""), more=message.get("more_body", False))

    def _write_head(self, status: int, headers: Headers) -> None:
        content = [STATUS_LINE[status]]
        self._unframe()
        old = self.scope["http_version"] == "1.0"
        left_out = _OF_NO_CONTENT if status == 204 else _OF_OLD if old else _OURS  # our ID is there already
        says_close = False
        for pairs in (self.default_headers, headers):
            for name, value in pairs:
                line, lowered = _lines.get((name, value)) or _line(name, value)
                if lowered in _LOOKED_AT:
                    if lowered in left_out:
                        continue
                    says_close = self._frame(lowered, value) or says_close
                content.append(line)
        if not self.keep_alive and not says_close:
            content.append(b"connection: close\r\n")
        if status in _BODILESS:
            self.expected_content_length = 0
        elif self.chunked_encoding is None and self.scope["method"] != "HEAD":
            self._until_closed = old
            self.chunked_encoding = not old
            if not old:
                content.append(b"transfer-encoding: chunked\r\n")
        content += (b"x-request-id: ", self.record.id.encode(), b"\r\n\r\n")
        note_start(self.record, status)
        self.response_started = True
        self.waiting_for_100_continue = False
        if self.chunked_encoding is False:
            self._head = b"".join(content)
        else:
            self.transport.write(b"".join(content))

    def _unframe(self) -> None:
        """Forget what a head said that was tried before and had a fault in it."""
        self.chunked_encoding = None
        self.expected_content_length = 0

    def _frame(self, name: bytes, value: bytes) -> bool:
        """Note what a header says of where the answer ends. Says whether it closes the connection."""
        if name == b"content-length":
            if self.chunked_encoding is None:
                self.expected_content_length = int(value)
                self.chunked_encoding = False
        elif name == b"connection":
            if b"close" in value.lower():
                self.keep_alive = False
                return True
        elif value.lower() == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True
        return False

    def _write_body(self, body: bytes, *, more: bool) -> None:
        self.record.bytes_out += len(body)
        if self.entrance is not None:
            self._leave()
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            self._write_after_head(b"")
        elif self.chunked_encoding:
            self._write_chunk(body, more=more)
        elif self._until_closed:
            self._write_after_head(body)
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("The body is longer than its Content-Length.")
            self._write_after_head(body)
            self.record.ended = not self.expected_content_length  # the client has all, and may go before we are told
        if not more:
            if self.expected_content_length:
                raise RuntimeError("The body is shorter than its Content-Length.")
            if not self._trailing:
                self._complete()

    def _complete(self) -> None:
        self.response_complete = self.record.ended = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.connection.on_response_complete()

    def _write_after_head(self, body: bytes) -> None:
        if self._head:
            body, self._head = self._head + body, b""
        if body:
            self.transport.write(body)

    def _write_chunk(self, body: bytes, *, more: bool) -> None:
        content = [b"%x\r\n" % len(body), body, b"\r\n"] if body else []
        if not more:
            content.append(b"0\r\n" if self._trailing else b"0\r\n\r\n")
        if content:
            self.transport.write(b"".join(content))

    def _write_trailers(self, headers: Headers, *, more: bool) -> None:
        """Fields after the body (RFC 9110, section 6.5), where the client has said that it takes them."""
        if self.chunked_encoding:
            lines = [_line(name, value)[0] for name, value in headers]
            self.transport.write(b"".join(lines) + (b"" if more else b"\r\n"))
        if not more:
            self._complete()


def _line(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A header's line, and its name in lower case. Raises RuntimeError for what would break the answer apart."""
    if not _NAME.fullmatch(name):
        raise RuntimeError("A header's name has a character that no name may have.")
    if _BAD_VALUE.search(value):
        raise RuntimeError("A header's value has a control character.")
    lowered = name.lower()
    made = (lowered + b": " + value + b"\r\n", lowered)
    if lowered in _REPEATED and len(_lines) < _MOST_LINES:
        _lines[name, value] = made
    return made
