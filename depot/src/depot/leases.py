"""Who works on a file, or makes one: a lock (flock) that the system lets go of when the process dies, however it dies.

So what is not locked is nobody's, and no clock is needed to find that out. It holds for all processes of one machine,
as SQLite does; a database that several machines share would keep leases in a table, with a time to run out. Locking and
letting go block, but for microseconds.
"""

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Self


class Lease:
    """A file that is ours to work on, until the end of the block."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """`descriptor` has the lock on the file at `path`."""
        self._path = path
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        """It is held already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it, and leave nothing behind."""
        self._path.unlink(missing_ok=True)  # first: whoever has it open finds that it is not there any more
        os.close(self._descriptor)


class Leases:
    """A folder of locks, one for each file that somebody works on."""

    def __init__(self, folder: Path) -> None:
        """Keep them in `folder`, which exists."""
        self._folder = folder

    def take(self, file_id: str) -> Lease | None:
        """Take the lease of a file; None if somebody else has it."""
        path = self._folder / file_id
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            if _is_at(path, descriptor):
                return Lease(path, descriptor)
            os.close(descriptor)  # the one before let go of it in between, and took the name away

    def take_new(self) -> tuple[str, Lease]:
        """An ID that nobody has yet, and the lease of what will be called so."""
        while True:
            made_up = secrets.token_hex(16)
            lease = self.take(made_up)
            if lease is not None:
                return made_up, lease

    def forget(self, file_id: str) -> None:
        """Remove what a process that died has left of a file that nobody will work on again."""
        (self._folder / file_id).unlink(missing_ok=True)


def _is_at(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False
