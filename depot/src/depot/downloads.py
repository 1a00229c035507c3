"""A file on its way out: byte for byte, as an attachment of no type, so that a browser saves it and never shows it.

Async, for each piece waits for the store, and then for the client.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from fastapi.responses import StreamingResponse

from depot import ranges
from depot.models import File
from holdfast import uploads


def answer(file: File, blobs: uploads.Blobs, headers: Mapping[str, str]) -> StreamingResponse:
    """The file, or the part of it that the request's `headers` ask for. Raises BadRequest, RangeNotSatisfiable."""
    etag = f'"{file.sha256}"'
    part = ranges.asked(headers.get("range"), file.size, still_valid=headers.get("if-range", etag) == etag)
    start, end = part or (0, file.size)
    safe = {
        "content-length": str(end - start),
        "content-disposition": uploads.disposition(file.name),
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
        "cache-control": "private",
        "accept-ranges": "bytes",
        "etag": etag,
    }
    if part is not None:
        safe["content-range"] = f"bytes {start}-{end - 1}/{file.size}"
    status = 200 if part is None else 206
    return StreamingResponse(_bytes(blobs, file.id, start, end), status, safe, media_type="application/octet-stream")


async def _bytes(blobs: uploads.Blobs, file_id: str, start: int, end: int) -> AsyncGenerator[bytes]:
    if start == end:
        return
    async with aclosing(blobs.read(file_id, start, end)) as pieces:
        async for piece in pieces:
            yield piece
