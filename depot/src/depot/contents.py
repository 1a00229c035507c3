"""The content of a stored file as a stream, for code that calculates in a thread.

The store is asynchronous, as whatever waits is; a thread that parses wants to read. So the thread waits here while the
event loop fetches the next piece. One piece is in memory at a time, however large the file is.
"""

import asyncio
import io
from collections.abc import AsyncGenerator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from holdfast import uploads

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER: Final = 256 * 1024


@asynccontextmanager
async def opened(blobs: uploads.Blobs, file_id: str) -> AsyncGenerator[BinaryIO]:
    """A stream for a thread, one at a time. Once the block has ended, so has the stream, for whoever still reads."""
    content = _Content(blobs, file_id)
    try:
        yield io.BufferedReader(content, _BUFFER)
    finally:
        await content.leave()


class _Content(io.RawIOBase):
    def __init__(self, blobs: uploads.Blobs, file_id: str) -> None:
        self._blobs = blobs
        self._id = file_id
        self._loop = asyncio.get_running_loop()
        self._at = 0
        self._piece = memoryview(b"")
        self._pieces: AsyncGenerator[bytes] | None = None
        self._next_at = 0
        self._fetching: asyncio.Task[bytes] | None = None
        self._over = False

    # -- in a thread --

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end is found by reading")
        self._at = offset if whence == io.SEEK_SET else self._at + offset
        if offset or whence == io.SEEK_SET:
            self._piece = memoryview(b"")
        return self._at

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        if not self._piece:
            self._piece = memoryview(self._fetched())
        into = memoryview(buffer).cast("B")
        count = min(len(into), len(self._piece))
        into[:count], self._piece = self._piece[:count], self._piece[count:]
        self._at += count
        return count

    def _fetched(self) -> bytes:
        if self._over:
            return b""
        try:
            return asyncio.run_coroutine_threadsafe(self._fetch(), self._loop).result()
        except CancelledError:
            return b""

    # -- on the loop --

    async def _fetch(self) -> bytes:
        if self._over:
            return b""
        self._fetching = asyncio.ensure_future(self._next())
        try:
            return await self._fetching
        finally:
            self._fetching = None

    async def _next(self) -> bytes:
        if self._pieces is None or self._next_at != self._at:
            await self._close()
            self._pieces = self._blobs.read(self._id, self._at)
        piece = await anext(self._pieces, b"")
        self._next_at = self._at + len(piece)
        return piece

    async def leave(self) -> None:
        """Nobody wants to know the rest: end what is being fetched."""
        self._over = True
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})
        await self._close()

    async def _close(self) -> None:
        pieces, self._pieces = self._pieces, None
        if pieces is not None:
            await pieces.aclose()
