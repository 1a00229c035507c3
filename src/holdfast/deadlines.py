"""Deadlines: until when the work that is done here is waited for, and what follows from that.

    deadlines.remaining()                          the seconds that are left, or None
    deadlines.headers()                            the same for whoever is asked next
    with deadlines.limit(2): ...                   less time for a block
    async with deadlines.shielded(): ...           no deadline ends what is begun here
    @deadlines.route(timeout_s=120)                another deadline for a route

A deadline is a moment of the monotonic clock, so nothing moves it. All that are kept in an event loop share one timer.
"""

import asyncio
import math
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self, TypeVar

from holdfast.asgi import Scope
from holdfast.context import current
from holdfast.decide.deadlines import HEADER, in_grpc, in_milliseconds, limitless, passed_on
from holdfast.errors import DeadlinePassed

T = TypeVar("T")

_now: Final = time.monotonic
_HEADER_NAME: Final = HEADER.decode().title()
_REST_S: Final = 0.005
"""The timer goes off no more often than this, so that many short deadlines cost no more than a few."""

_limited: ContextVar[float | None] = ContextVar("holdfast_limit", default=None)


# -- how it stands --


def at() -> float | None:
    """When what is done here has to be over, by `time.monotonic()`; None where nothing ends it.

    Once an answer has begun its request has no deadline any more: a stream may last, and so may what follows an answer.
    """
    limit = _limited.get()
    record = current()
    if record is None or record.deadline is None or record.status:
        return limit
    return record.deadline if limit is None else min(limit, record.deadline)


def remaining() -> float | None:
    """The seconds that are left, 0 where the deadline has passed; None where there is none."""
    when = at()
    return None if when is None or when == math.inf else max(0.0, when - _now())


def check() -> None:
    """Raise DeadlinePassed where the deadline has passed: for long calculations, between two steps."""
    if remaining() == 0:
        raise DeadlinePassed


def headers() -> dict[str, str]:
    """The header that tells whoever is asked next how long it has, less what the way takes; none without a deadline."""
    left = remaining()
    return {} if left is None else {_HEADER_NAME: in_milliseconds(passed_on(left))}


def grpc_timeout() -> str | None:
    """The same as the value of `grpc-timeout`; None without a deadline."""
    left = remaining()
    return None if left is None else in_grpc(passed_on(left))


# -- the one timer --


class Watched(Protocol):
    """What a watch looks at."""

    def look(self, now: float) -> float:
        """Do what is due. Returns when to look again, `math.inf` where that is not known."""
        ...


class Watch:
    """One timer for everything in an event loop that has to be ended in time: it goes off for the earliest."""

    __slots__ = ("_due", "_seen", "_timer", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch nothing yet."""
        self.loop: asyncio.AbstractEventLoop = loop
        self._seen: set[Watched] = set()
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watched: Watched, due: float) -> None:
        """Look at it when it is `due`, and whenever the timer goes off."""
        self._seen.add(watched)
        if due < self._due:
            self.look_by(due)

    def remove(self, watched: Watched) -> None:
        """Look at it no more. The timer stays as it is: most of what it was set for ends in time."""
        self._seen.discard(watched)

    def look_by(self, due: float) -> None:
        """Look at everything by then, if not before."""
        if due < self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            self._timer = self.loop.call_later(max(0.0, due - _now()), self._look)

    def _look(self) -> None:
        now = _now()
        self._due = math.inf
        self._timer = None
        due = min([watched.look(now) for watched in tuple(self._seen)], default=math.inf)
        if due != math.inf:
            self.look_by(max(due, now + _REST_S))


class _Here(threading.local):
    watch: Watch | None = None


_here: Final = _Here()


def watch() -> Watch:
    """The watch of the running event loop. Raises RuntimeError where none runs."""
    loop = asyncio.get_running_loop()
    found = _here.watch
    if found is None or found.loop is not loop:
        found = _here.watch = Watch(loop)
    return found


def task_and_watch() -> tuple[asyncio.Task[object] | None, Watch]:
    """The running task, and the watch of its loop."""
    found = _here.watch
    # To be asked with the loop that ran before is several times as fast; where that is another one, it has no task.
    task = asyncio.current_task(found.loop) if found is not None else None
    return (task, found) if found is not None and task is not None else (asyncio.current_task(), watch())


# -- blocks --


def limit(seconds: float) -> "Limit":
    """Give what is in the block `seconds` at most: `with deadlines.limit(2): ...`.

    A task that waits in the block when they are over is cancelled there, and the block raises DeadlinePassed. In a
    thread nothing can be interrupted, but `remaining` knows. A block can only shorten what there is.
    """
    return Limit(seconds)


class Limit:
    """A block with less time; made by `limit`."""

    def __init__(self, seconds: float) -> None:
        """A block of `seconds`."""
        self._seconds = seconds
        self._until = math.inf
        self._before: Token[float | None] | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling: int | None = None

    def __enter__(self) -> Self:
        outer = at()
        self._until = _now() + self._seconds
        if outer is not None and outer <= self._until:
            return self  # what is outside ends it first
        self._before = _limited.set(self._until)
        try:
            self._task = asyncio.current_task()
        except RuntimeError:
            return self
        if self._task is not None:
            watch().add(self, self._until)
        return self

    def look(self, now: float) -> float:
        """Cancel the task where the time is over."""
        if now < self._until:
            return self._until
        if self._task is not None and self._cancelling is None:
            self._cancelling = self._task.cancelling()
            self._task.cancel("the time of a block is over")
        return math.inf

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is None:
            return
        _limited.reset(self._before)
        task, self._task = self._task, None
        if task is None:
            return
        watch().remove(self)
        if self._cancelling is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise DeadlinePassed from None


@asynccontextmanager
async def shielded() -> AsyncGenerator[None]:
    """Let no deadline, and no client that leaves, end what is done in the block: a commit is not cut in the middle.

    What is overdue is ended at its next wait after the block. A shutdown still ends it, and so does whoever else
    cancels the task.
    """
    record = current()
    if record is None:
        yield
        return
    record.shields += 1
    try:
        yield
    finally:
        record.shields -= 1
        watch().look_by(_now())


# -- routes --

_MARK: Final = "__holdfast_deadline__"


class Mark(NamedTuple):
    """What a route says for itself."""

    timeout_s: float | None = None
    """`math.inf` where it has no deadline; None where it says nothing of it."""
    ends_when_client_leaves: bool | None = None


def route(*, timeout_s: float | None = None, ends_when_client_leaves: bool | None = None) -> Callable[[T], T]:
    """Give a route its own deadline, 0 for none, or say whether its work ends when its client has left.

        @app.post("/import")
        @deadlines.route(timeout_s=120, ends_when_client_leaves=True)
        async def take(...): ...

    It is found where the framework puts what it calls into the scope: Starlette, FastAPI and Litestar do. What
    `HOLDFAST_TIMEOUT_ROUTES` says of a path counts before it.
    """
    mark = Mark(None if timeout_s is None else limitless(timeout_s), ends_when_client_leaves)

    def marked(endpoint: T) -> T:
        setattr(endpoint, _MARK, mark)
        return endpoint

    return marked


def endpoint_of(scope: Scope) -> object | None:
    """What the framework is about to call, once it has left that in the scope."""
    found: object | None = scope.get("endpoint")
    if found is None:
        found = getattr(scope.get("route_handler"), "fn", None)  # Litestar's
    return found


def mark_of(endpoint: object) -> Mark | None:
    """What a route says for itself; None where it says nothing."""
    mark = getattr(endpoint, _MARK, None)
    return mark if isinstance(mark, Mark) else None
