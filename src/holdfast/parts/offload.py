"""Offload: calculation and blocking calls run in threads, so that the event loop goes on. Keeps *responsive*.

The threads are few and belong to the process: what finds none free waits in turn, off the loop.
"""

import asyncio
import dataclasses
import functools
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Annotated, Generic, ParamSpec, TypeVar

from holdfast.settings import Settings, load, option

P = ParamSpec("P")
T = TypeVar("T")

_LOG = logging.getLogger("holdfast.offload")


class OffloadSettings(Settings, prefix="HOLDFAST_OFFLOAD", title="offload"):
    """The threads for calculation and blocking calls."""

    threads: Annotated[
        int, option("How many functions run at the same time.", ge=1, le=1024, default="processors + 4, at most 32")
    ] = dataclasses.field(default_factory=lambda: min(32, len(os.sched_getaffinity(0)) + 4))


async def thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` in a thread and return what it returns; what it raises passes through unchanged.

    It sees the context variables of the caller, so that its log lines carry the request ID; what it sets stays its own.
    When the waiting task is cancelled, a call that has not begun never begins. One that has begun cannot be stopped:
    the task goes on at once, the call keeps its thread until it has really ended, and if it fails then, that is logged.
    """
    context = copy_context()
    return await _result(_threads.submit(context, functools.partial(function, *args, **kwargs)), context)


async def iterate(source: Iterable[T] | Callable[[], Iterable[T]], /, batch: int = 1) -> AsyncGenerator[T, None]:
    """Walk through an iterator, or what a generator function makes, in a thread, `batch` items at a time.

    One item is a hop to a thread and back (about 0.1 ms), so small items want a larger `batch`; that many are held in
    memory. No thread is held between the steps. The iterator's `close` is called in a thread as well: at the end, after
    an error, and on leaving early. Use it inside `contextlib.aclosing`, for without that Python leaves a loop that is
    broken off to the garbage collector:

        async with aclosing(offload.iterate(read_lines, batch=500)) as lines:
            async for line in lines: ...

    A task that is cancelled during a step goes on at once; the iterator is closed when the step has ended.
    """
    walk = _Walk(source, batch)
    context = copy_context()
    ended = False
    try:
        while not ended:
            items, error, ended = await _result(_threads.submit(context, walk.step), context)
            for item in items:
                yield item
            if error is not None:
                raise error
    except asyncio.CancelledError:
        if walk.leave():
            _let_go(_threads.submit(context, walk.close), context)
        raise
    finally:
        if walk.leave():
            await _result(_threads.submit(context, walk.close), context, must_run=True)


class _Walk(Generic[T]):
    """An iterator that is advanced by one thread at a time, and closed once by whichever is the last to need it."""

    def __init__(self, source: Iterable[T] | Callable[[], Iterable[T]], batch: int) -> None:
        self._source = source
        self._batch = batch
        self._iterator: Iterator[T] | None = source if isinstance(source, Iterator) else None
        self._guard = threading.Lock()
        self._stepping = False
        self._left = False
        self._closed = False

    def step(self) -> tuple[list[T], Exception | None, bool]:
        """In a thread: take the next items; say what failed after them, and whether they were the last."""
        with self._guard:
            if self._left:
                return [], None, True
            self._stepping = True
        items: list[T] = []
        ended = True
        try:
            try:
                ended = self._take(items)
            finally:
                with self._guard:
                    self._stepping = False
                    self._closed = ended or self._left
                if self._closed:
                    self.close()
        except Exception as error:
            if self._left:
                raise
            return items, error, True
        return items, None, ended

    def leave(self) -> bool:
        """On the loop: want no more steps. True if the caller has to see to `close`, for nobody else will."""
        with self._guard:
            alone = not (self._left or self._stepping or self._closed)
            self._left = True
        return alone

    def close(self) -> None:
        """In a thread: close the iterator if it can be closed."""
        close = getattr(self._iterator, "close", None)
        if callable(close):
            close()

    def _take(self, items: list[T]) -> bool:
        if self._iterator is None:
            self._iterator = iter(self._source() if callable(self._source) else self._source)
        for _ in range(self._batch):
            try:
                items.append(next(self._iterator))
            except StopIteration:
                return True
        return False


# -- the threads --


class _Threads:
    """The threads of this process; they start when they are first needed."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._guard = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def use(self, settings: OffloadSettings) -> None:
        with self._guard:
            before, self._pool = self._pool, _started(settings)
        if before is not None:
            before.shutdown(wait=False)

    def submit(self, context: Context, work: Callable[[], T]) -> Future[T]:
        with self._guard:
            self._pool = self._pool or _started(load(OffloadSettings))
            return self._pool.submit(context.run, _called, work)


def _started(settings: OffloadSettings) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(settings.threads, "holdfast-offload")


_threads = _Threads()
# A forked child would inherit the pool's records, but none of its threads.
os.register_at_fork(after_in_child=_threads.forget)


def configure(settings: OffloadSettings) -> None:
    """Use as many threads as `settings` say from now on. Without it, the first call loads them."""
    _threads.use(settings)


def _called(work: Callable[[], T]) -> T:
    try:
        return work()
    except StopIteration as stop:
        # A future cannot carry one: whoever awaits it would wait for ever.
        raise RuntimeError("the function raised StopIteration") from stop


async def _result(future: Future[T], context: Context, *, must_run: bool = False) -> T:
    """Wait for `future`. When the wait is cancelled, it leaves the queue if it can, unless it `must_run`."""
    waiting = asyncio.wrap_future(future)
    try:
        return await (asyncio.shield(waiting) if must_run else waiting)
    except asyncio.CancelledError:
        _let_go(future, context)
        raise


def _let_go(future: Future[T], context: Context) -> None:
    """Wait no longer for `future`, but log its failure, with the caller's context."""

    def report(done: Future[T]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            context.copy().run(_LOG.error, "abandoned call failed", exc_info=error)

    future.add_done_callback(report)
