"""The probes on an address of their own."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from http import HTTPStatus

from holdfast.errors import HoldfastError
from holdfast.parts import metrics, probes

_LOG = logging.getLogger("holdfast.metrics")
_HEAD_BYTES = 8192
_HEAD_S = 5.0


@contextlib.asynccontextmanager
async def listening(
    address: str,
    state: Callable[[], tuple[str, probes.Standing]],
    checks: probes.Checks | None = None,
    details: probes.Details | None = None,
    numbers: metrics.Metrics | None = None,
) -> AsyncGenerator[None]:
    """Answer the probes on `address` (HOST:PORT) while the block runs; nothing where it is empty.

    `details` says more than `state`, for the body of the answer. Metrics are answered where `numbers` are.

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
            path = head.split(b" ", 2)[1].partition(b"?")[0].decode("ascii", "replace")
            status, body, kind = 404, b'{"status":"not found"}', "application/json"
            if path in probes.PATHS:
                status, body = await probes.ask(path, *state(), checks, details)
            elif path == metrics.PATH and numbers is not None and numbers.at_health:
                status, body, kind = await _told(numbers, head)
            writer.write(_response(status, b"" if head.startswith(b"HEAD ") else body, kind, len(body)))
            async with asyncio.timeout(_HEAD_S):
                await writer.drain()
            writer.close()
            return
        writer.transport.abort()  # it said nothing, or takes nothing

    server = await asyncio.start_server(answer, host.strip("[]") or "127.0.0.1", int(port), limit=_HEAD_BYTES)
    async with server:
        yield


async def _told(numbers: metrics.Metrics, head: bytes) -> tuple[int, bytes, str]:
    """The answer to a scrape: status, body, content type."""
    lines = [line.partition(b":") for line in head.split(b"\r\n")]
    accept = [value.strip().decode("latin-1") for name, _, value in lines if name.lower() == b"accept"]
    try:
        kind, body = await numbers.answer(accept)
    except HoldfastError as error:
        return error.status, f'{{"status":"{error.code}"}}'.encode(), "application/json"
    except Exception as error:  # noqa: BLE001 - whatever collecting brings about: the probes are answered on
        _LOG.error("metrics cannot be told", exc_info=error)
        return 500, b'{"status":"failed"}', "application/json"
    return 200, body, kind


def _response(status: int, body: bytes, kind: str, length: int) -> bytes:
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {kind}\r\n"
        f"content-length: {length}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
