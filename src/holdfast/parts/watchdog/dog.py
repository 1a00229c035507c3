"""The loop's side of the watchdog: it notes the time, as long as the loop turns."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from contextvars import Context
from typing import Final

from holdfast.events import LoopBlocked
from holdfast.parts.watchdog.looking import LoopThread, codes
from holdfast.parts.watchdog.settings import WatchdogSettings
from holdfast.parts.watchdog.watcher import Turn, Watcher

_LEAST_S: Final = 0.01


class Watchdog:
    """Watches one event loop."""

    def __init__(self, settings: WatchdogSettings, tell: Callable[[LoopBlocked], None] | None = None) -> None:
        """Watch as `settings` say; `tell` hears of all that held the loop up, in the watchdog's own thread."""
        self._at_least = max(settings.watchdog_ms / 1000, _LEAST_S)
        self._off = not settings.watchdog_ms
        self._every = self._at_least / 2
        self._tell = tell
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._turned = Turn(0.0, 0.0)
        self._end: threading.Lock | None = None
        """Released when there is nothing to watch any more."""

    def start(self) -> None:
        """Watch the event loop that runs here, from now on."""
        if self._off or self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(0, self._begin, context=Context())

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._end is not None:
            self._end.release()
        self._loop = self._timer = self._end = None

    def _begin(self) -> None:
        """Called by the loop itself, so what stands below is the loop."""
        if self._loop is None:
            return
        below = codes(sys._getframe(1))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - its documented name
        self._end = threading.Lock()
        self._end.acquire()
        self._beat()
        thread = LoopThread(self._loop, below)
        watcher = Watcher(thread, lambda: self._turned, self._every, self._at_least, self._end, self._tell)
        threading.Thread(target=watcher.run, name="holdfast-watchdog", daemon=True).start()

    def _beat(self) -> None:
        self._turned = Turn(time.monotonic(), time.thread_time())
        if self._loop is not None:
            self._timer = self._loop.call_later(self._every, self._beat)
