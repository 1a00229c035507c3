"""Uploads and files in the memory of one process: for tests, and to try things out. Nothing survives its end."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

from holdfast.errors import Evicted, InsufficientStorage, NotFound, UploadGone
from holdfast.stores.blobs import Current, Saved, checked

_PIECE: Final = 256 * 1024


class _Upload:
    """The bytes of an upload."""

    def __init__(self, now: float) -> None:
        self.content: bytearray = bytearray()
        self.touched = now
        self.whole = False
        self.holder: MemoryPart | None = None


class Memory:
    """Uploads and files in memory, of so many bytes altogether. The methods are explained in `blobs.Blobs`."""

    def __init__(self, most: int = 64 << 20, *, now: Callable[[], float] = time.time) -> None:
        """Hold at most `most` bytes. `now` is the clock, in seconds since the epoch."""
        self._most = most
        self._now = now
        self._uploads: dict[str, _Upload] = {}

    async def __aenter__(self) -> Self:
        """Nothing is to be opened."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is to be closed."""

    @asynccontextmanager
    async def opened(
        self, upload_id: str, saved: Saved, current: Current | None = None
    ) -> "AsyncGenerator[MemoryPart]":
        """Open an upload."""
        if current is not None:
            await current()
        upload = self._uploads.get(checked(upload_id)) or _Upload(self._now())
        if len(upload.content) < saved.offset:
            raise UploadGone("Bytes that were saved are not there any more.")
        self._uploads[upload_id] = upload
        if not upload.whole:
            del upload.content[saved.offset :]
        part = upload.holder = MemoryPart(self, upload)
        try:
            yield part
        finally:
            if upload.holder is part:
                upload.holder = None

    async def join(self, upload_id: str, parts: Sequence[tuple[str, Saved]]) -> Saved:
        """Copy what was saved of `parts` to a new upload."""
        async with self.opened(upload_id, Saved(0, "")) as joined:
            for part_id, saved in parts:
                source = self._uploads.get(checked(part_id))
                if source is None or len(source.content) < saved.offset:
                    raise UploadGone("A part went away meanwhile.")
                await joined.write([bytes(source.content[: saved.offset])])
            return await joined.sync()

    async def read(self, upload_id: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """Read a published file."""
        upload = self._uploads.get(checked(upload_id))
        if upload is None or not upload.whole:
            raise NotFound
        for piece in _pieces(upload.content[start:end]):
            yield piece

    async def size(self, upload_id: str) -> int | None:
        """The size of a published file."""
        upload = self._uploads.get(checked(upload_id))
        return len(upload.content) if upload is not None and upload.whole else None

    async def remove(self, upload_id: str, saved: Saved | None = None) -> None:  # noqa: ARG002 - others need it
        """Forget an upload."""
        upload = self._uploads.pop(checked(upload_id), None)
        if upload is not None:
            upload.holder = None

    async def leftovers(self, older_than: float) -> AsyncGenerator[str]:
        """Look through what is not published, and open nowhere."""
        for upload_id, upload in list(self._uploads.items()):
            if not upload.whole and upload.holder is None and upload.touched < older_than:
                yield upload_id

    async def free(self) -> int | None:
        """How many bytes still find room."""
        return self._most - sum(len(upload.content) for upload in self._uploads.values())

    async def take(self, upload: _Upload, pieces: Sequence[bytes]) -> None:
        """Add bytes to an upload. Raises InsufficientStorage."""
        if sum(map(len, pieces)) > (await self.free() or 0):
            raise InsufficientStorage
        for piece in pieces:
            upload.content += piece
        upload.touched = self._now()


class MemoryPart:
    """One upload, opened. The methods are explained in `blobs.Part`."""

    def __init__(self, memory: Memory, upload: _Upload) -> None:
        """Add to `upload`."""
        self._memory = memory
        self._upload = upload
        self._failed: InsufficientStorage | None = None

    @property
    def offset(self) -> int:
        """How many bytes it has taken."""
        return len(self._upload.content)

    def _go_on(self) -> None:
        if self._upload.holder is not self:
            raise Evicted
        if self._failed is not None:
            raise self._failed

    async def write(self, pieces: Sequence[bytes]) -> None:
        """Take bytes."""
        self._go_on()
        if self._upload.whole:
            raise UploadGone("This upload has ended.")
        try:
            await self._memory.take(self._upload, pieces)
        except InsufficientStorage as error:
            self._failed = error
            raise

    async def sync(self) -> Saved:
        """Say how much there is."""
        self._go_on()
        return Saved(self.offset, "")

    async def read(self) -> AsyncGenerator[bytes]:
        """Read what there is."""
        self._go_on()
        for piece in _pieces(self._upload.content):
            yield piece

    async def publish(self) -> None:
        """Make it visible."""
        self._go_on()
        self._upload.whole = True


def _pieces(content: bytearray) -> list[bytes]:
    return [bytes(content[start : start + _PIECE]) for start in range(0, len(content), _PIECE)]
