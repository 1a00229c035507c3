"""Where a process stands: its main thread, and the tasks that wait for something."""

import asyncio
import gc
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final, cast

_LOG = logging.getLogger("holdfast.serve")
_OURS: Final = Path(__file__).parent
_FRAMES: Final = 8
_LINES: Final = 24


class Patience:
    """Says once that a start takes long, and where it stands. For a process that no supervisor looks after."""

    def __init__(self, limit_s: float) -> None:
        """Begin to wait: after `limit_s` seconds it is said."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop, once there is one."""
        self._limit_s = limit_s
        self._timer = threading.Timer(limit_s, self._tell)
        self._timer.daemon = True
        self._timer.start()

    def over(self) -> None:
        """It serves, or has failed: nothing is to be said any more."""
        self._timer.cancel()

    def _tell(self) -> None:
        said = {"limit_s": self._limit_s, "setting": "HOLDFAST_START_LIMIT_S"}
        tasks = of_tasks(self.loop) if self.loop is not None else ""
        _LOG.error("the start takes long: it does not serve yet", extra=said | {"stack": of_main_thread() + tasks})


def of_main_thread() -> str:
    """Where the main thread is, innermost first, a line for each frame."""
    frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - its documented name
    frame = frames.get(threading.main_thread().ident or 0)
    lines: list[str] = []
    while frame is not None and len(lines) < _FRAMES:
        lines.append(_line(frame))
        frame = frame.f_back
    return "".join(lines)


def of_tasks(loop: asyncio.AbstractEventLoop) -> str:
    """Where the tasks of `loop` wait, innermost first; of each the name, and a line for each frame. Without our own."""
    lines: list[str] = []
    for task in list(asyncio.all_tasks(loop)):
        frames = list(_awaiting(task.get_coro()))
        if frames and Path(frames[0].f_code.co_filename).parent != _OURS and len(lines) < _LINES:
            lines += [f"{task.get_name()} waits:\n", *(_line(frame) for frame in reversed(frames[-_FRAMES:]))]
    return "".join(lines)


def _awaiting(awaitable: object) -> Iterator[FrameType]:
    """The frames of a coroutine and of what it awaits, outermost first."""
    while awaitable is not None:
        for kind in ("cr", "gi", "ag"):
            frame = cast("FrameType | None", getattr(awaitable, f"{kind}_frame", None))
            if frame is not None:
                yield frame
                awaitable = getattr(awaitable, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                break
        else:  # a step of an asynchronous generator does not tell of which, but refers to it
            awaitable = next((other for other in gc.get_referents(awaitable) if hasattr(other, "ag_frame")), None)


def _line(frame: FrameType) -> str:
    return f'File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_qualname}\n'
