"""What the little shops of the grid have in common: the routes that each has, and the shelf that tests look at.

Each shop is an ordinary application of its framework; none knows of the server that it runs under.

    GET  HEAD  /items/{item_id}   JSON of the ID and of what the start left in the state; logs `item read`
    PUT        /items/{item_id}   JSON in, the same out with the ID
    GET        /request           JSON of what the application sees of the request
    GET        /url               the address of item 7, as the framework makes it
    GET        /own/{status}      an error body of its own
    GET        /breaks            raises before the first byte
    GET        /half              raises after the first piece
    GET        /empty  /same      204 and 304
    GET        /cookies  /large   two cookies; a header of 16 KiB
    GET        /thread            logs from a thread
    GET        /meet/{name}       logs, waits until a second one has come, logs again
    POST       /upload/{key}      reads piece by piece, notes how much it has
    POST       /held/{key}        reads one piece, waits for the release, reads the rest
    POST       /guarded           answers 401 without reading
    GET  HEAD  /stream/{key}      sends `first`, waits for the release, sends `last`
    GET        /flood/{key}       32 MiB in pieces of 64 KiB, notes how many it has made
    GET        /ticks/{key}       never ends; notes when it is told to
    GET        /wait/{key}        notes that it waits for the release, then answers
    GET        /events/{key}      server-sent events: one, waits for the release, two
    GET        /slow              streams: begins, and ends half a second later
    POST       /later/{key}       answers; a background task waits for the release and notes that it has run
    GET        /sub/hello/{name}  of an application that is mounted at /sub
    GET        /seen/{key}        what was noted under the key
    POST       /release/{key}     lets whoever waits for it go on
    WebSocket  /ws/{key}          echoes; `close` is answered with the code 4001, `raise` with an exception
    WebSocket  /denied            is denied

The middleware of each adds `x-shop: open` to every HTTP answer. Each has a start and an end that log `the shop is open`
and `the shop is closed`; with SHOP_START or SHOP_STOP set to `fails` the one or the other raises.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator

log = logging.getLogger("shop")

LARGE = "x" * 16_384
PIECE = b"y" * 65_536
PIECES = 512

seen: dict[str, object] = {}
_releases: dict[str, asyncio.Event] = {}
_met: list[str] = []


def say(text: str) -> None:
    """Say something of the shop itself: in the log or, with SHOP_PLAIN, at once on standard error.

    Litestar's own logging writes from a thread, which uvicorn does not wait for.
    """
    if os.environ.get("SHOP_PLAIN"):
        os.write(2, f"{text}\n".encode())
    else:
        log.warning(text)


def opened() -> str:
    """What the start leaves in the state."""
    if os.environ.get("SHOP_START") == "fails":
        raise RuntimeError("the shelves are missing")
    say("the shop is open")
    return "by the first light"


def closed() -> None:
    """The end of the shop."""
    say("the shop is closed")
    if os.environ.get("SHOP_STOP") == "fails":
        raise RuntimeError("the door is stuck")


def _release(key: str) -> asyncio.Event:
    return _releases.setdefault(key, asyncio.Event())


def release(key: str) -> None:
    """Let whoever waits under the key go on."""
    _release(key).set()


async def released(key: str) -> None:
    """Wait until a test says so."""
    await _release(key).wait()


async def meet(name: str) -> None:
    """Wait until a second one has come."""
    log.info("before the meeting", extra={"who": name})
    _met.append(name)
    if len(_met) % 2:
        await released(f"meeting {len(_met) + 1}")
    else:
        release(f"meeting {len(_met)}")
    log.info("after the meeting", extra={"who": name})


class Received:
    """A body as it comes in, noted under a key."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.size = 0
        self.digest = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        self.digest.update(piece)
        self.size += len(piece)
        seen[self.key] = self.size

    def left(self, error: BaseException) -> None:
        seen[self.key] = f"told: {type(error).__name__}"

    @property
    def result(self) -> dict[str, object]:
        return {"bytes": self.size, "sha256": self.digest.hexdigest()}


async def first_and_last(key: str) -> AsyncIterator[bytes]:
    yield b"first\n"
    await released(key)
    yield b"last\n"


async def half() -> AsyncIterator[bytes]:
    yield b"half of it"
    raise RuntimeError("the shelf fell down in the middle")


async def flood(key: str) -> AsyncIterator[bytes]:
    for number in range(1, PIECES + 1):
        seen[key] = number
        yield PIECE


async def ticks(key: str) -> AsyncIterator[bytes]:
    try:
        while True:
            yield b"tick\n"
            await asyncio.sleep(0.01)
    finally:
        seen[key] = "told"


async def waited(key: str) -> str:
    seen[key] = "waits"
    try:
        await released(key)
    except asyncio.CancelledError:
        seen[key] = "cancelled"
        raise
    return "done"


async def slow() -> AsyncIterator[bytes]:
    yield b"begun\n"
    await asyncio.sleep(0.5)
    yield b"done\n"


async def afterwards(key: str) -> None:
    await released(key)
    log.info("done afterwards", extra={"key": key})
    seen[key] = "done"
