"""The application behind the limit that many write themselves: so many at once, and 503 for the rest."""

import os
from collections.abc import Mapping
from typing import Any, Final

from app import Receive, Send
from app import app as bare

LIMIT: Final = int(os.environ.get("BENCH_LIMIT", "64"))
_under_way = 0


async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Pass on, or refuse."""
    global _under_way  # noqa: PLW0603 - as such middleware is written
    if scope["type"] != "http":
        await bare(scope, receive, send)
    elif _under_way >= LIMIT:
        await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
    else:
        _under_way += 1
        try:
            await bare(scope, receive, send)
        finally:
            _under_way -= 1
