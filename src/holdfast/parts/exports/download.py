"""A file of a store as an answer: whole or a part, resumable after a cut, and never shown by a browser."""

import base64
from collections.abc import Mapping
from contextlib import aclosing

from holdfast.asgi import Receive, Scope, Send, header
from holdfast.decide import ranges
from holdfast.decide.names import disposition
from holdfast.parts.exports.answering import Answering
from holdfast.stores.blobs import Blobs

_SAFE = {
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "private",
    "accept-ranges": "bytes",
}


class Download(Answering):
    """A file that is whole and will not change: an ASGI application."""

    def __init__(
        self,
        blobs: Blobs,
        file_id: str,
        *,
        size: int,
        sha256: str,
        name: str,
        media_type: str = "application/octet-stream",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """The file of `blobs` with this ID. Its SHA-256, in hexadecimal, is its strong ETag and its digest (RFC 9530).

        What a client sent is answered as `application/octet-stream`, whatever it says it is.
        """
        self._blobs = blobs
        self._file_id = file_id
        self._size = size
        self._etag = f'"{sha256}"'
        self._told = {
            "content-type": media_type,
            "content-disposition": disposition(name),
            "etag": self._etag,
            "repr-digest": f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:",
            **_SAFE,
            **(headers or {}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        """Answer a request for it, or for a part. Raises BadRequest, RangeNotSatisfiable, NotFound."""
        if self._is_known(scope):
            await self._head(send, 304, {})
            await send({"type": "http.response.body", "body": b""})
            return
        part = self._asked(scope)
        start, end = part or (0, self._size)
        told = {"content-length": str(end - start)}
        if part is not None:
            told["content-range"] = f"bytes {start}-{end - 1}/{self._size}"
        status = 200 if part is None else 206
        if scope["method"] == "HEAD" or start >= end:
            await self._head(send, status, told)
        else:
            async with aclosing(self._blobs.read(self._file_id, start, end)) as pieces:
                first = await anext(pieces, b"")  # before the head: a file that is gone has an answer of its own
                await self._head(send, status, told)
                await send({"type": "http.response.body", "body": first, "more_body": True})
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _asked(self, scope: Scope) -> ranges.Part | None:
        if_range = _text(scope, b"if-range")
        return ranges.asked(_text(scope, b"range"), self._size, still_valid=if_range is None or if_range == self._etag)

    def _is_known(self, scope: Scope) -> bool:
        """Whether the client has it already (RFC 9110, section 13.1.2)."""
        known = _text(scope, b"if-none-match")
        named = [] if known is None else [one.strip().removeprefix("W/") for one in known.split(",")]
        return "*" in named or self._etag in named

    async def _head(self, send: Send, status: int, more: Mapping[str, str]) -> None:
        told = {**self._told, **more}
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in told.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})


def _text(scope: Scope, name: bytes) -> str | None:
    found = header(scope, name)
    return None if found is None else found.decode("latin-1")
