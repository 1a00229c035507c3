"""The door: uvicorn's HTTP protocol, extended where a request comes in and an answer goes out.

What is refused here is refused before a task or the application exists: heads that are too large or no HTTP, and what
cannot be served for want of capacity.
"""

import asyncio
from collections import deque
from typing import Any, Final, cast

from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from holdfast import logs
from holdfast.asgi import INTERIM, Headers
from holdfast.context import SCOPE_KEY, RequestContext, begin
from holdfast.decide.admission import Priority
from holdfast.errors import BadRequest, HeadersTooLarge, HoldfastError, RequestTimeout, Unforeseen, UriTooLong
from holdfast.ids import uuid7
from holdfast.logs.canonical import QUIET
from holdfast.parts.deadlines import give
from holdfast.problems import Refusal
from holdfast.serve.acceptor import Accepted
from holdfast.serve.answers import Prepared, refused_fact
from holdfast.serve.cycle import Cycle
from holdfast.serve.entrance import Entrance
from holdfast.serve.kernel import client_left, silent_s
from holdfast.serve.reading import Reading

_CLOSE: Final = (b"connection", b"close")
_SHOWN_PATH: Final = 200
_LAST_ANSWER_S: Final = 5
"""How long a draining server keeps an idle connection for one more answer, at most."""
_LINGER_S: Final = 2.0
_NO_SCOPE: Final = cast("HTTPScope", {})
_NO_HEADERS: Final[Headers] = []
_NO_PIPELINE: Final[deque[tuple[RequestResponseCycle, ASGI3Application]]] = deque(maxlen=0)
"""Few connections ever have one, and an empty one of its own takes 760 bytes."""
_PROBES: Final = frozenset(path.encode() for path in QUIET)
_REFUSALS: Final[dict[type[HoldfastError], Refusal]] = {
    kind: Refusal(kind(), _CLOSE) for kind in (BadRequest, HeadersTooLarge, RequestTimeout, Unforeseen, UriTooLong)
}
_ALWAYS: Final = frozenset({BadRequest, Unforeseen})
"""What is refused also where refusals are only observed: nothing can be served."""


class Door(Reading):
    """One connection."""

    __slots__ = ("call", "observed", "serving")
    timeout_keep_alive: int
    scope: HTTPScope
    headers: Headers
    pipeline: deque[tuple[RequestResponseCycle, ASGI3Application]]
    cycle: Cycle | None
    idle_since: float | None
    refused: bool

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        accepted: Accepted | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop, accepted)
        self.call: ASGI3Application = cast("ASGI3Application", self.app)
        self.serving: Cycle | None = None
        """The request that is being answered; others of a pipeline wait behind it."""
        self.observed: bool = False
        self.pipeline = _NO_PIPELINE

    # -- what comes in --

    def take(self, version: str) -> None:
        """Begin to serve a request, or let it wait behind the one before it."""
        asked = self._asks()
        if asked and self._turned_away():
            return
        cycle = Cycle(
            self,
            self.scope,
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive() and not self.server_state.draining,
        )
        if version == "1.1":  # a client of 1.0 knows no interim answers
            cast("dict[str, Any]", self.scope)["extensions"] = self._extensions(cycle)
        before, self.cycle = self.cycle, cycle
        if before is None or before.response_complete:
            self._begin(cycle, asked=asked)
        else:
            self.flow.pause_reading()
            self.pipeline = self.pipeline or deque()
            self.pipeline.appendleft((cycle, self.call))

    def _extensions(self, cycle: Cycle) -> dict[str, object]:
        offered: dict[str, object] = {INTERIM: cycle.interim}
        if self.takes_trailers:
            offered["http.response.trailers"] = {}
        return offered

    def whole(self) -> None:
        """The request is whole that was answered already: wait for the next."""
        if self.idle:
            self._await_next()

    @property
    def awaited(self) -> bool:
        """Whether the application waits for more of a body."""
        return self.serving is not None and self.serving.receiving

    # -- what goes out --

    def _begin(self, cycle: Cycle, *, asked: bool = False) -> None:
        self.serving = cycle
        cycle.record = record = begin(cast("dict[str, Any]", cycle.scope), self.gone, self.server_state.trusted)
        gate = self.server_state.gate
        if gate is not None and gate.suspects and self.socket is not None:
            record.waited_s = silent_s(self.socket)
        if self.server_state.timeouts is not None:
            give(record, self.server_state.timeouts)
        if gate is None or record.path in QUIET:
            self.start(cycle)
        else:
            cycle.entrance = entrance = Entrance(gate, self, cycle)
            gate.enter(entrance, asked=asked)

    def start(self, cycle: Cycle) -> None:
        """Serve a request that was let in."""
        cycle.record.admitted = True
        cycle.task = task = self.loop.create_task(cycle.run_asgi(self.call))
        self.tasks.add(task)

    def left(self) -> bool:
        """Whether the client has left, as the kernel knows before we do."""
        return self.gone.gone or (self.socket is not None and client_left(self.socket))

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
        """Wait for the next request, and keep nothing of the last: thousands may wait."""
        self.cycle = self.serving = None
        self.scope, self.headers = _NO_SCOPE, _NO_HEADERS
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
        if self.serving is not None and not self.serving.response_complete:
            self.serving.disconnected = True
            self.serving.message_event.set()
            if self.serving.task is None and self.serving.entrance is not None:
                self.serving.entrance.leave()
        self.gone.leave()
        self.forget_head()
        self.forget_body()
        super().connection_lost(exc)
        self.cycle = self.serving = None  # they lead back here
        self.pipeline.clear()

    @property
    def idle(self) -> bool:
        """Whether nothing that was asked on this connection is unanswered."""
        return self.serving is None or (self.serving.response_complete and not self.pipeline)

    def shutdown(self) -> None:
        """The server drains: an idle connection is kept as long as keep-alive lasts, for one more answer."""
        longer = self.timeout_keep_alive > _LAST_ANSWER_S
        self.timeout_keep_alive = min(self.timeout_keep_alive, _LAST_ANSWER_S)
        if not self.idle:
            newest = self.cycle
            if newest is not None and not newest.response_started:  # a head that has gone out cannot say any more
                newest.keep_alive = False
        elif longer:
            self._unset_keepalive_if_required()
            self._await_next()
        elif self.idle_since is None and not self.transport.is_closing():
            self._await_next()

    # -- refusals --

    def _asks(self) -> bool:
        """Whether this request may be turned away at once: nobody need look at it more closely."""
        gate = self.server_state.gate
        if gate is None or not gate.sheds or gate.distinguishes or self.distinct or self.has_body:
            return False
        idle = self.serving is None or self.serving.response_complete
        return idle and self.url.partition(b"?")[0] not in _PROBES

    def _turned_away(self) -> bool:
        gate = self.server_state.gate
        client = self.client[0] if self.client and not self.server_state.trusted else None
        if gate is None or not gate.turn_away(Priority.NORMAL, lambda: self.url.decode("latin-1"), client):
            return False
        closes = not self.parser.should_keep_alive() or self.server_state.draining
        self.transport.write(self.server_state.turned_away(uuid7(), closes=closes))
        if closes:
            self._close_softly()
        else:
            self._await_next()
        return True

    def drop(self, cycle: Cycle) -> None:
        """Forget a request that was not begun, and whose client has left."""
        self._unmake(cycle)
        self.transport.abort()

    def shed(self, cycle: Cycle) -> None:
        """Refuse a request that was not begun. The connection goes on, unless a body is coming that nobody wants."""
        self._unmake(cycle)
        closes = (cycle.more_body and self.has_body) or not cycle.keep_alive or self.server_state.draining
        self.transport.write(self.server_state.turned_away(cycle.record.id, closes=closes))
        if closes:
            self._close_softly()
        else:
            self.on_response_complete()

    def _unmake(self, cycle: Cycle) -> None:
        cycle.entrance = None
        cycle.let_go()
        cycle.response_started = cycle.response_complete = cycle.record.refused = True
        del cycle.record.scope[SCOPE_KEY]  # the two refer to each other

    def _close_softly(self) -> None:
        """Close after the client has read: what it still sends would else reset the connection, and the answer too."""
        self.refused = True
        self.flow.resume_reading()
        self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def only_observed(self, kind: type[HoldfastError]) -> bool:
        """Whether nothing is refused, only told of: once a connection."""
        if self.server_state.observe and not self.observed:
            self.observed = True
            self.logger.warning("observed: would refuse", extra={"problem": kind.code})
        return self.server_state.observe

    def refuse(self, kind: type[HoldfastError]) -> None:
        """Answer with the problem of `kind`, log it, and close."""
        if kind not in _ALWAYS and self.only_observed(kind):
            return
        self.refused = True
        unanswered = self.serving if self.serving is not None and not self.serving.response_complete else None
        newest = self.cycle
        if unanswered is not None and newest and (unanswered.response_started or newest is not unanswered):
            newest.keep_alive = False  # what came before is answered first; then the connection closes
            self.flow.pause_reading()
            return
        refusal = _REFUSALS[kind]
        record = cast("RequestContext | None", unanswered.scope.get(SCOPE_KEY)) if unanswered is not None else None
        request_id = record.id if record is not None else uuid7()
        self.transport.write(Prepared(refusal).written(request_id, self.server_state.default_headers))
        if record is not None and unanswered is not None:
            record.refused, record.status, record.problem = True, refusal.status, refusal.code
            unanswered.disconnected = True
            unanswered.message_event.set()
        else:
            self._tell(refusal, request_id)
        self.transport.close()

    def _tell(self, refusal: Refusal, request_id: str) -> None:
        """Tell of a request that was refused before it had a context."""
        began = bool(self.url)  # else the parser tells a method that nobody sent
        method = self.parser.get_method().decode("latin-1") if began else ""
        path = self.root_path + self.url.partition(b"?")[0][:_SHOWN_PATH].decode("latin-1") if began else ""
        logs.tell(refused_fact(refusal, request_id, self.client[0] if self.client else None, method, path))
