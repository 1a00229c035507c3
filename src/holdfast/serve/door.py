"""The door: uvicorn's HTTP protocol, extended where a request comes in and an answer goes out.

What is refused here is refused before a task or the application exists: heads that are too large or no HTTP.
Trailers are dropped: the parser would append them to the live headers, and a trailer must never become a credential.
"""

import asyncio
import time
import urllib.parse
from collections.abc import Sequence
from typing import Any, Final, cast

import httptools
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from holdfast import logs
from holdfast.asgi import Headers
from holdfast.context import SCOPE_KEY, Gone, RequestContext, begin
from holdfast.decide.forwarded import Network
from holdfast.errors import BadRequest, HeadersTooLarge, HoldfastError, UriTooLong
from holdfast.events import Outcome, RequestFinished
from holdfast.ids import uuid7
from holdfast.problems import Refusal
from holdfast.serve.cycle import Cycle

_CLOSE: Final = (b"connection", b"close")
_SHOWN_PATH: Final = 200
_LAST_ANSWER_S: Final = 5
"""How long a draining server keeps an idle connection for one more answer, at most."""
_NOTED: Final = frozenset({b"host", b"expect", b"te"})
_REFUSALS: Final[dict[type[HoldfastError], Refusal]] = {
    kind: Refusal(kind(), _CLOSE) for kind in (BadRequest, HeadersTooLarge, UriTooLong)
}


class DoorState(ServerState):
    """What all connections of a process share."""

    def __init__(self, *, head_max_bytes: int, observe: bool, trusted: Sequence[Network]) -> None:
        super().__init__()
        self.trusted = trusted
        """The proxies that are believed about the client and the trace."""
        self.head_max_bytes = head_max_bytes
        self.observe = observe
        self.draining = False
        """Whether each answer is the last on its connection."""


class Door(HttpToolsProtocol):
    """One connection."""

    server_state: DoorState
    timeout_keep_alive: int
    expect_100_continue: bool
    takes_trailers: bool
    headers: Headers
    scope: HTTPScope
    cycle: RequestResponseCycle
    parser: httptools.HttpRequestParser  # None only once the connection is lost, when nothing is fed any more

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.call: ASGI3Application = cast("ASGI3Application", self.app)
        self.gone: Gone = Gone()
        self.serving: Cycle | None = None
        """The request that is being answered; others of a pipeline wait behind it."""
        self.idle_since: float | None = None
        """Since when the connection waits for its next request, by the loop; None while something is going on."""
        self.in_head: bool = True
        self.head_bytes: int = 0
        """What the headers parsed so far have."""
        self.head_fed: int = 0
        """What was fed since the request began, also of a header that does not end."""
        self.hosts: int = 0
        self.refused: bool = False
        self.observed: bool = False

    # -- what comes in --

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless this connection was refused."""
        if self.refused:
            return
        self.idle_since = None
        if self.in_head:
            self.head_fed += len(data)
        while data:
            data = self._feed(data)
        if self.in_head and self.head_fed > self.server_state.head_max_bytes and not self.refused:
            self.refuse(HeadersTooLarge if self.headers else UriTooLong)

    def _feed(self, data: bytes) -> bytes:
        """Feed the parser. Returns what it is to be fed next."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            elif not self.refused:
                return self._without_offer() + data[upgrade.args[0] :]
        except httptools.HttpParserError:
            self.refuse(BadRequest)
        return b""

    def _without_offer(self) -> bytes:
        """The head again, without an offer that is not taken: with it the parser would not look for a body."""
        line = b"%s %s HTTP/%s\r\n" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        kept = [name + b": " + value + b"\r\n" for name, value in self.headers if name != b"upgrade"]
        return line + b"".join(kept) + b"\r\n"

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url = b""
        self.expect_100_continue = self.takes_trailers = False
        self.headers = []
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": self.headers,
            "state": self.app_state.copy(),
            Gone.SCOPE_KEY: self.gone,
        }
        self.scope = cast("HTTPScope", scope)  # uvicorn's name for it
        self.in_head = True
        self.head_bytes = self.head_fed = self.hosts = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped."""
        if not self.in_head:
            return
        self.head_bytes += len(name) + len(value) + 4
        name = name.lower()
        if name in _NOTED:
            if name == b"host":
                self.hosts += 1
            elif name == b"te":
                self.takes_trailers = b"trailers" in value.lower()
            elif value.lower() == b"100-continue":
                self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole: begin to serve the request, or let it wait behind the one before it."""
        self.in_head = False
        if self.refused:
            return
        size = self.head_bytes + len(self.url)
        if size > self.server_state.head_max_bytes and not self._only_observed(HeadersTooLarge):
            self.refuse(UriTooLong if len(self.url) * 2 > size else HeadersTooLarge)
            return
        parser, scope = self.parser, cast("dict[str, Any]", self.scope)
        scope["method"] = parser.get_method().decode("ascii")
        version = parser.get_http_version()
        if version != "1.1":
            scope["http_version"] = version
        if self.hosts != 1 and (self.hosts or version == "1.1"):
            self.refuse(BadRequest)  # RFC 9112, section 3.2: which host is meant must be plain to everybody on the way
            return
        if parser.should_upgrade():
            if scope["method"] == "CONNECT":
                self.refuse(BadRequest)
            return  # a WebSocket, which another protocol class serves; or it is fed again, without the offer
        try:
            self._set_path(scope)
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            self.refuse(BadRequest)
            return
        cycle = Cycle(
            self,
            self.scope,
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive() and not self.server_state.draining,
        )
        if version == "1.1":  # a client of 1.0 knows no interim answers
            scope["extensions"] = self._extensions(cycle)
        before, self.cycle = self.cycle, cycle
        if before is None or before.response_complete:  # pyright: ignore[reportUnnecessaryComparison] - None before the first request
            self._begin(cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.call))

    def _extensions(self, cycle: Cycle) -> dict[str, object]:
        offered: dict[str, object] = {"holdfast.interim": cycle.interim}
        if self.takes_trailers:
            offered["http.response.trailers"] = {}
        return offered

    def _set_path(self, scope: dict[str, Any]) -> None:
        url = httptools.parse_url(self.url)
        raw_path = url.path or b"/"
        path = raw_path.decode("ascii")
        root = self.root_path  # the proxy took it away, and the application is told the whole path
        scope["path"] = root + (urllib.parse.unquote(path) if "%" in path else path)
        scope["raw_path"] = root.encode("ascii") + raw_path if root else raw_path
        scope["query_string"] = url.query or b""

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        if self.refused or self.parser.should_upgrade() or self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.in_head = True
        if self.refused or self.parser.should_upgrade():
            return
        if self.cycle.response_complete:
            if self.idle:
                self._await_next()
            return
        self.cycle.more_body = False
        self.cycle.message_event.set()

    # -- what goes out --

    def _begin(self, cycle: Cycle) -> None:
        self.serving = cycle
        cycle.record = begin(cast("dict[str, Any]", cycle.scope), self.gone, self.server_state.trusted)
        cycle.task = task = self.loop.create_task(cycle.run_asgi(self.call))
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        """An answer is whole: serve the next of the pipeline, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            cycle, _ = self.pipeline.pop()
            self._begin(cast("Cycle", cycle))
        else:
            self._await_next()

    def _await_next(self) -> None:
        self.idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)

    def _look_whether_idle(self) -> None:
        """Close a connection that waited too long. One timer looks now and then: one for each request costs more."""
        self.timeout_keep_alive_task = None
        if self.idle_since is None or self.transport.is_closing():
            return
        left = self.idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self._look_whether_idle)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over, also for a request of a pipeline that is not the last."""
        self.gone.gone = True
        if self.serving is not None and not self.serving.response_complete:
            self.serving.disconnected = True
            self.serving.message_event.set()
        super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """Whether nothing that was asked on this connection is unanswered."""
        return self.serving is None or (self.serving.response_complete and not self.pipeline)

    def shutdown(self) -> None:
        """The server drains: an idle connection is kept as long as keep-alive lasts, for one more answer."""
        longer = self.timeout_keep_alive > _LAST_ANSWER_S
        self.timeout_keep_alive = min(self.timeout_keep_alive, _LAST_ANSWER_S)
        if not self.idle:
            if not self.cycle.response_started:  # an answer whose head has gone out cannot say any more that it closes
                self.cycle.keep_alive = False
        elif longer:
            self._unset_keepalive_if_required()
            self._await_next()
        elif self.idle_since is None and not self.transport.is_closing():
            self._await_next()

    # -- refusals --

    def _only_observed(self, kind: type[HoldfastError]) -> bool:
        if self.server_state.observe and not self.observed:
            self.observed = True
            self.logger.warning("observed: would refuse", extra={"problem": kind.code})
        return self.server_state.observe

    def refuse(self, kind: type[HoldfastError]) -> None:
        """Answer with the problem of `kind`, log it, and close."""
        if kind is not BadRequest and self._only_observed(kind):
            return
        self.refused = True
        unanswered = self.serving if self.serving is not None and not self.serving.response_complete else None
        if unanswered is not None and (unanswered.response_started or self.cycle is not unanswered):
            self.cycle.keep_alive = False  # what came before is answered first; then the connection closes
            self.flow.pause_reading()
            return
        refusal = _REFUSALS[kind]
        record = cast("RequestContext | None", unanswered.scope.get(SCOPE_KEY)) if unanswered is not None else None
        request_id = record.id if record is not None else uuid7()
        self._write(refusal, request_id)
        if record is not None and unanswered is not None:
            record.refused, record.status, record.problem = True, refusal.status, refusal.code
            unanswered.disconnected = True
            unanswered.message_event.set()
        else:
            self._log(refusal, request_id)
        self.transport.close()

    def _write(self, refusal: Refusal, request_id: str) -> None:
        headers = [*self.server_state.default_headers, *refusal.headers, (b"x-request-id", request_id.encode())]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[refusal.status] + head + b"\r\n" + refusal.body(request_id))

    def _log(self, refusal: Refusal, request_id: str) -> None:
        began = bool(self.url)  # else the parser tells a method that nobody sent
        logs.tell(
            RequestFinished(
                at=time.time(),
                request_id=request_id,
                client_request_id=None,
                trace_id=None,
                trace_link=None,
                client=self.client[0] if self.client else None,
                kind="http",
                method=self.parser.get_method().decode("latin-1") if began else "",
                path=self.root_path + self.url.partition(b"?")[0][:_SHOWN_PATH].decode("latin-1") if began else "",
                query="",
                route=None,
                status=refusal.status,
                duration_ms=0.0,
                bytes_out=len(refusal.body(request_id)),
                actor=None,
                action=None,
                outcome=Outcome.REFUSED,
                problem=refusal.code,
            )
        )
