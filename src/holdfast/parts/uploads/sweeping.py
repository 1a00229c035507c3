"""What nobody comes back for goes: expired uploads, bytes that no upload knows, ends that were left in the middle."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from holdfast.decide.uploads.vocabulary import Kind, Phase, Upload
from holdfast.errors import HoldfastError
from holdfast.stores.blobs import Blobs
from holdfast.stores.ledger import Entry, Ledger

_LOG = logging.getLogger("holdfast.uploads")
_MANY: Final = 200
_TAKE_UP_S: Final = 2.0
"""How often is looked for ends that were left in the middle."""
_TAKEN_AT_ONCE: Final = 4
_LONGEST_PAUSE_S: Final = 60.0
_LEFTOVERS_S: Final = 3600.0
_UNTOUCHED_S: Final = 300.0
"""Bytes that no upload knows are left alone for that long: the row is always there before the bytes are."""


class _Seen(NamedTuple):
    state: tuple[int, int, float]
    at: float


class Sweep:
    """Cleans up, in every process that serves uploads; they do not get in each other's way."""

    def __init__(
        self,
        blobs: Blobs,
        ledger: Ledger,
        *,
        grace_s: float,
        held: Callable[[str], bool],
        take_up: Callable[[str], Awaitable[Upload | None]],
    ) -> None:
        """An expired upload goes once it has been the same for `grace_s` seconds, which a clock that jumps can not end.

        `held` says what this process is busy with; `take_up` finishes what was left in the middle.
        """
        self._blobs = blobs
        self._ledger = ledger
        self._grace_s = grace_s
        self._held = held
        self._take_up = take_up
        self._seen: dict[str, _Seen] = {}
        self._pauses: dict[str, tuple[float, float]] = {}
        self._taking: set[asyncio.Task[None]] = set()

    async def run(self, each_s: float) -> None:
        """Sweep every `each_s` seconds, until cancelled."""
        next_sweep = next_leftovers = time.monotonic()
        while True:
            try:
                await self._take_up_what_was_left()
                if time.monotonic() >= next_sweep:
                    next_sweep = time.monotonic() + each_s
                    await self.expire()
                if time.monotonic() >= next_leftovers:
                    next_leftovers = time.monotonic() + _LEFTOVERS_S
                    await self.remove_leftovers(time.time() - _UNTOUCHED_S)
            except HoldfastError as error:
                _LOG.warning("uploads could not be swept", extra={"error": error.detail})
            except Exception:  # noqa: BLE001 - the next sweep may do better
                _LOG.exception("uploads could not be swept")
            await asyncio.sleep(min(_TAKE_UP_S, max(next_sweep - time.monotonic(), 0.05)))

    async def expire(self) -> None:
        """Remove what expired and has not changed since it was first seen so."""
        now = time.monotonic()
        entries = [entry for entry in await self._ledger.expired(time.time(), _MANY) if not self._held(entry.upload.id)]
        seen: dict[str, _Seen] = {}
        for entry in entries:
            upload = entry.upload
            state = (upload.turn, entry.saved.offset, upload.expires)
            before = self._seen.get(upload.id)
            seen[upload.id] = before if before is not None and before.state == state else _Seen(state, now)
            if now - seen[upload.id].at >= self._grace_s:
                await self._remove(entry)
        self._seen = seen

    async def _remove(self, entry: Entry) -> None:
        upload = entry.upload
        if not await self._ledger.remove(upload.id, expired_at=time.time()):
            return
        if upload.phase is Phase.RECEIVING and await self._blobs.size(upload.id) is not None:
            # a handler's own, whose process died in the middle of it: it may have kept the file's ID before
            _LOG.warning("a file stays that its handler may not know", extra={"upload": upload.id})
        elif upload.phase is not Phase.FINISHED or upload.kind is Kind.PARTIAL:
            await self._blobs.remove(upload.id, entry.saved)
            _LOG.info("an upload has expired", extra={"upload": upload.id, "bytes": entry.saved.offset})

    async def remove_leftovers(self, older_than: float) -> None:
        """Remove bytes that no upload knows and nobody has touched since `older_than`, in seconds since the epoch."""
        found = [upload_id async for upload_id in self._blobs.leftovers(older_than)]
        for start in range(0, len(found), _MANY):
            some = found[start : start + _MANY]
            known = await self._ledger.known(some)
            for upload_id in some:
                if upload_id not in known:
                    await self._blobs.remove(upload_id)
                    _LOG.info("bytes of no upload were removed", extra={"upload": upload_id})

    async def _take_up_what_was_left(self) -> None:
        now = time.monotonic()
        entries = await self._ledger.finishing(time.time(), _MANY)
        ids = [entry.upload.id for entry in entries if not self._held(entry.upload.id)]
        self._pauses = {key: pause for key, pause in self._pauses.items() if key in ids}
        for upload_id in ids:
            after, pause = self._pauses.get(upload_id, (0.0, 1.0))
            if now < after:
                continue
            if len(self._taking) >= _TAKEN_AT_ONCE:
                return
            self._pauses[upload_id] = (now + pause, min(pause * 2, _LONGEST_PAUSE_S))
            task = asyncio.create_task(self._take(upload_id))
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)

    async def _take(self, upload_id: str) -> None:
        try:
            await self._take_up(upload_id)
        except HoldfastError as error:
            _LOG.warning("an upload could not be finished", extra={"upload": upload_id, "error": error.detail})
