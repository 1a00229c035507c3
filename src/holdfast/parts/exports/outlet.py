"""Between the source of an export and its reader: a few blocks in memory, the rest on disk, and then the source waits.

The source writes from a thread or from the loop; the reader is on the loop.
"""

import asyncio
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Final

from holdfast.decide.exports.errors import ReaderTooSlow
from holdfast.parts.exports import threads
from holdfast.parts.exports.spool import Spool

_MEMORY: Final = 512 * 1024
"""So much waits in memory."""
_READ: Final = 256 * 1024


class ReaderLeft(Exception):
    """Nobody reads the export any more."""


class Outlet:
    """The blocks of one export that wait for their reader."""

    def __init__(self, spool: Spool, hold_s: float) -> None:
        """To be made on the loop. A source that finds no room waits for `hold_s` seconds in all."""
        self._loop = asyncio.get_running_loop()
        self._spool = spool
        self._hold_s = hold_s
        self._guard = threading.Condition()
        self._blocks: deque[bytes] = deque()
        self._bytes = 0
        self._on_disk = 0  # or on their way there
        self._left = False
        self._ended = False
        self._error: BaseException | None = None
        self._taken = 0
        """How often the reader took something."""
        self._moved = asyncio.Event()
        self._room = asyncio.Event()
        self.spooled: int = 0
        """How many bytes went by way of the disk."""

    # -- for the source --

    def put(self, block: bytes) -> None:
        """From a thread: hand on a block; wait while there is no room. Raises ReaderLeft, ReaderTooSlow."""
        while True:
            seen = self._taken
            if self._kept(block) or self._stored(block):
                return
            began = time.monotonic()
            with self._guard:
                self._guard.wait_for(lambda seen=seen: self._taken != seen or self._left, self._hold_s)
            self._waited(time.monotonic() - began)

    async def put_from_loop(self, block: bytes) -> None:
        """As `put`, on the loop."""
        while True:
            self._room.clear()
            if self._kept(block) or await threads.run(self._stored, block):
                return
            began = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._hold_s):
                    await self._room.wait()
            self._waited(time.monotonic() - began)

    def end(self, error: BaseException | None = None) -> None:
        """From anywhere: nothing more comes, because that was all, or because of `error`."""
        with self._guard:
            self._ended, self._error = True, error
        self._tell()

    def _kept(self, block: bytes) -> bool:
        """Whether it has found room in memory."""
        with self._guard:
            if self._left:
                raise ReaderLeft
            if self._on_disk or (self._blocks and self._bytes + len(block) > _MEMORY):
                return False
            self._blocks.append(block)
            self._bytes += len(block)
        self._tell()
        return True

    def _stored(self, block: bytes) -> bool:
        """Whether it has found room on the disk. Blocks."""
        with self._guard:
            self._on_disk += len(block)  # from now on, nothing may overtake it by way of the memory
        stored = self._spool.put(block)
        with self._guard:
            if stored:
                self.spooled += len(block)
            else:
                self._on_disk -= len(block)
        if stored:
            self._tell()
        return stored

    def _waited(self, seconds: float) -> None:
        self._hold_s -= seconds
        if self._hold_s <= 0 and not self._left:
            raise ReaderTooSlow

    # -- for the reader --

    async def get(self) -> bytes | None:
        """The next block; None at the end. Raises what the source failed with, once all before it was read."""
        while True:
            self._moved.clear()
            with self._guard:
                block = self._next()
                on_disk, ended = self._on_disk, self._ended
            if block is not None:
                return block
            if on_disk:
                if block := await threads.run(self._spool.take, _READ):
                    with self._guard:
                        self._on_disk -= len(block)
                        self._has_taken()
                    return block
            elif ended:
                self._fail()
                return None
            await self._moved.wait()

    def _fail(self) -> None:
        if isinstance(self._error, Exception):
            raise self._error
        if self._error is not None:  # a cancellation of the source is none of the reader, and is no end either
            raise RuntimeError("The rows of the export were given up by their source.") from self._error

    def leave(self) -> None:
        """Read no more: the source is told at its next block, and what waits is thrown away."""
        with self._guard:
            self._left = True
            self._blocks.clear()
            self._guard.notify_all()
        self._room.set()
        self._spool.close()

    def _next(self) -> bytes | None:
        if not self._blocks:
            return None
        block = self._blocks.popleft()
        self._bytes -= len(block)
        self._has_taken()
        return block

    def _has_taken(self) -> None:
        self._taken += 1
        self._guard.notify_all()
        self._room.set()

    def _tell(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._moved.set)
        except RuntimeError:  # the loop has ended, and with it the reader
            return
