"""The contents of files, on disk.

A file is written under a temporary name and renamed when it is whole and synced, so that a name without a dot is always
a whole file. Disks block, so everything here that touches one is a plain function that runs in a thread; only what
waits for the client is async.

Whoever works on a file holds a lock on it (flock): the upload until the file is in the database, the reader until its
records are. The system releases the lock when the process dies, however it dies. So what is not locked belongs to
nobody, and no clock is needed to find out.
"""

import errno
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

from holdfast import InsufficientStorage, TooLarge, offload

_BUFFER: Final = 256 * 1024
_FRESH_S: Final = 60.0
_PART: Final = ".part"
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
        """Keep files of at most `limit` bytes in `folder`, which is made if need be. Blocks for a moment."""
        self._folder = folder
        self._limit = limit
        folder.mkdir(parents=True, exist_ok=True)

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator["Arriving"]:
        """Take a file in. It stays if the block ends well after `finish`, and leaves nothing behind otherwise."""
        file = Arriving(_Part(self._folder), self._limit)
        kept = False
        try:
            yield file
            kept = file.stored is not None
        finally:
            await offload.thread(file.part.close, keep=kept)

    def path(self, file_id: str) -> Path:
        """Where the content of a file is."""
        return self._folder / file_id

    def open_locked(self, file_id: str) -> BinaryIO | None:
        """Open a file to read, unless someone else works on it (None). Closing it lets go. Raises FileNotFoundError."""
        file = self.path(file_id).open("rb")
        if _locked(file.fileno()):
            return file
        file.close()
        return None

    def remove(self, file_id: str) -> None:
        """Remove a file; one that is gone already is fine."""
        self.path(file_id).unlink(missing_ok=True)

    def forsaken(self) -> Iterator[str]:
        """Remove what broken uploads left under temporary names, and yield the IDs of whole files."""
        oldest = time.time() - _FRESH_S
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if not entry.name.endswith(_PART):
                    yield entry.name
                elif entry.stat().st_mtime < oldest:  # a new one may be about to be locked
                    _unlink_unlocked(Path(entry.path))

    def remove_unless(self, file_id: str, wanted: Callable[[], bool]) -> bool:
        """Remove a file that nobody works on, unless it is `wanted`; True if it was removed."""
        ...


class Arriving:
    """A file that is coming in, a piece at a time."""

    def __init__(self, part: "_Part", limit: int) -> None:
        """Collect pieces for `part`."""
        self.part = part
        self.stored: Stored | None = None
        self._limit = limit
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._size = 0

    async def write(self, piece: bytes) -> None:
        """Add a piece. Raises TooLarge, InsufficientStorage."""
        self._size += len(piece)
        if self._size > self._limit:
            raise TooLarge(f"Files of at most {self._limit} bytes are taken.")
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting >= _BUFFER:
            await self._flush()

    async def finish(self) -> Stored:
        """No more pieces: when this returns, the file is whole, synced and visible under its ID."""
        await self._flush()
        with _room_explained():
            sha256 = await offload.thread(self.part.publish)
        self.stored = Stored(self.part.file_id, self._size, sha256)
        return self.stored

    async def _flush(self) -> None:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        with _room_explained():
            await offload.thread(self.part.write, data)
