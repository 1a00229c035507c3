"""The probes on an address of their own."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from http import HTTPStatus

from holdfast.parts import probes

_HEAD_BYTES = 8192
_HEAD_S = 5.0


@contextlib.asynccontextmanager
async def listening(
    address: str, state: Callable[[], tuple[str, probes.Standing]], checks: probes.Checks | None = None
) -> AsyncGenerator[None]:
    """Answer the probes on `address` (HOST:PORT) while the block runs; nothing where it is empty.

    Raises OSError where it cannot be listened on.
    """
    if not address:
        yield
        return
    host, _, port = address.rpartition(":")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode("ascii", "replace")
            status, body = 404, b'{"status":"not found"}'
            if path in probes.PATHS:
                status, body = await probes.ask(path, *state(), checks)
            writer.write(_response(status, body))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, host.strip("[]") or "127.0.0.1", int(port), limit=_HEAD_BYTES)
    async with server:
        yield


def _response(status: int, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
