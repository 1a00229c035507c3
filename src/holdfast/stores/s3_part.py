"""An upload that is being received in S3.

Bytes are gathered until they fill a part, which is then sent while the next ones come; a few parts are on their way at
the same time. What is too little for a part becomes a side object when it has to be safe, and the beginning of the next
part later: the server takes no part of less than 5 MiB but the last.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec

from holdfast.errors import Unavailable, UploadGone
from holdfast.stores.blobs import Saved
from holdfast.stores.s3_client import Bucket, Missing, NotOffered
from holdfast.stores.s3_numbers import Numbers
from holdfast.stores.s3_room import Room, split
from holdfast.stores.s3_state import Piece, State, size_of
from holdfast.stores.s3_whole import Keys, clear, put_together

_LOG = logging.getLogger("holdfast.uploads")
_ON_THE_WAY: Final = 4
_PIECES: Final = 8
"""So many side objects are put together into one."""
_SPILL: Final = 256 * 1024
_SMALLEST: Final = 5 << 20
_LARGEST_COPY: Final = 512 << 20


class S3Part:
    """One upload, opened. The methods are explained in `blobs.Part`."""

    def __init__(self, bucket: Bucket, keys: Keys, room: Room, state: State, *, part_bytes: int, whole: bool) -> None:
        """Go on from `state`; `whole` if it is published already. Parts have `part_bytes` at first."""
        self._bucket = bucket
        self._keys = keys
        self._room = room
        self._state = state
        self._part_bytes = part_bytes
        self._whole = whole
        self._numbers = Numbers(bucket, keys.folder, state.last)
        self._stored: list[bytes] = []  # what is in side objects, where it is still in memory
        self._fresh: list[bytes] = []  # what comes behind that, and is nowhere else
        self._unsafe = 0  # so many bytes are fresh
        self._sending: set[asyncio.Task[None]] = set()
        self._replaced: list[str] = []
        self._useless: list[str] = []
        self._ended: BaseException | None = None
        self._turn = asyncio.Lock()

    @property
    def offset(self) -> int:
        """How many bytes it has taken."""
        return self._state.in_parts + self._behind

    @property
    def _behind(self) -> int:
        return self._state.in_tail + self._unsafe

    async def write(self, pieces: Sequence[bytes]) -> None:
        """Take bytes; wait only for what is on its way."""
        self._go_on()
        if self._whole:
            raise UploadGone("This upload has ended.")
        self._take([piece for piece in pieces if piece])
        if self._behind < size_of(self._numbers.upcoming, self._part_bytes) and not self._room.full:
            return
        async with self._my_turn():
            await self._advance()
            await self._make_room()

    async def sync(self) -> Saved:
        """Make safe what was taken so far."""
        async with self._my_turn():
            await self._forget(self._useless)
            await self._advance()
            await self._landed()
            await self._store()
            self._go_on()
            self._useless, self._replaced = self._replaced, []
            return self._state.saved()

    async def read(self) -> AsyncGenerator[bytes]:
        """Read what is published; parts cannot be read."""
        if not self._whole:
            raise NotImplementedError
        try:
            async for piece in self._bucket.read(self._keys.whole):
                yield piece
        except Missing:
            raise self._lost("the file is not there any more") from None

    async def publish(self) -> None:
        """Put the parts together under the upload's own key, unless that is done."""
        async with self._my_turn():
            await self._landed()
            size = await self._bucket.size(self._keys.whole)
            if size is None:
                size = await self._put_together()
            if size != self.offset:
                raise self._lost("the file is not as large as what was saved")
            self._whole = True
            with suppress(Unavailable):  # what stays is found by `leftovers`
                await clear(self._bucket, self._keys)

    async def add(self, source: str, size: int) -> None:
        """Take the first `size` bytes of an object, without fetching them where the server can copy."""
        async with self._my_turn():
            start = 0
            if self._behind:
                start = min(size, size_of(self._numbers.upcoming, self._part_bytes) - self._behind)
                await self._read_through(source, 0, start)
            if not self._behind and size - start >= min(_SMALLEST, self._part_bytes):
                start = await self._copied(source, start, size)
            await self._read_through(source, start, size)

    def close(self, why: BaseException) -> None:
        """Take no more. What is on its way lands or not; nobody counts on it. Whoever goes on is told `why`."""
        self._ended = self._ended or why
        self._room.hold(-sum(map(len, self._stored)) - self._unsafe)
        self._stored, self._fresh, self._unsafe = [], [], 0

    # -- on the loop --

    def _go_on(self) -> None:
        if self._ended is not None:
            raise self._ended

    @asynccontextmanager
    async def _my_turn(self) -> AsyncGenerator[None]:
        """One at a time; what fails ends the part."""
        async with self._turn:
            self._go_on()
            try:
                yield
            except Missing:
                self._ended = self._ended or self._lost("an object or a multipart upload is not there any more")
                raise self._ended from None
            except Exception as error:
                self._ended = self._ended or error
                raise

    def _lost(self, why: str) -> UploadGone:
        _LOG.error("acknowledged bytes are not in the bucket", extra={"upload": self._keys.whole, "why": why})
        return UploadGone("Bytes that were saved are not there any more.")

    async def _put_together(self) -> int | None:
        """Make the object, unless somebody else is quicker; how large it is, None if it is not there after all."""
        with suppress(Missing):
            await self._fetch()
            await put_together(self._bucket, self._keys, self._state, [*self._stored, *self._fresh], self._numbers)
        return await self._bucket.size(self._keys.whole)

    # -- what is gathered --

    def _take(self, pieces: Sequence[bytes]) -> None:
        size = sum(map(len, pieces))
        self._fresh += pieces
        self._unsafe += size
        self._room.hold(size)

    async def _advance(self) -> None:
        """Send what fills parts."""
        while self._behind >= size_of(self._numbers.upcoming, self._part_bytes):
            number = await self._numbers.next()
            size = size_of(number, self._part_bytes)
            if self._behind < size:
                continue
            await self._begin()
            await self._fetch()
            while len(self._sending) >= _ON_THE_WAY or (self._room.full and self._sending):
                await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            self._go_on()
            self._send(number, size)

    def _send(self, number: int, size: int) -> None:
        """Begin to send a part of the first `size` bytes that were gathered, and count it in."""
        pieces, self._fresh = split([*self._stored, *self._fresh], size)
        self._replaced += [piece.key for piece in self._state.tail]
        self._unsafe = self._behind - size
        self._stored = []
        self._state = self._state.with_part(number, size)
        self._numbers.take()
        self._room.begin()
        task = asyncio.create_task(self._sent(number, pieces, size))
        self._sending.add(task)
        task.add_done_callback(self._done)

    async def _sent(self, number: int, pieces: list[bytes], size: int) -> None:
        try:
            await self._bucket.send(self._keys.whole, self._state.upload, number, pieces)
        finally:
            self._room.end(size)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._sending.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Missing):
            error = self._lost("the multipart upload is not there any more")
        self._ended = self._ended or error

    async def _landed(self) -> None:
        while self._sending:
            await asyncio.wait(self._sending)
        self._go_on()

    async def _make_room(self) -> None:
        """Where the memory is full, wait for somebody's part to land, or keep what came in a side object instead."""
        while self._room.full and self._unsafe >= _SPILL:
            if self._room.sending:
                await self._room.change()
            else:
                await self._store()
            self._go_on()

    # -- side objects --

    async def _store(self) -> None:
        """Put what came into a side object; all of what is not in parts, where that is little or in many pieces."""
        if not self._unsafe:
            return
        if len(self._state.tail) >= _PIECES:
            await self._fetch()
        anew = bool(self._stored) and (self._state.in_tail <= _SPILL or len(self._state.tail) >= _PIECES)
        count, size = len(self._fresh), self._unsafe
        key = f"{self._keys.folder}{self.offset - size:016x}-{secrets.token_hex(8)}"
        await self._bucket.put(key, [*(self._stored if anew else ()), *self._fresh], new=False)
        self._go_on()
        before = self._state.tail
        if anew:
            self._replaced += [piece.key for piece in before]
            tail = (Piece(key, self._state.in_tail + size),)
        else:
            tail = (*before, Piece(key, size))
        if self._room.plenty and (self._stored or not before):
            self._stored += self._fresh[:count]
        else:
            self._room.hold(-size - sum(map(len, self._stored)))
            self._stored = []
        del self._fresh[:count]
        self._unsafe -= size
        self._state = msgspec.structs.replace(self._state, tail=tail)

    async def _fetch(self) -> None:
        """Have what is in side objects in memory. Raises Missing."""
        if self._stored or not self._state.tail:
            return
        found: list[bytes] = []
        for stored in self._state.tail:
            found += [piece async for piece in self._bucket.read(stored.key)]
        if sum(map(len, found)) != self._state.in_tail:
            raise Missing
        self._go_on()
        self._stored = found
        self._room.hold(self._state.in_tail)

    async def _forget(self, keys: list[str]) -> None:
        while keys:
            await self._bucket.delete(keys.pop())

    # -- joining --

    async def _begin(self) -> None:
        if not self._state.upload:
            self._state = msgspec.structs.replace(self._state, upload=await self._bucket.begin(self._keys.whole))

    async def _read_through(self, source: str, start: int, end: int) -> None:
        if start == end:
            return
        async for piece in self._bucket.read(source, start, end):
            start += len(piece)
            self._take([piece])
            await self._advance()
        if start != end:
            raise UploadGone("A part went away meanwhile.")

    async def _copied(self, source: str, start: int, end: int) -> int:
        """Make parts of the bytes of an object from `start` on; where they end."""
        await self._begin()
        count = -(-(end - start) // _LARGEST_COPY)
        for left in range(count, 0, -1):
            size = (end - start) // left
            number = await self._numbers.next()
            self._numbers.take()
            try:
                await self._bucket.copy(self._keys.whole, self._state.upload, number, source, start, start + size)
            except NotOffered:
                return start
            self._go_on()
            self._state = self._state.with_part(number, size)
            start += size
        return start
