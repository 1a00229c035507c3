"""An HTTP server that stands in for a dependency: it takes whatever comes, keeps what it was, and answers 200."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import h11

_MOST_KEPT: Final = 10_000
_MOST_BODY: Final = 1 << 20
_PIECE: Final = 65_536
_ANSWER: Final = b"{}"


class Received(NamedTuple):
    """A request that came."""

    at: float
    """Of the monotonic clock."""
    method: str
    path: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes


class StandIn:
    """The server, and what it has received."""

    def __init__(self) -> None:
        """It has received nothing yet."""
        self.received: list[Received] = []
        self.open: int = 0
        """Connections that are open now."""
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.open += 1
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, h11.RemoteProtocolError):
                await self._requests(reader, writer)
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()

    def close(self) -> None:
        """Close what is open."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = h11.Connection(h11.SERVER)
        asked: h11.Request | None = None
        body = bytearray()
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(await reader.read(_PIECE))
            elif isinstance(event, h11.Request):
                asked, body = event, bytearray()
            elif isinstance(event, h11.Data):
                body += event.data[: max(0, _MOST_BODY - len(body))]
            elif isinstance(event, h11.EndOfMessage) and asked is not None:
                self._keep(asked, bytes(body))
                head = h11.Response(status_code=200, headers=[("Content-Length", str(len(_ANSWER)))])
                for part in (head, h11.Data(data=_ANSWER), h11.EndOfMessage()):
                    writer.write(parser.send(part) or b"")
                await writer.drain()
                if parser.our_state is not h11.DONE or parser.their_state is not h11.DONE:
                    return
                parser.start_next_cycle()
            else:
                return

    def _keep(self, asked: h11.Request, body: bytes) -> None:
        if len(self.received) < _MOST_KEPT:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in asked.headers}
            method, path = asked.method.decode("latin-1"), asked.target.decode("latin-1")
            self.received.append(Received(time.monotonic(), method, path, headers, body))


@asynccontextmanager
async def standing_in() -> AsyncGenerator[tuple[StandIn, tuple[str, int]]]:
    """A stand-in on a port of its own, and where it is."""
    stand_in = StandIn()
    server = await asyncio.start_server(stand_in.serve, "127.0.0.1", 0)
    try:
        yield stand_in, ("127.0.0.1", int(server.sockets[0].getsockname()[1]))
    finally:
        server.close()
        stand_in.close()
