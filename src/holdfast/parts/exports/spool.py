"""What waits for a slow reader, on disk: in files without names, so that nothing is left behind, whatever happens."""

import errno
import logging
import os
import threading
from collections import deque
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

_LOG = logging.getLogger("holdfast.exports")
_SEGMENT: Final = 16 * 1024 * 1024
"""A file holds so much, and is gone once that is read."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Room:
    """How many bytes all spools of a process may have together."""

    def __init__(self) -> None:
        """Nothing is taken."""
        self._guard = threading.Lock()
        self.taken: int = 0
        """Bytes that are on disk, or on their way."""

    def take(self, size: int, most: int) -> bool:
        """Take `size` bytes if no more than `most` are taken then."""
        with self._guard:
            fits = self.taken + size <= most
            self.taken += size if fits else 0
        return fits

    def give_back(self, size: int) -> None:
        """Let others have them."""
        with self._guard:
            self.taken -= size


ROOM: Final = Room()


class Spool:
    """Blocks of one export on disk, first in, first out. Its methods block; one thread writes, one reads."""

    def __init__(self, folder: Path, most: int, most_of_all: int, room: Room = ROOM) -> None:
        """At most `most` bytes in `folder`; `most_of_all` for everything that shares `room`."""
        self._folder = folder
        self._most = most
        self._most_of_all = most_of_all
        self._room = room
        self._guard = threading.Lock()
        self._segments: deque[tuple[IO[bytes], int]] = deque()
        """Files that are full, with their sizes, the oldest first."""
        self._newest: IO[bytes] | None = None
        self._written = 0
        self._read = 0
        self._closed = False
        self.waiting: int = 0
        """Bytes that are not read yet."""

    def put(self, block: bytes) -> bool:
        """Write a block; False where it finds no room, also because the disk is full."""
        with self._guard:
            if self._closed or self.waiting + len(block) > self._most:
                return False
            if not self._room.take(len(block), self._most_of_all):
                return False
            try:
                self._write(block)
            except OSError as error:  # full, as a rule; with any other failure too, the rows can wait for their reader
                self._room.give_back(len(block))
                if error.errno not in _NO_ROOM:
                    self._most = 0  # it is not tried again, and not told again
                    _LOG.warning("the spool of exports failed", exc_info=error)
                return False
            self.waiting += len(block)
            return True

    def _write(self, block: bytes) -> None:
        if self._newest is None:
            self._newest = TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed when it is read
            self._written = 0
        view = memoryview(block)
        done = 0
        try:
            while done < len(view):
                done += os.pwrite(self._newest.fileno(), view[done:], self._written + done)
        except OSError:
            os.ftruncate(self._newest.fileno(), self._written)
            raise
        self._written += len(block)
        if self._written >= _SEGMENT:
            self._segments.append((self._newest, self._written))
            self._newest = None

    def take(self, size: int) -> bytes:
        """The next bytes, at most `size`; none if nothing waits."""
        with self._guard:
            file, end = self._segments[0] if self._segments else (self._newest, self._written)
            if file is None or self._closed:
                return b""
            found = os.pread(file.fileno(), min(size, end - self._read), self._read)
            self._read += len(found)
            self.waiting -= len(found)
            self._room.give_back(len(found))
            if self._read == end:
                self._done_with(file)
            return found

    def _done_with(self, file: IO[bytes]) -> None:
        """A file is read to its end: its room on the disk is free again."""
        file.close()
        self._read = 0
        if self._segments:
            self._segments.popleft()
        else:
            self._newest = None

    def close(self) -> None:
        """Remove everything."""
        with self._guard:
            self._closed = True
            self._room.give_back(self.waiting)
            self.waiting = 0
            for file, _ in self._segments:
                file.close()
            if self._newest is not None:
                self._newest.close()
            self._segments.clear()
            self._newest = None
