"""Offload: calculation and blocking calls run elsewhere, so that the event loop goes on. Keeps *responsive*.

The threads and processes are few and belong to the process: what finds none free waits in turn, off the loop, and what
finds too many waiting is refused.
"""

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from typing import ParamSpec, TypeVar

from holdfast.parts.offload import sync
from holdfast.parts.offload.calls import Call, Line, deadline
from holdfast.parts.offload.errors import NotPortable, OffloadFull, ProcessDied
from holdfast.parts.offload.processes import Task, processes
from holdfast.parts.offload.settings import OffloadSettings
from holdfast.parts.offload.threads import threads
from holdfast.parts.offload.walk import Walk
from holdfast.settings import load

P = ParamSpec("P")
T = TypeVar("T")

__all__ = [
    "NotPortable",
    "OffloadFull",
    "OffloadSettings",
    "ProcessDied",
    "configure",
    "iterate",
    "live",
    "numbers",
    "process",
    "thread",
]


async def thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` in a thread and return what it returns; what it raises passes through unchanged.

    It sees the context variables of the caller, so that its log lines carry the request ID; what it sets stays its own.
    When the waiting task is cancelled, a call that has not begun never begins. One that has begun cannot be stopped:
    the task goes on at once, the call keeps its thread until it has really ended, and if it fails then, that is logged.

    Raises OffloadFull where too many wait already, DeadlinePassed where the request is over before it begins.
    """
    call = Call(copy_context(), functools.partial(function, *args, **kwargs), deadline=deadline())
    threads.line.add(call)
    return await call.result()


async def process(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` in a process of its own and return what it returns; what it raises passes through.

    For calculation in Python, and for long calls into C that let no other thread run: there they cost the loop nothing.
    The function is sent by name, so it stands at the top of a module; what it takes, brings and raises is pickled. The
    processes start when they are first needed, and import its module. Lines that it logs come out here, under the
    request's ID; `holdfast.current()` there knows the ID and the deadline, and nothing else of the request.

    When the waiting task is cancelled, a call that has not begun never begins. One that has begun may go on for
    `HOLDFAST_OFFLOAD_GRACE_S`, and keeps its process until then; after that the process is killed, and another takes
    its place.

    Raises NotPortable, ProcessDied (it crashed, or the system killed it for its memory), OffloadFull, DeadlinePassed.
    """
    call = Task(copy_context(), functools.partial(function, *args, **kwargs), deadline=deadline())
    processes.line.add(call)
    try:
        return await call.result()
    except asyncio.CancelledError:
        processes.abandon(call)
        raise


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
    walk = Walk(source, batch)
    context = copy_context()
    ended = began = False
    try:
        while not ended:
            step = Call(context, walk.step, deadline=None if began else deadline())
            threads.line.add(step, always=began)  # what has begun is not refused half-way
            items, error, ended = await step.result()
            began = True
            for item in items:
                yield item
            if error is not None:
                raise error
    except asyncio.CancelledError:
        if walk.leave():
            _closing(walk, context).let_go()
        raise
    finally:
        if walk.leave():
            await _closing(walk, context).result(must_run=True)


def _closing(walk: Walk[T], context: Context) -> Call[None]:
    call = Call(context, walk.close)
    threads.line.add(call, always=True)
    return call


def configure(settings: OffloadSettings) -> None:
    """Use as many threads and processes as `settings` say from now on. Without it, the first call loads them."""
    threads.use(settings)
    processes.use(settings)


@asynccontextmanager
async def live() -> AsyncGenerator[None]:
    """While the block runs, the framework's own threads are bounded and watched; at its end processes are ended."""
    settings = processes.settings or load(OffloadSettings)
    async with sync.watched(settings.sync_threads):
        try:
            yield
        finally:
            await asyncio.to_thread(processes.end)


def numbers() -> dict[str, tuple[float, float]]:
    """How many calls run and how many wait: of `thread`, of `process`, and of the framework's own threads (`sync`)."""
    return {
        "thread": _numbers(threads.started),
        "process": _numbers(processes.started),
        "sync": sync.numbers(),
    }


def _numbers(line: Line | None) -> tuple[float, float]:
    return (line.running, line.waiting) if line is not None else (0, 0)
