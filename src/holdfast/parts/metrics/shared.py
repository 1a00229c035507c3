"""Work that is done once at a time, off the event loop, for all who ask meanwhile."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Calls a function in a thread; who asks while it runs gets the same result."""

    def __init__(self, work: Callable[[], T], name: str) -> None:
        """`work` may block; its thread is called `name`, and keeps no process from ending."""
        self._work = work
        self._name = name
        self._running: asyncio.Future[T] | None = None

    def begin(self) -> asyncio.Future[T]:
        """The result to come. Cancelling it would take it from the others too: await it behind a shield."""
        loop = asyncio.get_running_loop()
        if self._running is None or self._running.get_loop() is not loop:
            self._running = loop.create_future()
            self._running.add_done_callback(self._done)
            threading.Thread(target=self._run, args=(loop, self._running), name=self._name, daemon=True).start()
        return self._running

    def _run(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[T]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have closed meanwhile
            try:
                result = self._work()
            except Exception as error:  # noqa: BLE001 - it is raised where the result is awaited
                loop.call_soon_threadsafe(future.set_exception, error)
            else:
                loop.call_soon_threadsafe(future.set_result, result)

    def _done(self, future: asyncio.Future[T]) -> None:
        self._running = None
        if not future.cancelled():
            future.exception()  # so that a failure for which nobody waits any more is not told as lost
