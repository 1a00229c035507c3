"""Who looks at all uploads that a process receives: four times a second, one question to the ledger for all of them."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from holdfast.errors import Evicted, HoldfastError, InsufficientStorage, Stopping
from holdfast.parts.uploads.intake import Intake
from holdfast.stores.blobs import Blobs
from holdfast.stores.ledger import Ledger

_LOG = logging.getLogger("holdfast.uploads")
_EACH_S: Final = 0.25


class Held(NamedTuple):
    """An upload that this process receives bytes of."""

    intake: Intake
    owner: str
    turn: int
    resumable: bool
    """Whether it can be gone on with elsewhere."""


def evicted() -> Evicted:
    """What an older request is told."""
    return Evicted(headers={"connection": "close"})


class Watch:
    """Ends what must not go on: what a newer request took over, what is too slow, what would fill the disk."""

    def __init__(self, blobs: Blobs, ledger: Ledger, *, reserve_bytes: int, draining: Callable[[], bool]) -> None:
        """`reserve_bytes` stay free; once the process is `draining`, nobody is waited for who can go on elsewhere."""
        self._blobs = blobs
        self._ledger = ledger
        self._reserve_bytes = reserve_bytes
        self._draining = draining
        self.held: dict[str, Held] = {}
        """By ID."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_EACH_S)
            if self.held:
                await self._look()

    async def _look(self) -> None:
        held = dict(self.held)
        now = time.monotonic()
        for found in held.values():
            if found.resumable and self._draining():
                found.intake.interrupt(Stopping(headers={"retry-after": "1", "connection": "close"}))
            found.intake.look(now)
        try:
            self._evict(held, await self._ledger.turns(held))
            await self._keep_room(held)
        except HoldfastError as error:  # whoever saves hears of it too
            _LOG.warning("uploads could not be looked at", extra={"error": error.detail})
        except Exception:  # noqa: BLE001 - the next look may do better, and must come
            _LOG.exception("uploads could not be looked at")

    def _evict(self, held: Mapping[str, Held], turns: Mapping[str, int]) -> None:
        for upload_id, found in held.items():
            if turns.get(upload_id) != found.turn:
                found.intake.interrupt(evicted())

    async def _keep_room(self, held: Mapping[str, Held]) -> None:
        free = await self._blobs.free()
        if free is not None and free < self._reserve_bytes:
            for found in held.values():
                found.intake.interrupt(InsufficientStorage(headers={"connection": "close"}))
