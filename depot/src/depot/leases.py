"""Who works on a file, or makes one: a lock (flock) that the system lets go of when the process dies, however it dies.

So what is not locked is nobody's, and no clock is needed to find that out. It holds for all processes of one machine,
as SQLite does; a database that several machines share would keep leases in a table, with a time to run out. Each call
of the file system is made in a thread: a disk may be slow.
"""

import fcntl
import os
import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Self

from holdfast import offload


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

    @asynccontextmanager
    async def held(self, file_id: str) -> AsyncGenerator[bool]:
        """Hold the lease of a file until the end of the block; False if somebody else has it."""
        async with aclosing(offload.iterate(partial(_held, self, file_id))) as steps:
            yield await anext(steps)

    @asynccontextmanager
    async def held_new(self) -> AsyncGenerator[str]:
        """An ID that nobody has yet; what will be called so is ours until the end of the block."""
        async with aclosing(offload.iterate(partial(_held_new, self))) as steps:
            yield await anext(steps)

    async def forget(self, file_id: str) -> None:
        """Remove what a process that died has left of a file that nobody will work on again."""
        await offload.thread((self._folder / file_id).unlink, missing_ok=True)

    def take(self, file_id: str) -> Lease | None:
        """In a thread: take the lease of a file; None if somebody else has it."""
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
        """In a thread: an ID that nobody has yet, and the lease of what will be called so."""
        while True:
            made_up = secrets.token_hex(16)
            lease = self.take(made_up)
            if lease is not None:
                return made_up, lease


# generators, for what they hold is let go of in a thread too, also where the task that waits for it is cancelled


def _held(leases: Leases, file_id: str) -> Generator[bool]:
    lease = leases.take(file_id)
    if lease is None:
        yield False
        return
    with lease:
        yield True


def _held_new(leases: Leases) -> Generator[str]:
    made_up, lease = leases.take_new()
    with lease:
        yield made_up


def _is_at(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False
