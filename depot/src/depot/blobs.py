"""The contents of files, on disk.

A file is written under a temporary name and renamed when it is whole and synced, so that whoever sees its name sees all
of it. Disks block, so what touches one is a plain function that runs in a thread; only what waits for the client, or
for such a thread, is async.

Whoever works on a file holds a lock on it (flock): the upload until the file is in the database, the reader until its
records are. The system releases the lock when the process dies, however it dies. So what is not locked is nobody's, and
no clock is needed to find that out.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import re
import threading
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

from holdfast import InsufficientStorage, TooLarge, offload

_BUFFER: Final = 256 * 1024
_FRESH_S: Final = 60.0
_WHOLE: Final = re.compile(r"[0-9a-f]{32}")
_PART: Final = re.compile(r"\.[0-9a-f]{32}\.part")
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is whole and safe on disk."""

    id: str
    size: int
    sha256: str


class Blobs:
    """A folder of files, each named by its ID. No name from outside ever becomes a path."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        """Keep files of at most `limit` bytes in `folder`, which exists."""
        self._folder = folder
        self._limit = limit

    @asynccontextmanager
    async def arriving(self) -> AsyncGenerator["Arriving"]:
        """Take a file in. It stays if the block ends well after `finish`, and leaves nothing behind otherwise."""
        file = Arriving(self._folder, self._limit)
        kept = False
        try:
            yield file
            kept = file.stored is not None
        except asyncio.CancelledError:
            kept = file.stored is not None  # the database may know it by now; if not, the next start tidies up
            raise
        finally:
            await offload.thread(file.part.close, keep=kept)

    def path(self, file_id: str) -> Path:
        """Where the content of a file is."""
        return self._folder / file_id

    def lock(self, file_id: str) -> BinaryIO | None:
        """Take the lock on a file, to be closed in the end; None if another has it. Raises FileNotFoundError."""
        file = self.path(file_id).open("rb")
        if _lock(file):
            return file
        file.close()
        return None

    def remove(self, file_id: str) -> None:
        """Remove a file; one that is gone already is fine."""
        self.path(file_id).unlink(missing_ok=True)

    def whole(self) -> Iterator[str]:
        """Yield the IDs of the files that are whole; what broken uploads left is removed on the way."""
        oldest = time.time() - _FRESH_S
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if _WHOLE.fullmatch(entry.name):
                    yield entry.name
                elif _PART.fullmatch(entry.name):
                    with suppress(FileNotFoundError):  # it may be whole by now
                        _remove_if_forsaken(Path(entry.path), oldest)


class Arriving:
    """A file that is coming in, a piece at a time."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Take at most `limit` bytes into `folder`; nothing is there before the first piece."""
        self.part = _Part(folder)
        self.limit = limit
        self.stored: Stored | None = None
        self._size = 0
        self._pieces: list[bytes] = []
        self._waiting = 0

    async def write(self, piece: bytes) -> None:
        """Add a piece. Raises TooLarge, InsufficientStorage."""
        self._size += len(piece)
        if self._size > self.limit:
            raise TooLarge(f"Files of at most {self.limit} bytes are taken.")
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting >= _BUFFER:  # a hop to a thread for every packet would cost more than the write
            await self._flush()

    async def finish(self) -> Stored:
        """No more pieces: when this returns, the file is whole, on the disk, and visible under its ID."""
        await self._flush()
        with _no_room_explained():
            sha256 = await offload.thread(self.part.publish)
        self.stored = Stored(self.part.file_id, self._size, sha256)
        return self.stored

    async def _flush(self) -> None:
        pieces, self._pieces, self._waiting = self._pieces, [], 0
        with _no_room_explained():
            await offload.thread(self.part.write, pieces)


class _Part:
    """A file under its temporary name. Its methods block.

    A thread cannot be stopped: when an upload is cancelled in the middle of a write, `close` waits until the write has
    ended, and one that has not yet begun finds the file closed.
    """

    def __init__(self, folder: Path) -> None:
        self.file_id = uuid4().hex
        self._folder = folder
        self._path = folder / f".{self.file_id}.part"
        self._sha256 = hashlib.sha256()
        self._guard = threading.Lock()
        self._file: BinaryIO | None = None
        self._closed = False

    def write(self, pieces: list[bytes]) -> None:
        with self._guard:
            if self._closed:
                return
            if self._file is None:
                self._file = self._path.open("xb")
                _lock(self._file)
            for piece in pieces:
                self._sha256.update(piece)
                self._file.write(piece)

    def publish(self) -> str:
        with self._guard:
            assert self._file is not None  # noqa: S101 - `finish` writes first, if only nothing; for the type checker
            self._file.flush()
            os.fsync(self._file.fileno())
            self._path = self._path.rename(self._folder / self.file_id)
            _sync_folder(self._folder)
            return self._sha256.hexdigest()

    def close(self, *, keep: bool) -> None:
        with self._guard:
            self._closed = True
            if self._file is not None:
                if not keep:
                    self._path.unlink(missing_ok=True)
                self._file.close()  # and the lock with it


def _lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_if_forsaken(path: Path, oldest: float) -> None:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mtime < oldest and _lock(file):  # a new one may be about to be locked
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    # without this the rename itself may be lost with the power
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _no_room_explained() -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise InsufficientStorage from error
        raise
