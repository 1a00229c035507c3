"""Both ends of a connection that goes through a proxy, in the hands of a test."""

import asyncio
import contextlib
import hashlib
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

PATIENCE_S = 20.0


class Peer:
    """One end: it reads and writes when the test says so."""

    def __init__(self, one: socket.socket) -> None:
        one.setblocking(False)
        self.socket = one
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._loop.sock_sendall(self.socket, data)

    async def get(self, size: int) -> bytes:
        """Exactly so many bytes."""
        whole = bytearray()
        async with asyncio.timeout(PATIENCE_S):
            while len(whole) < size:
                piece = await self._loop.sock_recv(self.socket, size - len(whole))
                assert piece, f"it ended after {len(whole)} of {size} bytes"
                whole += piece
        return bytes(whole)

    async def rest(self) -> bytes:
        """All until the end."""
        whole = bytearray()
        async with asyncio.timeout(PATIENCE_S):
            while piece := await self._loop.sock_recv(self.socket, 1 << 16):
                whole += piece
        return bytes(whole)

    async def hears(self, within_s: float) -> bytes | None:
        """What comes next, b'' for an end; None where nothing comes in this time."""
        try:
            return await asyncio.wait_for(self._loop.sock_recv(self.socket, 1 << 16), within_s)
        except TimeoutError:
            return None

    async def push(self) -> int:
        """Send without end until nothing is taken for a while; how many bytes were."""
        sent, block = 0, bytes(1 << 16)
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0.5):
                    await self._loop.sock_sendall(self.socket, block)
                sent += len(block)
        return sent

    def ends(self) -> None:
        """Send no more."""
        self.socket.shutdown(socket.SHUT_WR)

    def closes(self) -> None:
        self.socket.close()

    def resets(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Upstream:
    """A server that does nothing but accept; `accepted` gives its ends in order."""

    def __init__(self, port: int = 0, *, echoes: bool = False) -> None:
        self._listening = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listening.setblocking(False)
        self.address: tuple[str, int] = self._listening.getsockname()
        self._echoes = echoes
        self.peers: list[Peer] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        if self._echoes:
            self._tasks.append(asyncio.create_task(self._echo_all()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self.peers:
            peer.closes()
        self._listening.close()

    async def accepted(self, within_s: float = PATIENCE_S) -> Peer:
        """The next connection. Raises TimeoutError."""
        one, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(self._listening), within_s)
        self.peers.append(Peer(one))
        return self.peers[-1]

    async def _echo_all(self) -> None:
        while True:
            one, _ = await asyncio.get_running_loop().sock_accept(self._listening)
            self.peers.append(Peer(one))
            self._tasks.append(asyncio.create_task(self._echo(self.peers[-1])))

    async def _echo(self, peer: Peer) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(peer.socket, 1 << 16):
                await loop.sock_sendall(peer.socket, data)
            peer.ends()


async def connect(address: tuple[str, int]) -> Peer:
    one = socket.socket()
    one.setblocking(False)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.get_running_loop().sock_connect(one, tuple(address))
    except BaseException:
        one.close()
        raise
    return Peer(one)


@contextlib.asynccontextmanager
async def connected(address: tuple[str, int]) -> AsyncIterator[Peer]:
    peer = await connect(address)
    try:
        yield peer
    finally:
        peer.closes()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextlib.contextmanager
def echoing() -> Iterator[tuple[str, int]]:
    """The address of a server in threads that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def echo(one: socket.socket) -> None:
            with one, contextlib.suppress(OSError):
                while data := one.recv(1 << 16):
                    one.sendall(data)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    one, _ = listening.accept()
                    threading.Thread(target=echo, args=(one,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listening.getsockname()
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join(10)
