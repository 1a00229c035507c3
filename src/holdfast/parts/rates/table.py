"""Who came how often: a table in memory that the processes of a service share, of a fixed size.

It is an anonymous file, mapped by each process. A client has a place in one of many small sets, found by a keyed hash,
so nobody outside can choose names that share one. A set is locked for the two microseconds that a decision takes: for
other processes by a lock on its bytes, which the kernel frees when a process is killed, for threads by another. Where a
set is full, the place is taken that is free the longest, or else will be the soonest.
"""

import fcntl
import mmap
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from holdfast.decide.rates import Rate, Verdict, judge

PLACES: Final = 131_072
"""How many clients have a place at once."""
_WAYS: Final = 8
_SETS: Final = PLACES // _WAYS
_SET: Final = struct.Struct(f"={_WAYS}Q{_WAYS}d")
_KEY: Final = struct.Struct("=Q")
_ARRIVAL: Final = struct.Struct("=d")
_SECRET_BYTES: Final = 16
_HEAD_BYTES: Final = mmap.PAGESIZE
_SIZE: Final = _HEAD_BYTES + _SETS * _SET.size
_PATIENCE_S: Final = 0.05
"""How long a set is waited for. Whoever holds it longer was stopped, and a limit is not worth a halt of everybody."""
_YIELDS: Final = 100
_NAP_S: Final = 0.0002
_MOST_HASHES: Final = 4096


class Table:
    """One table, open in this process."""

    def __init__(self, descriptor: int | None = None) -> None:
        """Open the table behind a file descriptor, or make one."""
        self.descriptor: int = _made() if descriptor is None else descriptor
        """To be handed to another process."""
        os.set_inheritable(self.descriptor, False)
        self._map = mmap.mmap(self.descriptor, _SIZE)
        self._secret: bytes = self._map[:_SECRET_BYTES]
        self._guard = threading.Lock()
        self._hashes: dict[str, int] = {}
        os.register_at_fork(after_in_child=self._unlocked)

    def ask(self, name: str, allowed: Rate, now: float) -> Verdict:
        """Whether `name` may come now, and note that it has."""
        key = self._hashes.get(name) or self._hash(name)
        at = _HEAD_BYTES + key % _SETS * _SET.size
        with self._guard:
            held = self._lock(at)
            try:
                fields = _SET.unpack_from(self._map, at)
                place, arrival = _place(key, fields)
                verdict = judge(allowed, arrival, now)
                if verdict.allowed:
                    _ARRIVAL.pack_into(self._map, at + (_WAYS + place) * 8, verdict.arrival)
                    if fields[place] != key:
                        _KEY.pack_into(self._map, at + place * 8, key)
            finally:
                if held:
                    fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, at)
        return verdict

    def _hash(self, name: str) -> int:
        digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=self._secret).digest()
        key = int.from_bytes(digest, "big") or 1  # 0 is a place that nobody had yet
        if len(self._hashes) >= _MOST_HASHES:
            self._hashes = {}
        self._hashes[name] = key
        return key

    def _lock(self, at: int) -> bool:
        """Lock a set; without success after a while it goes on all the same, and may count one too few."""
        waited = 0
        end = 0.0
        while True:
            try:
                fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
            except OSError:
                now = time.monotonic()
                end = end or now + _PATIENCE_S
                if now > end:
                    return False
                waited += 1
                _yield() if waited < _YIELDS else time.sleep(_NAP_S)
            else:
                return True

    def _unlocked(self) -> None:
        """In a child that was forked off while a thread held the guard."""
        self._guard = threading.Lock()

    def close(self) -> None:
        """Let go of the memory."""
        self._map.close()
        os.close(self.descriptor)


_yield: Callable[[], None] = os.sched_yield


def _place(key: int, fields: tuple[int | float, ...]) -> tuple[int, float]:
    """The place of `key` in a set, and its arrival time. If it has none, the one that is the least missed, as new."""
    keys = fields[:_WAYS]
    if key in keys:
        place = keys.index(key)
        return place, fields[_WAYS + place]
    arrivals = fields[_WAYS:]
    return arrivals.index(min(arrivals)), 0.0


def _made() -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("holdfast-rates")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _SIZE)
    os.pwrite(descriptor, os.urandom(_SECRET_BYTES), 0)
    return descriptor
