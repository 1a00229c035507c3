"""The way out: a bounded queue of lines and one thread that writes them in batches.

Whoever logs never waits. When the reader of the pipe is slow or gone, lines are dropped once the queue is full, the
dropped ones are counted, and the count is written as soon as there is room.
"""

import atexit
import fcntl
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

_QUEUE_BYTES: Final = 8 * 1024 * 1024
_BATCH_BYTES: Final = 256 * 1024
_GATHER_S: Final = 0.02
"""How long the writer lets lines gather once one has come. So much can be lost to a kill -9."""
_CLOSE_S: Final = 2.0
_FACT_BYTES: Final = 512
"""What a fact counts for in the queue, beside the texts in it that others chose: about the length of its line."""

Fact = TypeVar("Fact")


class Pipe(Generic[Fact]):
    """Writes lines to a file descriptor from a thread of its own.

    What is queued is a line, or a fact of which `render` makes one in the writer's thread: many at once cost less than
    one at a time between requests. `tell_dropped` makes the line that says how many were dropped. `lock` is a path:
    processes that share the descriptor name the same file, so that no line of one ends up inside a line of another.
    """

    def __init__(
        self, fd: int, tell_dropped: Callable[[int], bytes], render: Callable[[Fact], bytes], *, lock: str | None = None
    ) -> None:
        self._fd = fd
        self._tell_dropped = tell_dropped
        self._render = render
        self._lock_fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC) if lock else None
        self._queue: list[tuple[bytes | Fact, int]] = []
        """What waits, and what each counts for."""
        self._size = 0
        self._dropped = 0
        self.dropped_in_all: int = 0
        """How many lines were dropped since the start."""
        self._guard = threading.Lock()
        self._some = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._after_fork)

    def write(self, line: bytes) -> None:
        """Queue one line, which ends in a newline. Never waits, never raises."""
        self._add(line, len(line))

    def write_fact(self, fact: Fact, texts: int = 0) -> None:
        """Queue a fact, whose line is made later. Never waits, never raises.

        `texts` is how long what others chose in it is, such as a path.
        """
        self._add(fact, _FACT_BYTES + texts)

    def _add(self, item: bytes | Fact, size: int) -> None:
        with self._guard:
            if self._size + size > _QUEUE_BYTES:
                self._dropped += 1
                self.dropped_in_all += 1
                return
            self._queue.append((item, size))
            self._size += size
            first = len(self._queue) == 1
        if first:
            self._idle.clear()
            self._some.set()
            if self._thread is None:
                self._start()

    def flush(self, timeout_s: float = _CLOSE_S) -> bool:
        """Wait until what was queued is written, for at most `timeout_s` seconds. Says whether it was."""
        return self._idle.wait(timeout_s)

    def close(self) -> None:
        """Write what is queued, as far as the reader takes it within two seconds."""
        self._closing.set()
        self._some.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)
        atexit.unregister(self.close)

    def _start(self) -> None:
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="holdfast-logs", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._some.wait()
            if not self._closing.is_set():
                self._closing.wait(_GATHER_S)
            self._some.clear()
            while taken := self._take():
                if not self._put_all(taken):
                    return
            if self._closing.is_set():
                return

    def _take(self) -> list[tuple[bytes | Fact, int]]:
        with self._guard:
            taken, self._queue = self._queue, []
            if not taken:
                self._idle.set()
        return taken

    def _put_all(self, taken: list[tuple[bytes | Fact, int]]) -> bool:
        """Write what was taken, in batches; what waits in it still counts as queued. False once nobody can read it."""
        lines: list[bytes] = []
        size = counted = 0
        for number, (item, weight) in enumerate(taken, 1):
            line = item if isinstance(item, bytes) else self._render(item)
            lines.append(line)
            size += len(line)
            counted += weight
            if size >= _BATCH_BYTES or number == len(taken):
                if not self._put(b"".join([*lines, self._said_dropped()])):
                    return False
                with self._guard:
                    self._size = max(0, self._size - counted)
                lines, size, counted = [], 0, 0
        return True

    def _said_dropped(self) -> bytes:
        with self._guard:
            dropped, self._dropped = self._dropped, 0
        return self._tell_dropped(dropped) if dropped else b""

    def _put(self, batch: bytes) -> bool:
        """Write all of `batch`, however long the reader takes; False once nobody can ever read it."""
        if self._lock_fd is not None:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        try:
            rest = memoryview(batch)
            while rest:
                try:
                    rest = rest[os.write(self._fd, rest) :]
                except BlockingIOError:
                    select.select([], [self._fd], [], 1.0)
                except OSError:
                    return self._give_up(batch.count(b"\n"))
            return True
        finally:
            if self._lock_fd is not None:
                fcntl.flock(self._lock_fd, fcntl.LOCK_UN)

    def _give_up(self, lost: int) -> bool:
        """The reader has gone: from now on lines are counted as dropped, and the server goes on."""
        time.sleep(_GATHER_S)
        with self._guard:
            self.dropped_in_all += lost + len(self._queue)
            self._queue.clear()
            self._size = 0
        return not self._closing.is_set()

    def _after_fork(self) -> None:
        self._queue = []
        self._size = 0
        self._guard = threading.Lock()
        self._some = threading.Event()
        self._thread = None
