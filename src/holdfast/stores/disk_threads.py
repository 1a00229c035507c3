"""Threads for what blocks on a disk, and syncs that are done together.

A sync takes as long for one file as for many: the disk flushes what it has. So those that are asked for while others
run wait in line, and each thread takes its share of the line at once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from holdfast.stores.disk_files import Files, shut

P = ParamSpec("P")
T = TypeVar("T")

_PIECE: Final = 1 << 20
_SYNCING: Final = 16
_SHARE: Final = 32
"""So many files are synced by a thread before their owners hear of it."""


class Threads:
    """The threads of one store. They start when they are needed."""

    def __init__(self, files: Files, working: int) -> None:
        """`working` of them read and write at the same time; others sync."""
        self._files = files
        self._work = ThreadPoolExecutor(working, "holdfast-disk")
        self._sync = ThreadPoolExecutor(_SYNCING, "holdfast-sync")
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._running = 0
        self._folders: dict[Path, asyncio.Future[None]] = {}
        self._rounds: dict[Path, asyncio.Future[None]] = {}

    def close(self) -> None:
        """Let the threads end as soon as they are idle."""
        self._work.shutdown(wait=False)
        self._sync.shutdown(wait=False)

    def start(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Call `function` in a thread. It runs to its end, whoever waits for it."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._work, lambda: function(*args, **kwargs))

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a thread and wait for it. It runs to its end also if the wait is cancelled."""
        future = self.start(function, *args, **kwargs)
        future.add_done_callback(heard)
        return await asyncio.shield(future)

    async def hold(self, take: Callable[[], T], let_go: Callable[[T], object]) -> T:
        """Call `take` in a thread and wait for what it brings. If the wait is cancelled, that is let go of."""

        def left(done: "asyncio.Future[T]") -> None:
            heard(done)
            if not done.cancelled() and done.exception() is None:
                self.start(let_go, done.result()).add_done_callback(heard)

        future = self.start(take)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(left)
            raise

    async def pieces(self, file: int, start: int, end: int | None) -> AsyncGenerator[bytes]:
        """Read an open file from `start` up to `end` or its own end, and close it."""
        reading: asyncio.Future[bytes] | None = None
        try:
            while end is None or start < end:
                size = _PIECE if end is None else min(_PIECE, end - start)
                reading = self.start(self._files.read, file, size, start)
                piece = await asyncio.shield(reading)
                if not piece:
                    return
                start += len(piece)
                yield piece
        finally:
            if reading is None or reading.done():
                self._leave(file)
            else:  # the reader was cancelled; a thread still reads
                reading.add_done_callback(lambda _: self._leave(file))

    def _leave(self, file: int) -> None:
        try:
            self.start(shut, self._files, file)
        except RuntimeError:  # the threads have ended
            shut(self._files, file)

    def sync(self, file: int) -> "asyncio.Future[None]":
        """Sync an open file. It has to stay open until this is done."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((file, done))
        self._next()
        return done

    def _next(self) -> None:
        while self._line and self._running < _SYNCING:
            share = min(_SHARE, -(-len(self._line) // (_SYNCING - self._running)))
            taken = [self._line.popleft() for _ in range(share)]
            self._running += 1
            future = asyncio.get_running_loop().run_in_executor(self._sync, self._synced, [file for file, _ in taken])
            future.add_done_callback(lambda done, taken=taken: self._told(done, [owner for _, owner in taken]))

    def _synced(self, taken: list[int]) -> list[BaseException | None]:
        """In a thread: sync each; what each failed with."""
        return [_failure(self._files.sync, file) for file in taken]

    def _told(self, done: "asyncio.Future[list[BaseException | None]]", owners: "list[asyncio.Future[None]]") -> None:
        self._running -= 1
        for owner, error in zip(owners, done.result(), strict=True):
            if owner.cancelled():
                continue
            if error is None:
                owner.set_result(None)
            else:
                owner.set_exception(error)
        self._next()

    async def sync_folder(self, folder: Path) -> None:
        """Sync the names in a folder, with everybody who asks while an earlier round of it runs."""
        waiting = self._rounds.get(folder)
        if waiting is None:
            waiting = asyncio.ensure_future(self._round(folder, self._folders.get(folder)))
            self._rounds[folder] = waiting
            waiting.add_done_callback(heard)
        await asyncio.shield(waiting)

    async def _round(self, folder: Path, before: "asyncio.Future[None] | None") -> None:
        if before is not None:
            await asyncio.wait({before})
        self._folders[folder] = self._rounds.pop(folder)  # who comes from now on needs another round
        try:
            await self.run(self._files.sync_folder, folder)
        finally:
            if folder not in self._rounds:
                del self._folders[folder]


def heard(future: "asyncio.Future[T]") -> None:
    """A callback: what a future failed with is not lost on nobody, though whoever waited has gone."""
    if not future.cancelled():
        future.exception()


def _failure(sync: Callable[[int], None], file: int) -> BaseException | None:
    try:
        sync(file)
    except Exception as error:  # noqa: BLE001 - whoever asked for it gets it
        return error
    return None
