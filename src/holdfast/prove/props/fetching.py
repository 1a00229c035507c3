"""An answer of any length, read as it comes: hashed, counted, looked at, and never kept."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

import h11

from holdfast.prove.http import Client, Wire

_PIECE: Final = 65_536
_SMALL: Final = 4096


class Fetched(NamedTuple):
    """What came. A status of 0, or an `error`, says that it did not come whole."""

    status: int = 0
    sha256: str = ""
    length: int = 0
    lines: int = 0
    """Line ends in it."""
    first_s: float = 0.0
    """Until its first byte."""
    took_s: float = 0.0
    head: bytes = b""
    """How the body begins."""
    error: str = ""

    @property
    def good(self) -> bool:
        """Whether it is 2xx, and whole."""
        return 200 <= self.status < 300 and not self.error

    @property
    def shown(self) -> str:
        """In a few words."""
        return self.error or f"{self.status} with {self.length} bytes"


class _Reading:
    """An answer that is being read."""

    def __init__(self, look: Callable[[bytes], object] | None) -> None:
        self.parser = h11.Connection(h11.CLIENT)
        self.look = look
        self.began = time.monotonic()
        self.status = self.length = self.lines = 0
        self.first_s = 0.0
        self.head = b""
        self.digest = hashlib.sha256()

    def take(self, data: bytes) -> bool:
        """Take what came; whether that was the end."""
        self.first_s = self.first_s or time.monotonic() - self.began
        self.parser.receive_data(data)
        while True:
            event = self.parser.next_event()
            if isinstance(event, h11.Data):
                self._data(bytes(event.data))
            elif isinstance(event, h11.Response):
                self.status = event.status_code
            elif event is h11.NEED_DATA:
                return False
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or event is h11.PAUSED:
                return True

    def _data(self, data: bytes) -> None:
        self.length += len(data)
        self.lines += data.count(b"\n")
        self.head += data[: max(0, _SMALL - len(self.head))]
        self.digest.update(data)
        if self.look is not None:
            self.look(data)

    def fetched(self, error: str = "") -> Fetched:
        took_s = time.monotonic() - self.began
        return Fetched(
            self.status, self.digest.hexdigest(), self.length, self.lines, self.first_s, took_s, self.head, error
        )


async def fetched(
    client: Client,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 30.0,
    pause: Callable[[], Awaitable[object]] | None = None,
    look: Callable[[bytes], object] | None = None,
) -> Fetched:
    """Ask for `path` and read what comes. When the first bytes are there nothing more is read until `pause` is over.

    `look` is given each piece of the body. Never raises for what the other side does.
    """
    reading = _Reading(look)
    sent = {"Connection": "close", **(headers or {})}
    reading.parser.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    reading.parser.send(h11.EndOfMessage())
    try:
        async with asyncio.timeout(timeout_s), client.wire(receive_bytes=_PIECE if pause else 0) as wire:
            await wire.send(client.head(method, path, sent))
            await _read(wire, reading, pause)
    except TimeoutError:
        return reading.fetched(f"no whole answer within {timeout_s:g} s")
    except (OSError, h11.RemoteProtocolError) as failure:
        return reading.fetched(f"the connection ended without a whole answer ({type(failure).__name__})")
    return reading.fetched()


async def _read(wire: Wire, reading: _Reading, pause: Callable[[], Awaitable[object]] | None) -> None:
    while not reading.take(await wire.receive(timeout_s=3600)):
        if pause is not None and reading.length:
            await pause()
            pause = None
