"""The work for one request: driven as long as it is in time, and ended when it is not.

It is ended by a timer that all share, and when the application is resumed too late, for a timer is late itself where
the event loop is. What streams has no deadline in all, only for how long it may be silent: an answer that has begun, a
body that is still arriving (unless its sender has said how long it waits), a WebSocket.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Generator
from types import CoroutineType
from typing import Any, Final, cast

from holdfast.asgi import ASGIApp, Message, Receive, Send
from holdfast.context import RequestContext
from holdfast.deadlines import Mark, Watch, endpoint_of, mark_of, task_and_watch
from holdfast.decide.deadlines import Timeouts, allowed, ends_when_client_leaves
from holdfast.errors import DeadlinePassed
from holdfast.logs.sampled import Sampled
from holdfast.parts.deadlines.settings import give, of_operator

_LOG = logging.getLogger("holdfast.deadlines")
_now: Final = time.monotonic
_FAREWELL_S: Final = 1.0
"""How long an application that listens for its client's leaving has to end by itself, and one that was cancelled."""
_GLANCES: Final = 4
"""How often a stream is looked at in the time that it may be silent."""
_LOOKS: Final = 4
"""How often it is looked whether the framework has chosen a route."""
_GOING_AWAY: Final = 1001
_MOST_TOLD: Final = 1000
_LATE: Final = "the deadline has passed"
_LEFT: Final = "the client has left"
_SILENT: Final = "it was silent for too long"
_OBSERVED: Final = Sampled(_LOG, "observed: a request would be ended")
_told: Final[set[str]] = set()


class Work:
    """The work for one request. Awaiting it calls the application, and drives it.

    What most requests leave as it is stands on the class, so that a request pays only for what it has of its own.
    """

    why: str | None = None
    """Why it is ended, or would be."""
    settled: bool = False
    """Whether what follows from the end is seen to."""
    _task: asyncio.Task[object] | None = None
    _watch: Watch | None = None
    _hears: Callable[[], None] | None = None
    _cancelling: int | None = None
    _looks: int = _LOOKS
    _arriving: bool = False
    _body_over: bool = False
    _listens: bool = False
    _leave_at: float = math.inf
    _heard: float = 0.0
    _ended_at: float = 0.0
    _bytes_seen: int = 0

    def __init__(self, app: ASGIApp, record: RequestContext, receive: Receive, send: Send, rule: Timeouts) -> None:
        """The work of `app` for the request of `record`, which has a deadline already or is given one now."""
        self.record: RequestContext = record
        self.until: float = record.deadline or give(record, rule)
        """From when on it is not resumed any more; `math.inf` where nothing is to be looked at then."""
        self._app = app
        self._receive = receive
        self._send = send
        self._rule = rule

    def __await__(self) -> Generator[Any, Any, None]:
        made = self._app(self.record.scope, self.receive, self._send)
        call = cast("Any", made if type(made) is CoroutineType else _awaited(made))
        step = call.send
        given: object = None
        try:
            while True:
                waits_for = step(given)
                if self._looks:
                    self._look_around()
                try:
                    given = yield waits_for
                except BaseException as error:  # noqa: BLE001 - whatever it is, it is the application's
                    step, given = call.throw, error
                    continue
                if _now() >= self.until and self._is_over():
                    step, given = call.throw, asyncio.CancelledError(self.why)
                else:
                    step = call.send
        except StopIteration:
            pass
        except (asyncio.CancelledError, Exception) as error:
            if not self.was_ours():
                raise
            yield from self._answer_for(error).__await__()
        finally:
            given = None  # an exception in here refers to this frame: a cycle would be left to the collector
            if self._watch is not None:
                self._forget(self._watch)

    def _look_around(self) -> None:
        """The application waits, as one of the first times: look after it from now on, and for the route it chose."""
        if self._watch is None:
            self._begin()
        self._looks -= 1
        endpoint = endpoint_of(self.record.scope)
        if endpoint is not None:
            self._looks = 0
            self._heed(mark_of(endpoint))

    def _begin(self) -> None:
        record = self.record
        self._task, self._watch = task_and_watch()
        record.client_left.on_leave = self._hears = self.client_left
        self._watch.add(self, min(self.until, record.started + self._rule.idle_s))

    def _forget(self, watching: Watch) -> None:
        watching.remove(self)
        left = self.record.client_left
        if left.on_leave is self._hears:
            left.on_leave = None
        self._hears = None  # it refers to this object: a cycle would leave each request to the collector
        if self.why is not None and self.was_ours():
            self.record.problem = None  # the application has answered something else
            tell_swallowed(self.record)

    async def _answer_for(self, error: BaseException) -> None:
        """Raise DeadlinePassed for what was ended, unless there is nobody to be told, or it was told already."""
        if not (self.record.client_left.gone or self.record.ended):
            raise DeadlinePassed from error

    # -- what is heard --

    async def receive(self) -> Message:
        """What the application receives. Who asks for more than the body wants to hear of the client's leaving."""
        self._listens = True
        message = await self._receive()
        if message["type"] == "http.request":
            self._listens = False
            if message.get("more_body", False):
                self._heard = _now()
                self._arrives()
            elif not self._body_over:
                self._body_over = True
                self._has_arrived()
        return message

    def _arrives(self) -> None:
        """A piece of the body has come: as long as more do, only silence is too long."""
        if self._arriving or self._is_fixed():
            return
        self._arriving = True
        self._move(math.inf)
        self._look_by(self._heard + self._rule.idle_s)

    def _is_fixed(self) -> bool:
        """Whether the sender waits no longer, however long its body takes."""
        record = self.record
        return record.asked_s is not None and record.started - record.waited_s + record.asked_s <= self.until + 0.001

    def _has_arrived(self) -> None:
        """The body is whole. If it took more than a moment, the time for the answer begins now."""
        if not self._arriving:
            return
        self._arriving = False
        if self.why is None:
            record = self.record
            self._move(give(record, self._rule) + _now() - record.started + record.waited_s)
            self._looks = _LOOKS  # the route's own deadline is to be counted from now on, too

    def _heed(self, mark: Mark | None) -> None:
        """Heed what the chosen route says for itself, unless the operator says something of it."""
        record, rule = self.record, self._rule
        if mark is None or mark.timeout_s is None or self._arriving or self.why is not None:
            return
        if of_operator(record, rule) is not None:
            return
        usual = give(record, rule)
        seconds = allowed(mark.timeout_s, record.asked_s, trusted=record.trusted_peer, ceiling_s=rule.ceiling_s)
        began = record.started - record.waited_s
        later = self.until - usual if usual < math.inf else 0.0  # what the body has taken
        self._move(began + later + seconds)

    def _move(self, deadline: float) -> None:
        self.until = deadline
        if not self._rule.observes and not self.record.status:
            self.record.deadline = deadline
        self._look_by(deadline)

    def _look_by(self, due: float) -> None:
        if self._watch is not None:
            self._watch.look_by(due)

    def client_left(self) -> None:
        """The client has left: end the work at once, or in a moment where somebody in the application hears of it."""
        record = self.record
        if record.ended or self.why is not None:
            return
        endpoint = endpoint_of(record.scope)
        mark = mark_of(endpoint) if endpoint is not None else None
        if not ends_when_client_leaves(record.method, mark and mark.ends_when_client_leaves):
            return
        self._leave_at = _now()
        if self._listens:
            self._leave_at += _FAREWELL_S
        if self._listens or record.shields:
            self._look_by(self._leave_at)
        else:
            self._end(_LEFT)

    # -- what is due --

    def look(self, now: float) -> float:
        """The timer has gone off: end this work where it is time. Returns when to look again."""
        record = self.record
        if record.ended or record.shields:
            return math.inf  # nobody waits for what follows an answer; the end of a shield has us look again
        if self.why is not None:
            return self._look_after(now)
        if now >= self._leave_at:
            self._end(_LEFT)
        elif record.status or self._arriving:
            return min(self._leave_at, self._listen(now))
        elif now >= self.until and not self._has_more(now):
            self._end(_LATE)
        return min(self.until, self._leave_at) if self.why is None else now + _FAREWELL_S

    def _has_more(self, now: float) -> bool:
        """Whether the route that was chosen meanwhile gives it more time."""
        if self._looks:
            self._looks = 1
            self._look_around()
        return now < self.until

    def _listen(self, now: float) -> float:
        """Look whether a stream goes on."""
        sent = self.record.bytes_out
        if sent != self._bytes_seen or not self._heard:
            self._bytes_seen = sent
            self._heard = now
        silent_until = self._heard + self._rule.idle_s
        if now < silent_until:
            return min(silent_until, now + self._rule.idle_s / _GLANCES)
        self._end(_SILENT)
        return now + _FAREWELL_S

    def _look_after(self, now: float) -> float:
        """It was ended: a moment later it should have gone."""
        if self.settled:
            return math.inf
        if now < self._ended_at + _FAREWELL_S:
            return self._ended_at + _FAREWELL_S
        tell_swallowed(self.record)
        return math.inf

    # -- the end --

    def _is_over(self) -> bool:
        """The application is about to be resumed when its time is over: whether it is ended instead."""
        if self.record.shields:
            return False
        if self.record.status or self.why is not None:
            self.until = math.inf
            return False
        return self._judge(_LATE)

    def _end(self, why: str) -> None:
        if self._judge(why) and self._task is not None:
            self._cancelling = self._task.cancelling()
            self._task.cancel(why)

    def _judge(self, why: str) -> bool:
        """Note that it is to be ended. Returns whether it really is."""
        self.why = why
        self.until = math.inf
        self._ended_at = _now()
        if self._rule.observes:
            self.settled = True
            _OBSERVED.happened({"why": why, "path": self.record.path, "request": self.record.id})
            return False
        self.record.problem = None if why is _LEFT else DeadlinePassed.code
        self._look_by(self._ended_at + _FAREWELL_S)
        return True

    def was_ours(self) -> bool:
        """Whether what the application ended with comes of our ending it, and of nobody else's. Asked once."""
        if self.why is None or self.settled:
            return False
        self.settled = True
        return self._cancelling is None or self._task is None or self._task.uncancel() <= self._cancelling


async def _awaited(call: Awaitable[None]) -> None:
    await call


class Talk(Work):
    """The work for one WebSocket: a deadline until it is accepted, then only silence is too long."""

    def __init__(self, app: ASGIApp, record: RequestContext, receive: Receive, send: Send, rule: Timeouts) -> None:
        """The work of `app` for the WebSocket of `record`."""
        super().__init__(app, record, receive, self.send, rule)
        self._pass = send

    async def receive(self) -> Message:
        """What the application receives."""
        message = await self._receive()
        self._heard = _now()
        return message

    async def send(self, message: Message) -> None:
        """What the application sends."""
        self._heard = _now()
        await self._pass(message)

    def client_left(self) -> None:
        """The application is told as it receives, and may have much to do then."""

    def _forget(self, watching: Watch) -> None:
        super()._forget(watching)
        self._send = self._pass

    async def _answer_for(self, error: BaseException) -> None:
        record = self.record
        record.error = DeadlinePassed()
        if not record.status:
            raise record.error from error
        await self._pass({"type": "websocket.close", "code": _GOING_AWAY, "reason": "silent for too long"})


def tell_swallowed(record: RequestContext) -> None:
    """Tell once for each route of an application that does not stop when it is cancelled."""
    route = record.route or record.path
    if route not in _told and len(_told) < _MOST_TOLD:
        _told.add(route)
        _LOG.warning(
            "the application goes on although it was cancelled: it catches CancelledError, or waits where nothing can",
            extra={"route": route, "request": record.id, "error": DeadlinePassed.code},
        )
