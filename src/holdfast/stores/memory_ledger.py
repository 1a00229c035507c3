"""Uploads known in memory: for tests, and for what may be forgotten when the process ends."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Self

from holdfast.decide.uploads.room import Room, Used, check
from holdfast.decide.uploads.vocabulary import Phase, Upload
from holdfast.errors import Evicted
from holdfast.stores.blobs import Saved
from holdfast.stores.ledger import Entry

_UNFINISHED = frozenset({Phase.RECEIVING, Phase.FINISHING})


class MemoryLedger:
    """A ledger for one process. It survives nothing."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._entries: dict[str, Entry] = {}
        self._reserved: dict[str, int] = {}
        self._released: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        """Nothing needs opening."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing needs closing."""

    async def create(self, upload: Upload, reserve: int, room: Room) -> None:
        """As every ledger: see `holdfast.stores.ledger.Ledger`, here and below."""
        check(room, self._used(upload.owner, but=upload.id), reserve)
        self._entries[upload.id] = Entry(upload, Saved(upload.offset, ""))
        self._reserved[upload.id] = reserve

    async def reserve(self, upload_id: str, turn: int, total: int, room: Room) -> None:
        """Change what is reserved."""
        upload = self._held(upload_id, turn).upload
        check(room, self._used(upload.owner, but=upload_id), total)
        self._reserved[upload_id] = total

    async def released(self, owner: str) -> int:
        """How many of an owner's were finished."""
        return self._released.get(owner, 0)

    async def find(self, upload_id: str) -> Entry | None:
        """An upload."""
        return self._entries.get(upload_id)

    async def claim(
        self, upload_id: str, expires: float, phase: Phase, *, over_at: float | None = None
    ) -> Entry | None:
        """Take the next turn."""
        found = self._entries.get(upload_id)
        if found is None or found.upload.phase is not phase:
            return None
        upload = found.upload
        if over_at is not None and upload.expires > over_at:
            return None
        claimed = dataclasses.replace(upload, turn=upload.turn + 1, expires=expires)
        self._entries[upload_id] = found._replace(upload=claimed)
        return self._entries[upload_id]

    async def turns(self, upload_ids: Collection[str]) -> Mapping[str, int]:
        """The present turn of each."""
        return {key: self._entries[key].upload.turn for key in upload_ids if key in self._entries}

    async def save(
        self,
        upload_id: str,
        turn: int,
        saved: Saved,
        *,
        length: int | None,
        expires: float,
        phase: Phase | None = None,
    ) -> None:
        """Note how far the bytes are safe."""
        upload = self._held(upload_id, turn).upload
        if upload.phase not in _UNFINISHED:
            raise Evicted
        kept = dataclasses.replace(
            upload,
            offset=saved.offset,
            length=upload.length if length is None else length,
            expires=expires,
            phase=phase or upload.phase,
        )
        self._entries[upload_id] = Entry(kept, saved)

    async def advance(
        self,
        upload_id: str,
        turn: int,
        phase: Phase,
        *,
        sha256: str | None = None,
        result: str | None = None,
        problem: str | None = None,
        expires: float | None = None,
        holds: bool = False,
    ) -> None:
        """Go to another phase."""
        found = self._held(upload_id, turn)
        upload = found.upload
        if upload.phase not in _UNFINISHED:
            raise Evicted
        told = dataclasses.replace(
            upload,
            phase=phase,
            sha256=sha256 or upload.sha256,
            result=result or upload.result,
            problem=problem or upload.problem,
            expires=upload.expires if expires is None else expires,
        )
        self._entries[upload_id] = found._replace(upload=told)
        if phase in _UNFINISHED or holds:
            return
        self._reserved[upload_id] = 0
        if phase is Phase.FINISHED:
            self._released[upload.owner] = self._released.get(upload.owner, 0) + 1

    async def remove(self, upload_id: str, *, expired_at: float | None = None) -> bool:
        """Forget an upload."""
        found = self._entries.get(upload_id)
        if found is None or (expired_at is not None and found.upload.expires > expired_at):
            return False
        del self._entries[upload_id]
        del self._reserved[upload_id]
        return True

    async def known(self, upload_ids: Collection[str]) -> set[str]:
        """Which are known."""
        return {key for key in upload_ids if key in self._entries}

    async def expired(self, now: float, limit: int) -> Sequence[Entry]:
        """Whose time is over."""
        return self._over(now, limit, {Phase.RECEIVING, Phase.FINISHED, Phase.REFUSED})

    async def finishing(self, now: float, limit: int) -> Sequence[Entry]:
        """Whose end was left in the middle."""
        return self._over(now, limit, {Phase.FINISHING})

    def _over(self, now: float, limit: int, phases: Collection[Phase]) -> Sequence[Entry]:
        found = [e for e in self._entries.values() if e.upload.expires <= now and e.upload.phase in phases]
        return sorted(found, key=lambda entry: entry.upload.expires)[:limit]

    def _held(self, upload_id: str, turn: int) -> Entry:
        found = self._entries.get(upload_id)
        if found is None or found.upload.turn != turn:
            raise Evicted
        return found

    def _used(self, owner: str, *, but: str) -> Used:
        others = [found.upload for found in self._entries.values() if found.upload.id != but]
        mine = [upload for upload in others if upload.owner == owner]
        return Used(
            owner_bytes=sum(self._reserved[upload.id] for upload in mine),
            owner_uploads=sum(upload.phase in _UNFINISHED for upload in mine),
            all_bytes=sum(self._reserved[upload.id] for upload in others),
            released=self._released.get(owner, 0),
        )
