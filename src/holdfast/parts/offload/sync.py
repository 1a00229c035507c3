"""The threads in which frameworks run synchronous handlers: AnyIO's, bounded and watched.

Starlette, FastAPI and Litestar use them. A framework that does not know AnyIO, such as Django, has threads of its own.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

_LOG = logging.getLogger("holdfast.offload")
_LOOK_S: Final = 1.0
_LONG_S: Final = 2.0
"""Handlers that wait for this long without a pause are told of."""
_QUIET_S: Final = 60.0
"""How long nothing more is said after that."""


class _Watched:
    """The limiter of AnyIO on one event loop."""

    def __init__(self, threads: int) -> None:
        from anyio.to_thread import current_default_thread_limiter  # noqa: PLC0415 - where an application uses it

        self.limiter = current_default_thread_limiter()
        self.limiter.total_tokens = threads
        self._threads = threads
        self._since: float | None = None
        self._told = float("-inf")

    def look(self, now: float) -> None:
        """Say that handlers wait, if they have for long."""
        waiting = self.limiter.statistics().tasks_waiting
        if not waiting:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= _LONG_S and now - self._told >= _QUIET_S:
            self._told = now
            said = {"waiting": waiting, "threads": self._threads, "setting": "HOLDFAST_OFFLOAD_SYNC_THREADS"}
            _LOG.warning("synchronous handlers wait for a thread", extra=said)


_watched: list[_Watched] = []


@asynccontextmanager
async def watched(threads: int) -> AsyncGenerator[None]:
    """While the block runs, AnyIO on this event loop has `threads`, and it is told when they are too few.

    Nothing happens where no module of the application has imported AnyIO.
    """
    if "anyio" not in sys.modules:
        yield
        return
    found, loop = _Watched(threads), asyncio.get_running_loop()

    def look() -> None:
        nonlocal timer
        found.look(loop.time())
        timer = loop.call_later(_LOOK_S, look)

    timer = loop.call_later(_LOOK_S, look)
    _watched.append(found)
    try:
        yield
    finally:
        _watched.remove(found)
        timer.cancel()


def numbers() -> tuple[float, float]:
    """How many such handlers run, and how many wait."""
    found = [one.limiter.statistics() for one in _watched]
    return sum(one.borrowed_tokens for one in found), sum(one.tasks_waiting for one in found)
