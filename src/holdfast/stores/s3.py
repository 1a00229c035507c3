"""Uploads and files in a bucket of S3, or of a server that speaks like it.

    PREFIX/ID                    a file that is whole; until then, the multipart upload that it comes of
    PREFIX/incoming/ID/...       side objects: bytes that are too few for a part; notes of which numbers are taken

The bucket is there already. Several processes and machines may use it at the same time: what somebody sends who was
evicted lies under names and numbers of their own, where nobody looks for it.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

from holdfast.errors import Evicted, NotFound, SettingsInvalid, Unavailable, UploadGone
from holdfast.stores.blobs import UPLOAD_ID, Current, Saved, checked
from holdfast.stores.s3_client import Bucket, Missing, Times
from holdfast.stores.s3_part import S3Part
from holdfast.stores.s3_room import Room
from holdfast.stores.s3_state import State, read
from holdfast.stores.s3_whole import Keys, clear

_URL: Final = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[A-Za-z0-9._/-]*))?")


class S3:
    """A bucket of uploads and files. The methods are explained in `blobs.Blobs`."""

    def __init__(
        self,
        url: str,
        *,
        part_bytes: int = 8 << 20,
        memory_bytes: int = 256 << 20,
        threads: int = 16,
        times: Times | None = None,
    ) -> None:
        """Keep them in `url`, which is `s3://bucket` or `s3://bucket/prefix`. Raises SettingsInvalid for another one.

        Parts have `part_bytes` at first, 5 MiB at least where the server asks for that as S3 does; they grow eightfold,
        so that a file of 60,000 times that finds room. About `memory_bytes` are held in memory at most, and as many
        requests as there are `threads` are under way at the same time.
        """
        found = _URL.fullmatch(url)
        if found is None:
            raise SettingsInvalid(["the address of a bucket is s3://bucket or s3://bucket/prefix"])
        prefix = (found["prefix"] or "").strip("/")
        self._bucket = Bucket(found["bucket"], f"{prefix}/" if prefix else "", times or Times(), threads)
        self._part_bytes = part_bytes
        self._room = Room(memory_bytes)
        self._open: dict[str, S3Part] = {}

    async def __aenter__(self) -> Self:
        """Look into the bucket, so that a wrong name or wrong credentials are found at once."""
        async for _ in self._bucket.listed("incoming/"):
            break
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open, and let the threads end."""
        for part in self._open.values():
            part.close(Unavailable("This server is stopping."))
        self._bucket.close()

    @asynccontextmanager
    async def opened(self, upload_id: str, saved: Saved, current: Current | None = None) -> AsyncGenerator[S3Part]:
        """Open an upload."""
        keys = Keys(checked(upload_id))
        state = read(saved)
        whole = await self._found(keys, state) if saved.offset else False
        if current is not None:
            await current()
        holder = self._open.get(upload_id)
        if holder is not None:
            holder.close(Evicted())
        part = S3Part(self._bucket, keys, self._room, state, part_bytes=self._part_bytes, whole=whole)
        self._open[upload_id] = part
        try:
            yield part
        finally:
            if self._open.get(upload_id) is part:
                del self._open[upload_id]
            part.close(RuntimeError("the upload is not open any more"))

    async def _found(self, keys: Keys, state: State) -> bool:
        """Look whether an upload is published. Raises UploadGone if nothing is there."""
        whole, parts, tail = await asyncio.gather(
            self._bucket.size(keys.whole), self._has_parts(keys, state), self._has_tail(state)
        )
        if whole is None and not (parts and tail):
            raise UploadGone("Bytes that were saved are not there any more.")
        return whole is not None

    async def _has_parts(self, keys: Keys, state: State) -> bool:
        try:
            return not state.runs or bool(await self._bucket.parts(keys.whole, state.upload, most=1))
        except Missing:
            return False

    async def _has_tail(self, state: State) -> bool:
        return not state.tail or await self._bucket.size(state.tail[0].key) == state.tail[0].size

    async def join(self, upload_id: str, parts: Sequence[tuple[str, Saved]]) -> Saved:
        """Copy `parts`, which are published for that."""
        async with self.opened(upload_id, Saved(0, "")) as joined:
            for part_id, saved in parts:
                if await self.size(part_id) is None:
                    async with self.opened(part_id, saved) as part:
                        await part.publish()
                await joined.add(Keys(part_id).whole, saved.offset)
            return await joined.sync()

    async def read(self, upload_id: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """Read a published file."""
        try:
            async for piece in self._bucket.read(Keys(checked(upload_id)).whole, start, end):
                yield piece
        except Missing:
            raise NotFound from None

    async def size(self, upload_id: str) -> int | None:
        """Look how large a published file is."""
        return await self._bucket.size(Keys(checked(upload_id)).whole)

    async def remove(self, upload_id: str, saved: Saved | None = None) -> None:
        """Remove an upload and a file."""
        keys = Keys(checked(upload_id))
        holder = self._open.pop(upload_id, None)
        if holder is not None:
            holder.close(Evicted())
        if saved is not None and read(saved).upload:
            await self._bucket.abort(keys.whole, read(saved).upload)
        await clear(self._bucket, keys)
        await self._bucket.delete(keys.whole)

    async def leftovers(self, older_than: float) -> AsyncGenerator[str]:
        """Look through multipart uploads and side objects. What is left of a published file is removed on the way."""
        touched: dict[str, float] = {}
        async for found in self._bucket.listed("incoming/"):  # whoever sends parts leaves notes there
            upload_id = found.key.split("/")[1]
            touched[upload_id] = max(found.changed, touched.get(upload_id, 0.0))
        async for upload in self._bucket.uploads(""):
            touched[upload.key] = max(upload.begun, touched.get(upload.key, 0.0))
        for upload_id, at in touched.items():
            if at >= older_than or not UPLOAD_ID.fullmatch(upload_id) or upload_id in self._open:
                continue
            if await self.size(upload_id) is None:
                yield upload_id
            else:
                await clear(self._bucket, Keys(upload_id))

    async def free(self) -> int | None:
        """There is no bound that it would tell of."""
        return None
