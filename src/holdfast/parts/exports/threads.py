"""Threads for what exports calculate and read from disk while their source or their reader is on the loop."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def _made() -> tuple[ThreadPoolExecutor, ThreadPoolExecutor]:
    cores = len(os.sched_getaffinity(0))
    return ThreadPoolExecutor(min(8, cores + 2), "holdfast-export"), ThreadPoolExecutor(cores, "holdfast-pack")


_threads, _packing = _made()


def _forget() -> None:
    global _threads, _packing
    _threads, _packing = _made()


os.register_at_fork(after_in_child=_forget)


def start(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Call `function` in another thread, from one of these or any other. It must not wait for one of these."""
    return _packing.submit(function, *args, **kwargs)


async def run(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` in a thread, with the context of the caller. Waits for its end also when cancelled."""
    call = partial(copy_context().run, function, *args, **kwargs)
    future: asyncio.Future[T] = asyncio.get_running_loop().run_in_executor(_threads, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait({future})
        raise
