"""The threads of this process; they start when they are first needed."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from holdfast.parts.offload.calls import Call, Line
from holdfast.parts.offload.settings import OffloadSettings
from holdfast.settings import load


class _Pool:
    """So many threads, and the line before them. A thread keeps its permit until what it does has really ended."""

    def __init__(self, settings: OffloadSettings) -> None:
        self.line: Line = Line(settings.threads, settings.queue, self._begin)
        self.executor = ThreadPoolExecutor(settings.threads, "holdfast-offload")

    def _begin(self, call: Call[Any]) -> None:
        self.executor.submit(self._work, call)

    def _work(self, call: Call[Any]) -> None:
        following: Call[Any] | None = call
        while following is not None:
            following.run()
            following = self.line.following()


class Threads:
    """The threads that are used now."""

    def __init__(self) -> None:
        """None yet."""
        self.forget()

    def forget(self) -> None:
        """Begin anew, in a process that was forked: it would inherit the records, but none of the threads."""
        self._guard = threading.Lock()
        self._pool: _Pool | None = None

    def use(self, settings: OffloadSettings) -> None:
        """Use as many as `settings` say. Those that there were finish what they have, and what waits for them."""
        with self._guard:
            self._pool = _Pool(settings)  # an executor that nothing refers to any more ends its threads

    @property
    def line(self) -> Line:
        """Where calls go to."""
        with self._guard:
            self._pool = self._pool or _Pool(load(OffloadSettings))
            return self._pool.line

    @property
    def started(self) -> Line | None:
        """The line, if any thread was ever needed."""
        return self._pool.line if self._pool is not None else None


threads: Threads = Threads()
os.register_at_fork(after_in_child=threads.forget)
