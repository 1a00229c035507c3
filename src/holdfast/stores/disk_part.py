"""An upload that is being received on a disk.

Bytes are written behind: while a thread writes some, those that come are gathered for it. A file whose sync has failed
is never synced again: the system reports such a failure once, takes what it could not write for written, and a second
sync would say that all is well. So the part is given up; whoever opens it anew has everything cut off that was not safe
before, which throws away what the system believes of those bytes, and they are sent again.
"""

import asyncio
import errno
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from holdfast.errors import HoldfastError, InsufficientStorage, Unavailable, UploadGone
from holdfast.stores.blobs import Saved
from holdfast.stores.disk_files import Files, How, shut
from holdfast.stores.disk_threads import Threads, heard

T = TypeVar("T")

_LOG = logging.getLogger("holdfast.uploads")
_MOST: Final = 1 << 20
"""So many bytes wait to be written before whoever brings more has to wait too."""
_FLUSH: Final = 16 << 20
"""So much is written before it is brought onto the disk without anybody asking."""
_PIECE: Final = 1 << 20
_COPY: Final = 32 << 20
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def explained(error: BaseException) -> BaseException:
    """What an error of the system means to whoever uploads; it is the cause. Another error stays what it is."""
    if not isinstance(error, OSError):
        return error
    if error.errno in _NO_ROOM:
        meaning: HoldfastError = InsufficientStorage()
    else:
        _LOG.error("the disk failed", extra={"error": errno.errorcode.get(error.errno or 0, "unknown")})
        meaning = Unavailable(headers={"retry-after": "5"})
    meaning.__cause__ = error
    return meaning


class Places:
    """Where the bytes of one upload lie."""

    def __init__(self, folder: Path, upload_id: str) -> None:
        """Below `folder`."""
        self.part: Path = folder / "incoming" / upload_id
        self.whole: Path = folder / upload_id[:2] / upload_id


class DiskPart:
    """One upload, opened; its file is locked until it is closed. The methods are explained in `blobs.Part`."""

    def __init__(self, files: Files, threads: Threads, places: Places, file: int, saved: Saved, *, whole: bool) -> None:
        """`file` is open at `saved.offset` bytes; it is `whole` if it is published already."""
        self._files = files
        self._threads = threads
        self._places = places
        self._file = file
        self._saved = saved.offset
        self._written = saved.offset
        self._taken = saved.offset
        self._flushed = saved.offset
        self._named = saved.offset > 0  # the first sync also brings the name onto the disk
        self._whole = whole
        self._loop = asyncio.get_running_loop()
        self._guard = threading.Lock()  # of the queue, and of whether a thread is at it
        self._queue: list[bytes] = []
        self._writing = False
        self._waiting = 0
        self._syncing = False
        self._synced_here = False
        self._busy = 0
        self._ended: BaseException | None = None
        self._moved = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None

    @property
    def offset(self) -> int:
        """How many bytes it has taken."""
        return self._taken

    async def write(self, pieces: Sequence[bytes]) -> None:
        """Take bytes; wait only while too many are on their way to the disk."""
        self._go_on()
        if self._whole:
            raise UploadGone("This upload has ended.")
        self._taken += sum(map(len, pieces))
        self._write_behind([piece for piece in pieces if piece])
        if self._written - self._flushed >= _FLUSH and not self._syncing:
            self._sync()  # it saves nothing yet, but leaves less to be done when something is to be saved
        await self._until(lambda: self._taken - self._written < _MOST)

    async def sync(self) -> Saved:
        """Make safe what was taken so far."""
        self._go_on()
        target = self._taken
        await self._until(lambda: self._written >= target and not self._syncing)
        if target > self._saved:
            await self._done(self._sync())
        if not self._named:
            await self._done(asyncio.ensure_future(self._threads.sync_folder(self._places.part.parent)))
            self._named = True
        self._go_on()
        self._saved = max(self._saved, target)
        return Saved(target, "")

    async def read(self) -> AsyncGenerator[bytes]:
        """Read what was saved."""
        offset = 0
        while offset < self._saved:
            piece = await self._run(self._files.read, self._file, min(_PIECE, self._saved - offset), offset)
            if not piece:
                raise UploadGone("Bytes that were saved are not there any more.")
            offset += len(piece)
            yield piece

    async def publish(self) -> None:
        """Give the file its own name, durably."""
        await self.sync()
        await self._run(self._published)

    async def cut(self) -> None:
        """Cut off what is behind that which was saved."""
        await self._run(self._files.cut, self._file, self._saved)

    async def add(self, source: Sequence[Path], size: int) -> None:
        """Take the first `size` bytes of another file: the first of `source` that is there.

        What is published has them already.
        """
        if self._whole or not size:
            return
        await self._until(lambda: self._taken == self._written)
        await self._run(self._add, source, size)
        self._taken = self._written = self._taken + size

    async def close(self, why: BaseException) -> None:
        """Write no more, and let go of the file once no thread uses it. Whoever goes on is told `why`."""
        self._ended = self._ended or why
        self._stop_writing()
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        while self._busy:
            self._moved.clear()
            await self._moved.wait()
        await self._threads.run(shut, self._files, self._file)

    # -- in threads --

    def _drain(self) -> None:
        """Write what there is, and what comes meanwhile."""
        while True:
            with self._guard:
                pieces, self._queue = self._queue, []
                if not pieces:
                    self._writing = False
                    return
            self._write(pieces)
            if self._waiting:
                self._loop.call_soon_threadsafe(self._moved.set)

    def _write(self, pieces: Sequence[bytes]) -> None:
        while pieces:
            done = self._files.write(self._file, pieces, self._written)
            if not done:
                raise OSError(errno.EIO, "nothing was written")
            self._written += done
            pieces = behind(pieces, done)

    def _add(self, paths: Sequence[Path], size: int) -> None:
        source = first(self._files, paths)
        if source is None:
            raise UploadGone("A part went away meanwhile.")
        try:
            start = 0
            while start < size and self._ended is None:  # whoever evicts it need not wait for all of it
                done = self._files.copy(source, start, self._file, self._written + start, min(size - start, _COPY))
                if not done:
                    raise UploadGone("A part went away meanwhile.")
                start += done
        finally:
            shut(self._files, source)

    def _published(self) -> None:
        places, files = self._places, self._files
        if not self._whole:
            if not self._synced_here or files.look(self._file).size > self._saved:
                files.cut(self._file, self._saved)
                files.sync(self._file)  # also what was cut off before, perhaps by a process that has died
            files.rename(places.part, places.whole)
            self._whole = True
        files.sync_folder(places.whole.parent)  # also if it was renamed before, perhaps by a process that has died

    # -- on the loop --

    def _go_on(self) -> None:
        if self._ended is not None:
            raise self._ended

    def _write_behind(self, pieces: Sequence[bytes]) -> None:
        with self._guard:
            self._queue += pieces
            begin = bool(self._queue) and not self._writing
            self._writing = self._writing or begin
        if begin:
            self._started(self._threads.start(self._drain))

    def _stop_writing(self) -> None:
        with self._guard:
            self._queue = []

    def _sync(self) -> "asyncio.Future[None]":
        """Sync the file. Of two at a time, one might be told of a failure that is the other's too: so one at a time."""
        self._syncing = True
        self._flushed = self._written
        future = self._started(self._threads.sync(self._file))
        future.add_done_callback(self._synced)
        return future

    def _synced(self, _done: "asyncio.Future[None]") -> None:
        self._syncing = False
        self._synced_here = True

    def _started(self, future: "asyncio.Future[T]") -> "asyncio.Future[T]":
        """Note that a thread uses the file until `future` is done; what fails there ends the part."""
        self._busy += 1
        future.add_done_callback(self._stopped)
        return future

    def _stopped(self, done: "asyncio.Future[T]") -> None:
        self._busy -= 1
        heard(done)
        error = None if done.cancelled() else done.exception()
        if error is not None and self._ended is None:
            self._ended = explained(error)
            self._stop_writing()
        self._moved.set()

    async def _run(self, function: Callable[..., T], *args: object) -> T:
        self._go_on()
        return await self._done(self._started(self._threads.start(function, *args)))

    async def _done(self, future: "asyncio.Future[T]") -> T:
        try:
            return await asyncio.shield(future)
        except OSError as error:
            self._go_on()
            raise explained(error) from error

    async def _until(self, holds: Callable[[], bool]) -> None:
        self._waiting += 1
        try:
            while not holds() or self._ended is not None:
                self._go_on()
                self._moved.clear()
                await self._moved.wait()
        finally:
            self._waiting -= 1


def first(files: Files, paths: Sequence[Path], how: How = "read") -> int | None:
    """Open the first of `paths` that is there."""
    for path in paths:
        try:
            return files.open(path, how)
        except FileNotFoundError:
            continue
    return None


def behind(pieces: Sequence[bytes], size: int) -> Sequence[bytes]:
    """What is left of `pieces` behind their first `size` bytes."""
    for number, piece in enumerate(pieces):
        if size < len(piece):
            return [piece[size:], *pieces[number + 1 :]]
        size -= len(piece)
    return ()
