"""Threads for what exports calculate and read from disk while their source or their reader is on the loop."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def _made() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(8, len(os.sched_getaffinity(0)) + 2), "holdfast-export")


_threads = _made()


def _forget() -> None:
    global _threads  # noqa: PLW0603 - a forked child has none of its parent's threads
    _threads = _made()


os.register_at_fork(after_in_child=_forget)


async def run(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` in a thread, with the context of the caller. Waits for its end also when cancelled."""
    call = partial(copy_context().run, function, *args, **kwargs)
    future: asyncio.Future[T] = asyncio.get_running_loop().run_in_executor(_threads, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait({future})
        raise
