"""One client that takes what it can get: many connections from one address, each asking again once it is answered.

async with greedy(app.port, [Wish(payload, connections=64)]) as client:
    ...
client.answered, client.refused, client.cut
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from holdfast.prove.load.wire import Malformed, Reader
from holdfast.prove.running import HOST

ADDRESS: Final = "127.0.0.2"
"""Where it comes from, so that a limit by address can tell it from others."""
_PIECE: Final = 65_536
_PATIENCE_S: Final = 10.0
_PAUSE_S: Final = 0.01


class Wish(NamedTuple):
    """What it asks for, again and again."""

    payload: bytes
    """A whole request."""
    connections: int


class Greedy:
    """What it has got so far."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.sent: int = 0
        """Requests that were sent, or begun to be."""
        self.answered: int = 0
        """Answers that were no refusal."""
        self.refused: int = 0
        """Answers of 4xx and 5xx."""
        self.statuses: Counter[int] = Counter()
        """How often it was answered with what."""
        self.cut: int = 0
        """Connections that did not come about, or ended without an answer."""

    async def insist(self, port: int, payload: bytes) -> None:
        """Ask for ever, over one connection at a time."""
        while True:
            try:
                async with _connected(port) as (reader, writer):
                    while await self._ask(reader, writer, payload):
                        pass
            except (OSError, TimeoutError, Malformed):
                self.cut += 1
                await asyncio.sleep(_PAUSE_S)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, payload: bytes) -> bool:
        """Ask once; whether the connection can be used again. Raises OSError, TimeoutError, Malformed."""
        answer = Reader(keeps=False)
        async with asyncio.timeout(_PATIENCE_S):
            self.sent += 1
            writer.write(payload)
            with contextlib.suppress(ConnectionError):  # it may have said why
                await writer.drain()
            while piece := await reader.read(_PIECE):
                if found := answer.feed(piece):
                    self._note(found.status)
                    return not found.closes
        if found := answer.feed(b""):  # one whose end is that of the connection
            self._note(found.status)
            return False
        raise ConnectionResetError

    def _note(self, status: int) -> None:
        self.statuses[status] += 1
        if status < 400:
            self.answered += 1
        else:
            self.refused += 1


@asynccontextmanager
async def greedy(port: int, wishes: Sequence[Wish]) -> AsyncGenerator[Greedy]:
    """The client is there as long as the block runs."""
    client = Greedy()
    tasks = [asyncio.create_task(client.insist(port, wish.payload)) for wish in wishes for _ in range(wish.connections)]
    try:
        yield client
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _connected(port: int) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.bind((ADDRESS, 0))
        async with asyncio.timeout(_PATIENCE_S):
            await asyncio.get_running_loop().sock_connect(made, (HOST, port))
        reader, writer = await asyncio.open_connection(sock=made)
    except BaseException:
        made.close()
        raise
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
