"""One command, carried out: what the rules decided is done, in the order in which nothing is lost."""

import dataclasses
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from holdfast.decide.uploads import rules
from holdfast.decide.uploads.errors import WrongDigest
from holdfast.decide.uploads.room import Room
from holdfast.decide.uploads.rules import Begin, Finish, Limits, Receive, Refuse, Remove
from holdfast.decide.uploads.vocabulary import Append, Command, Create, Kind, Phase, Upload
from holdfast.errors import Evicted, HoldfastError, NotFound, QuotaExceeded
from holdfast.parts.uploads.ending import LEASE_S
from holdfast.parts.uploads.engine import Engine
from holdfast.parts.uploads.hashing import Hashes
from holdfast.parts.uploads.hooks import Whole
from holdfast.parts.uploads.intake import Intake, Pieces
from holdfast.stores.blobs import Part, Saved
from holdfast.stores.ledger import Entry

_STEP: Final = 16 * 1024 * 1024
"""So much more is reserved at once where the length is not known."""
_LOOK_S: Final = 2.0
"""For how long a look waits for an end that was begun: most are near."""

Told = Callable[[Upload, bool], None]
"""Hears of an upload that was made (True) before its first bytes are read, and whenever more of it is safe (False)."""


class Caller(NamedTuple):
    """Who asks."""

    owner: str
    again: Callable[[], Awaitable[None]]
    """Asks the application once more whether they may; raises if not."""


class Failed(Exception):
    """A command was refused or failed: with what error, and what is known of the upload."""

    def __init__(self, error: HoldfastError, upload: Upload | None, *, whole: bool) -> None:
        """`whole`: all bytes were taken, and the error is about the file that they make."""
        super().__init__(error.detail)
        self.error = error
        self.upload = upload
        self.whole = whole


class Act:
    """One command of one caller."""

    def __init__(
        self,
        engine: Engine,
        caller: Caller,
        *,
        limits: Limits | None = None,
        resumable: bool = True,
        left_open: bool = False,
        tell: Told | None = None,
    ) -> None:
        """`resumable`: what breaks off is kept. `tell` hears how far it is.

        What is `left_open` is published as `whole` and not ended: whoever asked for it does that.
        """
        self._engine = engine
        self._caller = caller
        self._resumable = resumable
        self._tell = tell
        self._limits = limits or engine.limits
        self._left_open = left_open
        self._entry: Entry | None = None
        self._length: int | None = None
        """The length, where this command tells it."""
        self._ends = False
        """Whether all bytes are here, and all were asked who had to be."""
        self._reserved = 0
        self._over: Refuse | None = None
        self._whole = False
        self._made_here = False
        self.whole: Whole | None = None
        """What came of an upload that is left open."""

    async def carry_out(self, upload_id: str | None, command: Command, more: Pieces) -> Upload:
        """Do what `command` asks; the upload as it is then (as it was, where it is removed). Raises Failed."""
        try:
            if upload_id is not None:
                self._entry = await self._engine.ledger.find(upload_id)
            return await self._do(command, more)
        except HoldfastError as error:
            await self._give_up(error)
            upload = None if self._entry is None else self._entry.upload
            mine = upload is not None and upload.owner == self._caller.owner
            raise Failed(error, upload if mine else None, whole=self._whole) from error
        except BaseException:
            await self._give_up(None)
            raise

    async def _do(self, command: Command, more: Pieces) -> Upload:
        decision = await self._decided(command)
        if isinstance(decision, Begin) and isinstance(command, Create):
            await self._engine.find_room(decision.reserve)
            with self._engine.place(self._caller.owner):
                return await self._create(command, decision, more)
        entry = self._known()
        if isinstance(decision, Receive) and isinstance(command, Append):
            with self._engine.place(self._caller.owner):
                return await self._append(command, more)
        if isinstance(decision, Remove):
            return await self._remove(command)
        if isinstance(decision, Finish):
            self._whole = True
            return await self._engine.awaited(entry.upload.id)
        if entry.upload.phase is Phase.FINISHING:
            return await self._engine.awaited(entry.upload.id, _LOOK_S)
        return entry.upload

    async def _decided(self, command: Command) -> rules.Decision:
        wanted = command.parts if isinstance(command, Create) else ()
        found = [await self._engine.ledger.find(part) for part in wanted[: self._limits.max_parts]]
        decision = rules.decide(
            None if self._entry is None else self._entry.upload,
            command,
            self._limits,
            owner=self._caller.owner,
            now=time.time(),
            parts=[None if part is None else part.upload for part in found],
        )
        if isinstance(decision, Refuse):
            raise self._refused(decision)
        return decision

    def _refused(self, decision: Refuse) -> HoldfastError:
        self._over = decision
        return decision.error

    def _known(self) -> Entry:
        if self._entry is None:
            raise NotFound
        return self._entry

    # -- a new one --

    async def _create(self, command: Create, decision: Begin, more: Pieces) -> Upload:
        upload = self._made(command, decision.length)
        ledger = self._engine.ledger
        reserve = 0 if command.kind is Kind.FINAL else decision.reserve  # its parts still have theirs
        self._reserved = reserve
        await self._engine.within(upload.owner, lambda room: ledger.create(upload, reserve, room))
        self._entry, self._made_here = Entry(upload, Saved(0, "")), True
        if self._tell is not None:
            self._tell(upload, True)
        if command.kind is Kind.FINAL:
            await self._join(upload)
        if decision.finishes:
            await self._allowed_to_end(upload.length or 0)
            await self._save(self._known().saved)
            return await self._finish(None)
        if not command.has_content:
            return upload
        return await self._receive(command, Receive(decision.length, decision.most, decision.over), more)

    def _made(self, command: Create, length: int | None) -> Upload:
        now = time.time()
        return Upload(
            id=secrets.token_hex(16),
            owner=self._caller.owner,
            created=now,
            expires=now + self._engine.settings.expires_s,
            length=length,
            name=command.name,
            media_type=command.media_type,
            metadata=command.metadata,
            kind=command.kind,
            parts=command.parts,
            digests=command.digests,
            turn=1,
        )

    async def _join(self, upload: Upload) -> None:
        found = [await self._engine.ledger.find(part) for part in upload.parts]
        there = [(part.upload.id, part.saved) for part in found if part is not None]
        saved = await self._engine.blobs.join(upload.id, there)
        if saved.offset != upload.length:
            raise NotFound("A part went away meanwhile.")
        self._entry = Entry(dataclasses.replace(upload, offset=saved.offset), saved)
        for part in found:  # from here on the bytes count once, for the whole
            if part is not None:
                await self._engine.ledger.reserve(part.upload.id, part.upload.turn, 0, Room())

    # -- more of one --

    async def _append(self, command: Append, more: Pieces) -> Upload:
        """Take the turn, so that whoever had it can save nothing more; then look again, and receive."""
        upload_id = self._known().upload.id
        await self._claim(upload_id)
        decision = await self._decided(command)
        if isinstance(decision, Receive):
            return await self._receive(command, decision, more)
        self._whole = True
        return await self._engine.awaited(upload_id)

    async def _claim(self, upload_id: str) -> None:
        """Take the turn of an upload that receives. One that is past that is left to whoever ends it."""
        ledger = self._engine.ledger
        claimed = await ledger.claim(upload_id, time.time() + self._engine.settings.expires_s, Phase.RECEIVING)
        if claimed is not None:
            self._engine.evict(upload_id)
        self._entry = claimed or await ledger.find(upload_id)

    async def _receive(self, command: Create | Append, decision: Receive, more: Pieces) -> Upload:
        entry = self._known()
        begun_at = entry.saved.offset
        if entry.upload.length is None and decision.length is not None:
            self._length = decision.length
            await self._reserve(decision.length)
        elif entry.upload.length is not None:
            self._reserved = entry.upload.length
        else:
            self._reserved = max(self._reserved, begun_at)

        async def may_hold(total: int) -> None:
            if decision.most is not None and total - begun_at > decision.most:
                raise self._refused(decision.over)
            if total > self._reserved:
                await self._reserve_more(total)

        digests = command.content_digests
        whole = self._engine.hashes(entry)
        body = Hashes({digest.algorithm for digest in digests})
        before = whole.copy() if whole is not None and digests else None
        try:
            opened = self._engine.blobs.opened(entry.upload.id, entry.saved, self._engine.current(entry.upload))
            async with opened as part:
                intake = Intake(
                    part,
                    [hashes for hashes in (whole, body) if hashes is not None],
                    self._save,
                    self._engine.pace,
                    may_hold=may_hold,
                    withheld=bool(digests),
                    length=decision.length,
                )
                with self._engine.holding(entry.upload, intake, resumable=self._resumable):
                    await intake.take(more)
                    wrong = body.wrong(digests)
                    if wrong:
                        raise WrongDigest(wrong, "Content-Digest")
                    await self._taken(command, decision, part, intake)
        finally:
            if not self._ends:
                self._engine.keep_hashes(self._known(), whole)
                self._engine.keep_hashes(self._known(), before)
        return await self._finish(whole) if self._ends else self._known().upload

    async def _taken(self, command: Create | Append, decision: Receive, part: Part, intake: Intake) -> None:
        """The body is here whole: make it safe, and note that the end begins where it does."""
        upload = dataclasses.replace(self._known().upload, length=decision.length)
        what = rules.after(upload, command, part.offset)
        if isinstance(what, Refuse):
            raise self._refused(what)
        if isinstance(what, Finish):
            self._length = what.length
            await self._allowed_to_end(what.length)
        before = self._entry
        await intake.finish()
        if self._entry is before:  # nothing came; what was told counts all the same
            await self._save(self._known().saved)

    async def _allowed_to_end(self, length: int) -> None:
        """Ask who must be asked before the end. Where one says no, the upload stays as it was saved last."""
        await self._caller.again()
        await self._reserve(length)
        self._ends = True

    async def _finish(self, hashes: Hashes | None) -> Upload:
        entry = self._known()
        self._whole = True
        if self._left_open:
            self.whole = await self._engine.ending.whole(entry, hashes)
            return self.whole.upload
        try:
            return await self._engine.ending.finish(entry, hashes)
        except Evicted:  # another process took it up
            return await self._engine.awaited(entry.upload.id)

    # -- what is noted --

    async def _save(self, saved: Saved) -> None:
        entry = self._known()
        upload = entry.upload
        length = self._length if self._length is not None else upload.length
        ending = self._ends and not self._left_open
        phase = Phase.FINISHING if ending else None
        expires = time.time() + (LEASE_S if ending else self._engine.settings.expires_s)
        await self._engine.ledger.save(upload.id, upload.turn, saved, length=self._length, expires=expires, phase=phase)
        made = dataclasses.replace(
            upload, offset=saved.offset, length=length, expires=expires, phase=phase or upload.phase
        )
        self._entry = Entry(made, saved)
        if self._tell is not None and not ending:
            self._tell(made, False)

    async def _reserve(self, total: int) -> None:
        upload = self._known().upload
        ledger = self._engine.ledger

        async def reserve(room: Room) -> None:
            await ledger.reserve(upload.id, upload.turn, total, room._replace(owner_uploads=None))

        await self._engine.within(upload.owner, reserve)
        self._reserved = total

    async def _reserve_more(self, total: int) -> None:
        await self._engine.find_room(total - self._reserved)
        try:
            await self._reserve(total + _STEP)
        except QuotaExceeded:
            await self._reserve(total)

    # -- what goes --

    async def _remove(self, command: Command) -> Upload:
        upload = self._known().upload
        await self._claim(upload.id)
        if self._entry is not None:
            decision = await self._decided(command)
            await self._engine.forget(self._entry, with_bytes=not isinstance(decision, Remove) or decision.bytes)
        return upload

    async def _give_up(self, error: HoldfastError | None) -> None:
        """Note what is over with this, and keep nothing of what cannot be gone on with."""
        entry = self._entry
        if entry is None or entry.upload.owner != self._caller.owner or isinstance(error, Evicted):
            return
        if error is not None and self._over is not None and self._over.ends and error is self._over.error:
            await self._engine.refuse(entry, error)
        elif self._made_here and not self._resumable and (self._left_open or not self._whole):
            await self._engine.forget(entry)
