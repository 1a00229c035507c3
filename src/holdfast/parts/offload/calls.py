"""A call that runs elsewhere, and the line in which calls wait until something is free for them."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context
from typing import Any, Generic, TypeVar

from holdfast.context import current
from holdfast.errors import DeadlinePassed
from holdfast.parts.offload.errors import OffloadFull

T = TypeVar("T")

_LOG = logging.getLogger("holdfast.offload")


class Call(Generic[T]):
    """One function that is to run elsewhere, from when it is asked for to its end."""

    def __init__(self, context: Context, work: Callable[[], T], *, deadline: float | None = None) -> None:
        """`work` is to be called in `context`, unless it is past the `deadline` (of `time.monotonic`) by then."""
        self.context = context
        self.work = work
        self.deadline = deadline
        self.future: Future[T] = Future()
        self.told: bool = False
        """Whether its failure is in the log already."""

    def begins(self) -> bool:
        """Whether it is still wanted. From then on it cannot be taken back."""
        if not self.future.set_running_or_notify_cancel():
            return False
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.future.set_exception(DeadlinePassed())
            return False
        return True

    def run(self) -> None:
        """Do it here, and keep what comes of it. Never raises."""
        if not self.begins():
            return
        try:
            result = self.context.run(self.work)
        except StopIteration as stop:
            # A future cannot carry one: whoever awaits it would wait for ever.
            error = RuntimeError("the function raised StopIteration")
            error.__cause__ = stop
            self.future.set_exception(error)
        except BaseException as error:  # noqa: BLE001 - what it raises is for who waits for it
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    async def result(self, *, must_run: bool = False) -> T:
        """Wait for it. When the wait is cancelled, it leaves the line if it can, unless it `must_run`."""
        waiting = asyncio.wrap_future(self.future)
        try:
            return await (asyncio.shield(waiting) if must_run else waiting)
        except asyncio.CancelledError:
            self.let_go()
            raise

    def let_go(self) -> None:
        """Wait no longer for it, but log its failure, with the caller's context."""
        self.future.add_done_callback(self._report)

    def _report(self, done: Future[T]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None and not self.told:
            self.context.copy().run(_LOG.error, "abandoned call failed", exc_info=error)


def deadline() -> float | None:
    """When the request that is served here has to be over, by `time.monotonic`; None where there is no such time.

    Raises DeadlinePassed.
    """
    record = current()
    found = record.deadline if record is not None else None
    if found is not None and time.monotonic() >= found:
        raise DeadlinePassed
    return found


class Line:
    """Permits, and the calls that wait for one, first come first served."""

    def __init__(self, permits: int, most_waiting: int, begin: Callable[[Call[Any]], None]) -> None:
        """`begin` has a call done elsewhere; whoever does it asks for the `following` one when it has ended."""
        self.permits = permits
        self._free = permits
        self._most = most_waiting
        self._begin = begin
        self._guard = threading.Lock()
        self._waiting: dict[Future[Any], Call[Any]] = {}

    @property
    def running(self) -> int:
        """How many permits are taken: by calls that run, also by those that nobody waits for any more."""
        return self.permits - self._free

    @property
    def waiting(self) -> int:
        """How many calls wait for a permit."""
        return len(self._waiting)

    def add(self, call: Call[Any], *, always: bool = False) -> None:
        """Have `call` done as soon as there is a permit. Raises OffloadFull, unless it is to wait `always`."""
        with self._guard:
            begins = self._free > 0
            if begins:
                self._free -= 1
            elif len(self._waiting) >= self._most and not always:
                raise OffloadFull
            else:
                self._waiting[call.future] = call
        if begins:
            try:
                self._begin(call)
            except BaseException:  # such as no thread to be had
                with self._guard:
                    self._free += 1
                raise
        else:
            call.future.add_done_callback(self._leave)

    def following(self) -> Call[Any] | None:
        """The call that has waited longest, for the permit of one that has ended; None where the permit is free now."""
        with self._guard:
            first = next(iter(self._waiting), None)
            if first is None:
                self._free += 1
                return None
            return self._waiting.pop(first)

    def _leave(self, future: Future[Any]) -> None:
        """A call that was cancelled does not stay in the line, nor in memory."""
        with self._guard:
            self._waiting.pop(future, None)
