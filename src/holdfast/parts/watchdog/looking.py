"""The thread of an event loop, as another thread sees it."""

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextvars import Context
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from holdfast.decide.watchdog import Frame, Moment

_DEPTH: Final = 60
_BYTES: Final = 128
_SELECT: Final = sys.modules["selectors"].__file__


class Seen(NamedTuple):
    """What stands on the loop's thread at one moment."""

    stack: tuple[Frame, ...]
    """The lines that the loop has called, the innermost first."""
    context: Context | None
    """The context variables of the task that runs."""


class LoopThread:
    """The thread of an event loop. To be made in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, below: Mapping[int, CodeType]) -> None:
        """What runs in `below`, as `codes` gives it, is the loop itself."""
        self._loop = loop
        self._ident = threading.get_ident()
        self._below = below
        self._clock = time.pthread_getcpuclockid(self._ident)
        self._schedule = _opened(f"/proc/self/task/{threading.get_native_id()}/schedstat")

    def look(self) -> tuple[int, Seen]:
        """What stands there now, and the identity of the step that does; 0: the loop waits for something to do."""
        frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - its documented name
        task: asyncio.Task[Any] | None = asyncio.current_task(self._loop)
        stack, outermost = self._stack(frames.get(self._ident))
        if task is None and (not stack or (len(stack) == 1 and stack[0].file == _SELECT)):
            return 0, Seen((), None)
        return id(task) if task is not None else outermost, Seen(stack, _context_of(task))

    def moment(self) -> Moment:
        """What it has done by now; where the system does not tell what it wanted, that is what it had."""
        now, cpu = time.monotonic(), time.clock_gettime(self._clock)
        if self._schedule is None:
            return Moment(now, cpu, cpu)
        used, waited, _ = os.pread(self._schedule, _BYTES, 0).split()
        return Moment(now, cpu, (int(used) + int(waited)) / 1e9)

    def close(self) -> None:
        """Look no more."""
        if self._schedule is not None:
            os.close(self._schedule)
            self._schedule = None

    def _stack(self, innermost: FrameType | None) -> tuple[tuple[Frame, ...], int]:
        """The frames that the loop has called, and the identity of the outermost of them."""
        stack: list[Frame] = []
        frame, outermost = innermost, 0
        while frame is not None and len(stack) < _DEPTH and id(frame.f_code) not in self._below:
            code = frame.f_code
            stack.append(Frame(code.co_filename, frame.f_lineno, code.co_qualname))
            outermost = id(frame)
            frame = frame.f_back
        return tuple(stack), outermost


def _opened(file: str) -> int | None:
    """A descriptor, which costs less than opening the file at each look; None where there is no such file."""
    try:
        found = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    if os.pread(found, _BYTES, 0).count(b" ") == 2:
        return found
    os.close(found)
    return None


def codes(frame: FrameType | None) -> dict[int, CodeType]:
    """The code of a frame and of all that have called it, by its identity."""
    found: dict[int, CodeType] = {}
    while frame is not None:
        found[id(frame.f_code)] = frame.f_code
        frame = frame.f_back
    return found


def _context_of(task: "asyncio.Task[Any] | None") -> Context | None:
    """The context variables of a task as they are now. Before Python 3.12 it does not tell, but refers to them."""
    if task is None:
        return None
    if sys.version_info >= (3, 12):
        return task.get_context().copy()
    return next((found.copy() for found in gc.get_referents(task) if isinstance(found, Context)), None)
