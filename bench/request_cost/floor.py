"""The application with the least that can write one JSON line a request: no ID, no redaction, no outcome, no problems.

What it costs is the price of any access log that is written as ASGI middleware, however good.
"""

import asyncio
import os
import time

import msgspec
from app import app as bare
from starlette.types import Message, Receive, Scope, Send

_encode = msgspec.json.Encoder().encode
_lines: list[bytes] = []


def _write() -> None:
    os.write(1, b"".join(_lines))
    _lines.clear()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve, and write a line."""
    if scope["type"] != "http":
        await bare(scope, receive, send)
        return
    started = time.perf_counter()
    status = 0

    async def answer(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    await bare(scope, receive, answer)
    line = {
        "time": time.time(),
        "level": "info",
        "event": "request",
        "method": scope["method"],
        "path": scope["path"],
        "client": scope["client"][0],
        "status": status,
        "duration_ms": (time.perf_counter() - started) * 1000,
    }
    if not _lines:
        asyncio.get_running_loop().call_later(0.02, _write)
    _lines.append(_encode(line) + b"\n")
