"""One body of one upload, while it is received: bytes go to the store and into the digests, and are made safe.

Pieces are gathered while the ones before are written, so the client, the disk and the digests work at the same time;
whoever is too fast waits. About a mebibyte of each upload is in memory at most.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from holdfast.decide.uploads.pace import WINDOW_S, Waited, too_slow, worth_saving
from holdfast.errors import Evicted, HoldfastError, TooSlow
from holdfast.parts.uploads.hashing import Hashes
from holdfast.parts.uploads.settings import PaceSettings
from holdfast.stores.blobs import Part, Saved

Pieces = Callable[[], Awaitable[bytes | None]]
"""The next piece of a body; None at its end. Raises ClientLeft where it will never come to it."""

_WRITE: Final = 256 * 1024
"""So much is worth a write of its own while nothing else is written."""
_LITTLE: Final = 16 * 1024
"""So much is worth one where it has taken a while to come: a thousand slow clients must not hold it in memory."""
_MOST: Final = 512 * 1024
"""So much waits at most beside what is being written."""


class ClientLeft(Exception):
    """The client went before the body was whole."""


class Intake:
    """A body that is being received."""

    def __init__(
        self,
        part: Part,
        hashes: list[Hashes],
        save: Callable[[Saved], Awaitable[None]],
        pace: PaceSettings,
        *,
        may_hold: Callable[[int], Awaitable[None]],
        withheld: bool,
        length: int | None,
    ) -> None:
        """Write to `part`, which is open; `save` notes in the ledger how far it is safe.

        `may_hold` is asked whether so many bytes may be held, before they are written. What is `withheld` is made safe
        by nobody but `finish`: a digest of the whole body decides whether it counts. The whole `length` is not either,
        for whoever is told of it takes the upload for ended.
        """
        self._part = part
        self._hashes = hashes
        self._save = save
        self._pace = pace
        self._may_hold = may_hold
        self._withheld = withheld
        self._length = length
        self._broken = False
        self._gathered: list[bytes] = []
        self._size = 0
        self._busy: asyncio.Task[None] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stop: BaseException | None = None
        self._over = False
        self._begun_at = part.offset
        self._saved = part.offset
        now = time.monotonic()
        self._saved_at = now
        self._waiting_since: float | None = None
        self._window_s = 0.0
        self._window_bytes = 0
        self.received: int = 0
        """How many bytes came so far."""

    # -- for the one who serves the request --

    async def take(self, more: Pieces) -> None:
        """Receive until the body ends, and write all of it.

        Raises ClientLeft, TooSlow, Evicted, whatever `interrupt` was told, and what the store raises; what came until
        then is made safe first, as far as that is possible, unless it is withheld or the turn is over.
        """
        self._task = asyncio.current_task()
        try:
            while (piece := await self._next(more)) is not None:
                await self._add(piece)
            self._over = True
            await self._write_all()
        except BaseException as error:
            await self._break_off(error)
            raise

    async def finish(self) -> None:
        """Make all of it safe, now that it counts."""
        self._withheld, self._length = False, None
        await self._checkpoint()

    async def _add(self, piece: bytes) -> None:
        if not piece:
            return
        self.received += len(piece)
        self._window_bytes += len(piece)
        await self._may_hold(self._begun_at + self.received)
        self._gathered.append(piece)
        self._size += len(piece)
        if self._size >= _MOST:
            await self._settled()
        if self._size >= _WRITE and self._busy is None:
            self._begin(self._write())

    async def _next(self, more: Pieces) -> bytes | None:
        """The next piece. Only here is the task interrupted, so that nothing is left half done."""
        if self._stop is not None:
            raise self._stop
        began = self._waiting_since = time.monotonic()
        try:
            return await more()
        except asyncio.CancelledError:
            stop: BaseException | None = self._stop
            if stop is None or (self._task is not None and self._task.uncancel() > 0):
                raise
            raise stop from None
        finally:
            self._waiting_since = None
            self._window_s += time.monotonic() - began

    # -- writing --

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._busy = asyncio.create_task(work)
        self._busy.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if self._busy is task:
            self._busy = None
        if error is not None:
            self._end(error)

    async def _settled(self) -> None:
        """Wait until nothing is being written. What fails there is raised by the next wait for the client."""
        while self._busy is not None:
            await asyncio.wait({self._busy})

    async def _write(self) -> None:
        pieces, self._gathered, self._size = self._gathered, [], 0
        if pieces:
            await asyncio.gather(self._part.write(pieces), *(hashes.update(pieces) for hashes in self._hashes))
        if not self._withheld and worth_saving(
            self._part.offset - self._saved, time.monotonic() - self._saved_at, self._pace.checkpoint_s
        ):
            await self._save_all()

    async def _save_all(self) -> None:
        if self._part.offset == self._length:
            return
        self._broken = True  # until both have worked: a store takes a second sync for a sign that the first was noted
        saved = await self._part.sync()
        await self._save(saved)
        self._broken = False
        self._saved = saved.offset
        self._saved_at = time.monotonic()

    async def _write_all(self) -> None:
        await self._settled()
        if self._stop is not None:
            raise self._stop
        await self._write()

    async def _checkpoint(self) -> None:
        await self._write_all()
        if self._part.offset > self._saved:
            await self._save_all()

    async def _break_off(self, why: BaseException) -> None:
        """Keep what came, although the body will not come to its end. Goes on when the task is cancelled again."""
        keeping = asyncio.ensure_future(self._keep(why))
        while not keeping.done():
            try:
                await asyncio.shield(keeping)
            except asyncio.CancelledError:
                continue

    async def _keep(self, why: BaseException) -> None:
        await self._settled()
        if self._withheld or self._broken or isinstance(why, Evicted):
            return
        self._over, self._stop = True, None
        try:
            await self._checkpoint()
        except HoldfastError:  # it broke off already, and is told of that
            return

    # -- for the one who watches --

    def interrupt(self, error: BaseException) -> None:
        """End it with `error` where it waits for the client, now or next. A body that is here already is not ended."""
        if not self._over:
            self._end(error)

    def _end(self, error: BaseException) -> None:
        if self._stop is None:
            self._stop = error
            if self._waiting_since is not None and self._task is not None:
                self._task.cancel()

    def look(self, now: float) -> None:
        """Look whether the client is too slow, and whether what came is to be made safe. `now` is monotonic time."""
        since = self._waiting_since
        silent_s = 0.0 if since is None else now - since
        slow = too_slow(
            Waited(silent_s, self._window_s + silent_s, self._window_bytes),
            idle_s=self._pace.idle_s,
            min_rate=self._pace.min_rate,
        )
        if slow is not None:
            self.interrupt(TooSlow(slow, headers={"connection": "close"}))
        elif self._window_s + silent_s >= WINDOW_S:
            self._window_s, self._window_bytes = -silent_s, 0
        unsafe = self._part.offset + self._size - self._saved
        due = worth_saving(unsafe, now - self._saved_at, self._pace.checkpoint_s)
        due = (due and not self._withheld) or self._size >= _LITTLE
        if due and self._busy is None and self._stop is None:
            self._begin(self._write())
