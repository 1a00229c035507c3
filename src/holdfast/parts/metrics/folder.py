"""The numbers of several processes, in a folder that they share.

Each process holds a place, which has two files: `holdfast-PLACE.lock`, on which the process has a lock for as long as
it lives, and `holdfast-PLACE.numbers`, which is replaced as a whole. Whoever answers a scrape reads all files. Whoever
takes a place that became free goes on from its numbers, so counters never go back, and there are never more files than
there were processes at once. Gauges count only while the lock is held, so those of the dead vanish.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from holdfast.decide.metrics import Numbers, added
from holdfast.parts.metrics.meter import Snapshot

_LOG = logging.getLogger("holdfast.metrics")
_NAME: Final = "holdfast-"
_LOCK: Final = ".lock"
_NUMBERS: Final = ".numbers"
_MOST_PLACES: Final = 1024
_TRIES: Final = 20
_TRY_S: Final = 0.01
_ABANDONED_S: Final = 60.0
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW

encode: Callable[[object], bytes] = msgspec.msgpack.Encoder().encode
decode: Callable[[bytes], Snapshot] = msgspec.msgpack.Decoder(Snapshot).decode


class Folder:
    """A folder of numbers, and the place in it that this process holds."""

    def __init__(self, path: Path, wanted: str | None = None) -> None:
        """Take the place `wanted`, or the first that is free. Raises OSError where the folder cannot be written to."""
        self.path = path
        self.place: str
        self.place, self._lock = self._taken(wanted)
        self._gone = False
        self._complained: set[str] = set()
        os.register_at_fork(after_in_child=self._leave)

    def _taken(self, wanted: str | None) -> tuple[str, int]:
        first = [] if wanted is None else [wanted] * _TRIES
        for number, place in enumerate(chain(first, map(str, range(_MOST_PLACES)))):
            if 0 < number < len(first):
                time.sleep(_TRY_S)  # a reader holds a lock for a moment, to see whether it is free
            lock = os.open(self._file(place, _LOCK), os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return place, lock
        raise OSError(f"no place is free in {self.path}")

    def _leave(self) -> None:
        """In a child that was forked off: the place is its parent's, and is free once that ends."""
        self._gone = True
        os.close(self._lock)

    def _file(self, place: str, suffix: str) -> Path:
        return self.path / f"{_NAME}{place}{suffix}"

    def write(self, snapshot: Snapshot) -> None:
        """Replace the numbers of this process. Where that fails the old ones stay, and a line says so once."""
        if self._gone:
            return
        new = self._file(self.place, ".new")
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, 0o600), "wb") as file:
                file.write(encode(snapshot))
            new.replace(self._file(self.place, _NUMBERS))
            self._complained.discard(self.place)
        except OSError as error:
            self._complain(self.place, f"metrics cannot be written: {error}")

    def before(self) -> Numbers:
        """What the process counted that held this place before."""
        snapshot = self._read(self.place)
        return snapshot.lasting if snapshot is not None else {}

    def read(self) -> Numbers:
        """The numbers of all processes together."""
        numbers: Numbers = {}
        for lock in sorted(self.path.glob(f"{_NAME}*{_LOCK}")):
            alive = _is_held(lock)
            snapshot = self._read(lock.name.removeprefix(_NAME).removesuffix(_LOCK))
            if snapshot is not None:
                added(numbers, snapshot.lasting)
                added(numbers, snapshot.passing if alive else {})
        return numbers

    def _read(self, place: str) -> Snapshot | None:
        try:
            with os.fdopen(os.open(self._file(place, _NUMBERS), os.O_RDONLY | _FLAGS), "rb") as file:
                return decode(file.read())
        except FileNotFoundError:
            return None  # it has written nothing yet
        except (OSError, msgspec.DecodeError) as error:
            self._complain(place, f"the metrics of process {place} cannot be read: {error}")
            return None

    def _complain(self, about: str, text: str) -> None:
        if about not in self._complained:
            self._complained.add(about)
            _LOG.warning(text)


def _is_held(lock: Path) -> bool:
    """Whether a process lives that holds the lock."""
    try:
        file = os.open(lock, os.O_RDONLY | _FLAGS)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def remove_abandoned(parent: Path, prefix: str, now: float) -> None:
    """Remove the folders in `parent` whose processes have all been killed, before they could do it.

    Where one lives it holds a lock and writes every second, so what was written to lately stays in any case.
    """
    for folder in parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if mine and now - found.st_mtime > _ABANDONED_S and not any(map(_is_held, folder.glob(f"*{_LOCK}"))):
                shutil.rmtree(folder, ignore_errors=True)


def forget_gauges(folder: Path, process: str) -> None:
    """Remove the gauges of a `process` that has ended, and of those that it forked off, where they are of the living.

    They are in prometheus_client's files.
    """
    for file in (*folder.glob(f"gauge_live*_{process}.db"), *folder.glob(f"gauge_live*_{process}-*.db")):
        file.unlink(missing_ok=True)
