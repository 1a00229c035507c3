"""What is served: bare ASGI, so that the server is what is measured.

`BENCH_TURNS` says how many turns of a loop take a millisecond. It is measured once for all contenders, so that each
calculates the same, not for the same time.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TURNS: Final = int(os.environ.get("BENCH_TURNS", "10000"))
CONNECTIONS: Final = 20
POOL: Final = asyncio.Semaphore(CONNECTIONS)


class Work(NamedTuple):
    """What a handler does."""

    cpu_ms: float
    """Half of it before it waits, and half after."""
    wait_ms: float
    pooled: bool = False
    """It waits with a connection of the pool."""


WORKS: Final[Mapping[str, Work]] = {
    "/ten": Work(10, 20),
    "/five": Work(5, 20),
    "/pool": Work(0, 50, pooled=True),
    "/small": Work(0, 0),
}


def burn(milliseconds: float) -> int:
    """Calculate."""
    found = 0
    for number in range(int(milliseconds * TURNS)):
        found ^= number
    return found


async def done(work: Work) -> None:
    """Do it."""
    burn(work.cpu_ms / 2)
    if work.pooled:
        async with POOL:
            await asyncio.sleep(work.wait_ms / 1000)
    elif work.wait_ms:
        await asyncio.sleep(work.wait_ms / 1000)
    burn(work.cpu_ms / 2)


async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Work, and answer with the number that stands in the query."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await done(WORKS[scope["path"]])
    body = b"done " + scope["query_string"].removeprefix(b"n=")
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
