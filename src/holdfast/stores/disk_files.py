"""What the disk store asks of the operating system, as a small protocol: a test can put another disk below it."""

import errno
import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

_MOST_PIECES: Final = 1024
"""What the system takes in one call (IOV_MAX)."""
_NO_QUICK_COPY: Final = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM})
_COPY: Final = 1 << 20
_FLAGS: Final = {"read": os.O_RDONLY, "write": os.O_RDWR, "new": os.O_RDWR | os.O_CREAT | os.O_EXCL}


How = Literal["read", "write", "new"]
"""How a file is opened: to read, to write as well, or so that it is made, and must not be there."""


class Found(NamedTuple):
    """What is known of a file."""

    size: int
    inode: int
    changed: float
    """When its bytes were changed last, in seconds since the epoch."""


class Files(Protocol):
    """A disk. Every method blocks, and raises OSError."""

    def open(self, path: Path, how: How) -> int:
        """Open a file."""
        ...

    def close(self, file: int) -> None:
        """Close a file, and let go of its lock."""
        ...

    def lock(self, file: int) -> bool:
        """Lock an open file; False if somebody else who opened it has the lock. It is gone when they die."""
        ...

    def look(self, at: Path | int) -> Found:
        """Look at an open file, or at the one that has a name."""
        ...

    def write(self, file: int, pieces: Sequence[bytes], offset: int) -> int:
        """Write from `offset` on; how many bytes were written, which may be fewer than there are."""
        ...

    def read(self, file: int, size: int, offset: int) -> bytes:
        """Read at most `size` bytes from `offset` on; none at the end."""
        ...

    def copy(self, source: int, start: int, target: int, offset: int, size: int) -> int:
        """Copy bytes of `source` from `start` on to `offset` of `target`; how many, which may be fewer than `size`."""
        ...

    def cut(self, file: int, size: int) -> None:
        """Cut off what is behind `size` bytes."""
        ...

    def sync(self, file: int) -> None:
        """Bring the bytes of a file onto the disk."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """Bring the names in a folder onto the disk."""
        ...

    def make_folder(self, folder: Path) -> None:
        """Make a folder, if it is not there, in one that is."""
        ...

    def rename(self, path: Path, to: Path) -> None:
        """Give a file another name, at once; whatever had that name before loses it."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a name."""
        ...

    def names(self, folder: Path) -> list[str]:
        """What there is in a folder."""
        ...

    def free(self, folder: Path) -> int:
        """How many bytes still find room."""
        ...


class _System:
    def open(self, path: Path, how: How) -> int:
        return os.open(path, _FLAGS[how] | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def close(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_UN)  # a forked child that has the file open too would keep it
        finally:
            os.close(file)

    def lock(self, file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def look(self, at: Path | int) -> Found:
        found = os.fstat(at) if isinstance(at, int) else at.lstat()
        return Found(found.st_size, found.st_ino, found.st_mtime)

    def write(self, file: int, pieces: Sequence[bytes], offset: int) -> int:
        return os.pwritev(file, pieces[:_MOST_PIECES], offset)

    def read(self, file: int, size: int, offset: int) -> bytes:
        return os.pread(file, size, offset)

    def copy(self, source: int, start: int, target: int, offset: int, size: int) -> int:
        try:
            return os.copy_file_range(source, target, size, start, offset)
        except OSError as error:
            if error.errno not in _NO_QUICK_COPY:
                raise
        return os.pwrite(target, os.pread(source, min(size, _COPY), start), offset)

    def cut(self, file: int, size: int) -> None:
        os.ftruncate(file, size)

    def sync(self, file: int) -> None:
        os.fdatasync(file)

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)

    def rename(self, path: Path, to: Path) -> None:
        path.rename(to)

    def remove(self, path: Path) -> None:
        path.unlink()

    def names(self, folder: Path) -> list[str]:
        return [path.name for path in folder.iterdir()]

    def free(self, folder: Path) -> int:
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize


SYSTEM: Final[Files] = _System()
"""The disk of this machine."""


def shut(files: Files, file: int) -> None:
    """Close a file. It is closed even if that fails, and what was synced before is safe."""
    with suppress(OSError):
        files.close(file)
