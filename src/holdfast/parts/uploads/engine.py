"""The engine of uploads: what all requests of a process share. What one request does is in `acting`."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final

from holdfast.decide.uploads.room import OutOfDate, Room
from holdfast.decide.uploads.rules import Limits
from holdfast.decide.uploads.vocabulary import Phase, Upload
from holdfast.errors import HoldfastError, InsufficientStorage, NotFound, TooManyUploads, Unavailable, UploadGone
from holdfast.parts.uploads.ending import LEASE_S, Ending, algorithms, current
from holdfast.parts.uploads.hashing import Hashes
from holdfast.parts.uploads.hooks import Hooks
from holdfast.parts.uploads.intake import Intake
from holdfast.parts.uploads.settings import PaceSettings, UploadSettings
from holdfast.parts.uploads.sweeping import Sweep
from holdfast.parts.uploads.watching import Held, Watch, evicted
from holdfast.stores.blobs import Blobs
from holdfast.stores.ledger import Entry, Ledger

_LOG = logging.getLogger("holdfast.uploads")
_KEPT: Final = 2_000
"""So many digests of unfinished uploads are kept in memory, to be gone on with."""
_TRIES: Final = 100
_WAIT_S: Final = 10.0
"""For how long a request waits for an end that another process is at."""
_POLL_S: Final = 0.1
_LEAVE_S: Final = 5.0


class Engine:
    """Uploads of one process, in stores that other processes share."""

    def __init__(
        self,
        blobs: Blobs,
        ledger: Ledger,
        hooks: Hooks,
        settings: UploadSettings,
        pace: PaceSettings,
        *,
        types: tuple[str, ...] = (),
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        """`types` are the media types that are taken, all if none is named; `draining` says that the process ends."""
        self.blobs = blobs
        self.ledger = ledger
        self.settings = settings
        self.pace = pace
        self.limits: Limits = Limits(max_size=settings.max_bytes, max_age=settings.expires_s, types=types)
        self.ending: Ending = Ending(blobs, ledger, hooks, expires_s=settings.expires_s)
        self.is_running: bool = False
        self._watch = Watch(blobs, ledger, reserve_bytes=settings.reserve_bytes, draining=draining)
        self._sweep = Sweep(blobs, ledger, grace_s=pace.idle_s, held=self._is_held, take_up=self._take_up)
        self._quota = hooks.quota
        self._hashes: dict[str, Hashes] = {}
        self._at_once: Counter[str] = Counter()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Open the stores, and do in the background what uploads need: watch them, finish them, clean up.

        Whoever enters it while it is entered already gets it as it is.
        """
        if self.is_running:
            yield
            return
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.blobs)
            await stack.enter_async_context(self.ledger)
            work = [
                asyncio.create_task(self._watch.run(), name="uploads: watch"),
                asyncio.create_task(self._sweep.run(self.pace.sweep_s), name="uploads: sweep"),
            ]
            self.is_running = True
            try:
                yield
            finally:
                self.is_running = False
                await _cancelled(work)
                await self.ending.leave(_LEAVE_S)

    # -- room --

    async def find_room(self, wanted: int) -> None:
        """Raise InsufficientStorage where so many bytes would not leave enough free."""
        free = await self.blobs.free()
        if free is not None and free - self.settings.reserve_bytes < wanted:
            raise InsufficientStorage

    async def within(self, owner: str, reserve: Callable[[Room], Awaitable[None]]) -> None:
        """Reserve within what the owner may have: read again where a file of theirs was finished meanwhile."""
        for _ in range(_TRIES):
            as_of = await self.ledger.released(owner) if self._quota is not None else None
            room = await self._quota(owner) if self._quota is not None else Room()
            uploads = self.settings.unfinished_max
            if room.owner_uploads is not None:
                uploads = min(uploads, room.owner_uploads)
            try:
                await reserve(room._replace(owner_uploads=uploads, as_of=as_of))
            except OutOfDate:
                continue
            return
        raise Unavailable(headers={"retry-after": "1"})

    @contextmanager
    def place(self, owner: str) -> Generator[None]:
        """A place among the requests of an owner that are served at the same time. Raises TooManyUploads."""
        if self._at_once[owner] >= self.settings.at_once:
            raise TooManyUploads("Too many uploads are being sent at the same time.", headers={"retry-after": "5"})
        self._at_once[owner] += 1
        try:
            yield
        finally:
            self._at_once[owner] -= 1
            if not self._at_once[owner]:
                del self._at_once[owner]

    # -- who holds what --

    def _is_held(self, upload_id: str) -> bool:
        return upload_id in self._watch.held or upload_id in self.ending.running

    def current(self, upload: Upload) -> Callable[[], Awaitable[None]]:
        """Asks whether the turn that `upload` tells of is still the present one; raises Evicted if not."""
        return current(self.ledger, upload)

    def evict(self, upload_id: str) -> None:
        """End an older request of this process for the upload, now that its turn is over."""
        older = self._watch.held.get(upload_id)
        if older is not None:
            older.intake.interrupt(evicted())

    @contextmanager
    def holding(self, upload: Upload, intake: Intake, *, resumable: bool) -> Generator[None]:
        """While bytes of the upload are received."""
        held = self._watch.held[upload.id] = Held(intake, upload.owner, upload.turn, resumable)
        try:
            yield
        finally:
            if self._watch.held.get(upload.id) is held:
                del self._watch.held[upload.id]

    # -- digests of what is there so far --

    def hashes(self, entry: Entry) -> Hashes | None:
        """The digests to go on with; None where they were begun in another process, and are made at the end."""
        kept = self._hashes.pop(entry.upload.id, None)
        if entry.saved.offset == 0:
            return Hashes(algorithms(entry.upload))
        return kept if kept is not None and kept.offset == entry.saved.offset else None

    def keep_hashes(self, entry: Entry, hashes: Hashes | None) -> None:
        """Keep digests for the next request, if they are of what is safe."""
        if hashes is None or hashes.offset != entry.saved.offset:
            return
        while len(self._hashes) >= _KEPT:
            del self._hashes[next(iter(self._hashes))]
        self._hashes[entry.upload.id] = hashes

    # -- ends that were begun --

    async def awaited(self, upload_id: str, within_s: float = _WAIT_S) -> Upload:
        """An upload whose end was begun, once it is finished; as it is, where that takes longer than `within_s`."""
        try:
            async with asyncio.timeout(within_s):
                return await self._ended(upload_id)
        except TimeoutError:
            entry = await self.ledger.find(upload_id)
            if entry is None:
                raise NotFound from None
            return entry.upload

    async def _ended(self, upload_id: str) -> Upload:
        while True:
            entry = await self.ledger.find(upload_id)
            if entry is None:
                raise NotFound
            upload = entry.upload
            if upload.phase is Phase.REFUSED:
                raise UploadGone("The upload was refused.", reason=upload.problem)
            if upload.phase is not Phase.FINISHING:
                return upload
            ended = await self._take_up(upload_id)
            if ended is not None:
                return ended
            await asyncio.sleep(_POLL_S)

    async def _take_up(self, upload_id: str) -> Upload | None:
        """Finish what somebody left in the middle, or wait for this process to; None if others are at it."""
        task = self.ending.running.get(upload_id)
        if task is not None:
            return await asyncio.shield(task)
        now = time.time()
        entry = await self.ledger.claim(upload_id, now + LEASE_S, Phase.FINISHING, over_at=now)
        if entry is None:
            return None
        _LOG.info("an upload is finished that was left in the middle", extra={"upload": upload_id})
        return await self.ending.finish(entry, None)

    async def refuse(self, entry: Entry, error: HoldfastError) -> None:
        """End an upload for good, for `error`; its bytes go."""
        await self.ending.refuse(entry, error)
        self._hashes.pop(entry.upload.id, None)

    async def forget(self, entry: Entry, *, with_bytes: bool = True) -> None:
        """Remove an upload, and its bytes unless they are a file of the application's by now."""
        await self.ledger.remove(entry.upload.id)
        if with_bytes:
            await self.blobs.remove(entry.upload.id, entry.saved)
        self._hashes.pop(entry.upload.id, None)


async def _cancelled(tasks: list["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
