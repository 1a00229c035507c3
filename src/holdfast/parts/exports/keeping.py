"""An export as a file in a store: whole or not there at all."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import NamedTuple

from holdfast.decide.exports.formats import Format
from holdfast.errors import HoldfastError
from holdfast.parts.exports.export import Export
from holdfast.stores.blobs import Blobs, Part, Saved


class Kept(NamedTuple):
    """An export that is a file."""

    id: str
    """What the store knows it by."""
    name: str
    """What it is called where it is saved."""
    media_type: str
    size: int
    """Bytes."""
    sha256: str
    """In hexadecimal."""
    rows: int


async def keep(export: Export, blobs: Blobs, form: Format, file_id: str | None = None) -> Kept:
    """Write an export into a store that is open. It appears there at once, durable, when all of it is written.

    Raises what its source raises, InsufficientStorage, Unavailable; then nothing of it is left.
    """
    file_id = file_id or secrets.token_hex(16)
    try:
        async with export.running(form, None, digest=True) as run, AsyncExitStack() as stack:
            part = await _opened(stack, blobs, file_id)
            size = await _written(run.next, part)
            await part.sync()
            await part.publish()
            made = run.progress
            return Kept(file_id, export.file_name(form), form.media_type, size, made.sha256 or "", made.rows or 0)
    except BaseException:
        with suppress(HoldfastError):
            await blobs.remove(file_id)
        raise


async def _opened(stack: AsyncExitStack, blobs: Blobs, file_id: str) -> Part:
    """Open a file; wait for that also when cancelled, for what appears later would be left behind."""
    opening = asyncio.ensure_future(stack.enter_async_context(blobs.opened(file_id, Saved(0, ""))))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait({opening})
        if not opening.cancelled():
            opening.exception()
        raise


async def _written(more: Callable[[], Awaitable[bytes | None]], part: Part) -> int:
    size = 0
    while (block := await more()) is not None:
        await part.write((block,))
        size += len(block)
    return size
