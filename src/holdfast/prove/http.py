"""HTTP/1.1 as it is on the wire, for requests not ended, answers not read, and bytes that are no HTTP.

Nothing is retried and no connection is kept, so that what is seen is what the backend did."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import h11

_PIECE: Final = 65_536
_MOST_BODY: Final = 64 << 20
"""An answer is kept as far as this; the rest is read and counted."""
_NO_HEADERS: Final[Mapping[str, str]] = {}

Body = bytes | AsyncIterator[bytes]


class Answer(NamedTuple):
    """What came back. A status of 0 says that no whole answer came; `error` says why."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    took_s: float
    length: int = 0
    """Bytes of the body that came, kept or not."""
    error: str = ""

    @property
    def good(self) -> bool:
        """Whether it is 2xx, and whole."""
        return 200 <= self.status < 300 and not self.error

    @property
    def request_id(self) -> str:
        """The request ID that the backend gave, if it did."""
        return self.headers.get("x-request-id", "")

    def json(self) -> object:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def shown(self) -> str:
        """In a few words."""
        return self.error or f"{self.status} after {self.took_s * 1000:.0f} ms"


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use what `connected` opened."""
        self._reader = reader
        self._writer = writer

    @property
    def port(self) -> int:
        """Our end, by which the backend's end is found."""
        return int(self._writer.get_extra_info("sockname")[1])

    async def send(self, data: bytes, *, timeout_s: float = 30.0) -> None:
        """Send bytes, and wait until the kernel has them."""
        self._writer.write(data)
        async with asyncio.timeout(timeout_s):
            await self._writer.drain()

    async def receive(self, most: int = _PIECE, *, timeout_s: float = 30.0) -> bytes:
        """The next bytes; none at the end of the connection."""
        async with asyncio.timeout(timeout_s):
            return await self._reader.read(most)

    async def until_closed(self, *, timeout_s: float = 30.0) -> bytes | None:
        """All that still comes until the other side closes; None if it does not in time. A reset is an end, too."""
        found = bytearray()
        try:
            async with asyncio.timeout(timeout_s):
                while piece := await self._reader.read(_PIECE):
                    found += piece[: max(0, _PIECE - len(found))]
        except TimeoutError:
            return None
        except OSError:
            pass
        return bytes(found)

    async def answer(self, method: str = "GET", *, timeout_s: float = 30.0, pace_s: float = 0.0) -> Answer:
        """The next answer, read whole; `pace_s` is waited for after each piece of it."""
        began = time.monotonic()
        status, headers, kept, length, error = 0, _NO_HEADERS, bytearray(), 0, ""
        try:
            async with asyncio.timeout(timeout_s):
                async for event in self._events(method):
                    if isinstance(event, h11.Response):
                        status = event.status_code
                        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                    elif isinstance(event, h11.Data):
                        length += len(event.data)
                        kept += bytes(event.data[: max(0, _MOST_BODY - len(kept))])
                        if pace_s:
                            await asyncio.sleep(pace_s)
        except TimeoutError:
            error = f"no whole answer within {timeout_s:g} s"
        except (OSError, h11.RemoteProtocolError) as failure:
            error = f"the connection ended without a whole answer ({type(failure).__name__})"
        return Answer(status, headers, bytes(kept), time.monotonic() - began, length, error)

    async def _events(self, method: str) -> AsyncIterator[h11.Event]:
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        parser.send(h11.EndOfMessage())
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(await self._reader.read(_PIECE))
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or event is h11.PAUSED:
                return
            elif isinstance(event, h11.Event):
                yield event

    def reset(self) -> None:
        """End it at once, with a reset, as a client that lost its network seems to."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def end(self) -> None:
        """Say that nothing more is sent."""
        with contextlib.suppress(OSError):
            self._writer.write_eof()

    async def close(self) -> None:
        """Close it in the usual way."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


@asynccontextmanager
async def connected(
    host: str,
    port: int,
    *,
    timeout_s: float = 10.0,
    receive_bytes: int = 0,
    tls: ssl.SSLContext | None = None,
    source: str = "",
    segment_bytes: int = 0,
) -> AsyncGenerator[Wire]:
    """A connection, closed at the end. `receive_bytes` makes the kernel's buffer for what comes in small.

    It comes from the address `source`, where one is said. With few `segment_bytes`, as on a network, the other side's
    kernel does not take megabytes off its hands, as it does for connections within a machine.
    """
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        if source:
            made.bind((source, 0))
        if segment_bytes:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment_bytes)
        if receive_bytes:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(made, (host, port))
    except BaseException:
        made.close()
        raise
    limit = receive_bytes or _PIECE
    reader, writer = await asyncio.open_connection(
        sock=made, limit=limit, ssl=tls, server_hostname=host if tls else None
    )
    wire = Wire(reader, writer)
    try:
        yield wire
    finally:
        await wire.close()


def head(method: str, path: str, headers: Mapping[str, str], *, length: int | None = None) -> bytes:
    """The head of a request; with `length`, that of its body. A length of -1 announces chunks."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if length is not None:
        lines.append("Transfer-Encoding: chunked" if length < 0 else f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


class Client:
    """Somebody who asks a backend, with a new connection for each request."""

    def __init__(self, host: str, port: int, headers: Mapping[str, str] | None = None, source: str = "") -> None:
        """`headers` go with every request. It comes from the address `source`, where one is said."""
        self.source: str = source
        self.host: str = host
        self.port: int = port
        self.headers: dict[str, str] = {"Host": f"{host}:{port}", "Accept": "*/*", **(headers or {})}

    def with_headers(self, **headers: str) -> "Client":
        """The same with more headers; an underscore stands for a hyphen."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return Client(self.host, self.port, {**self.headers, **more}, self.source)

    def at(self, source: str) -> "Client":
        """The same from another address of this machine."""
        return Client(self.host, self.port, self.headers, source)

    def head(
        self, method: str, path: str, more: Mapping[str, str] | None = None, *, length: int | None = None
    ) -> bytes:
        """The head of a request with the headers of this client."""
        return head(method, path, {**self.headers, **(more or {})}, length=length)

    @asynccontextmanager
    async def wire(
        self, *, receive_bytes: int = 0, timeout_s: float = 10.0, segment_bytes: int = 0
    ) -> AsyncGenerator[Wire]:
        """A connection to the backend. Raises OSError or TimeoutError."""
        made = connected(
            self.host,
            self.port,
            receive_bytes=receive_bytes,
            timeout_s=timeout_s,
            source=self.source,
            segment_bytes=segment_bytes,
        )
        async with made as wire:
            yield wire

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        length: int | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """Send a request and read its answer. Without a `length` a body that is no bytes is sent in chunks.

        Never raises for what the other side does: an answer with status 0 says what happened.
        """
        began = time.monotonic()
        if isinstance(body, bytes):
            length = len(body)
        elif body is not None and length is None:
            length = -1
        elif body is None and method in {"POST", "PUT", "PATCH"}:
            length = 0
        try:
            async with asyncio.timeout(timeout_s), self.wire() as wire:
                reading = asyncio.ensure_future(wire.answer(method, timeout_s=timeout_s))
                try:
                    await self._write(
                        wire,
                        self.head(method, path, {"Connection": "close", **(headers or {})}, length=length),
                        body,
                        length,
                        reading,
                    )
                    answer = await reading
                finally:
                    reading.cancel()
        except TimeoutError:
            return Answer(0, _NO_HEADERS, b"", time.monotonic() - began, error=f"no answer within {timeout_s:g} s")
        except OSError as failure:
            return Answer(0, _NO_HEADERS, b"", time.monotonic() - began, error=f"no connection ({_named(failure)})")
        return answer._replace(took_s=time.monotonic() - began)

    async def raw(
        self, method: str, data: bytes, *, timeout_s: float, end_after_s: float | None = None
    ) -> tuple[Answer, bool]:
        """Send bytes as they are, on a connection of their own: the answer, and whether the connection was closed.

        After `end_after_s` without an answer it is said that nothing more comes, which ends what waits for it.
        """
        try:
            async with self.wire() as wire:
                reading = asyncio.ensure_future(wire.answer(method, timeout_s=timeout_s))
                try:
                    with contextlib.suppress(OSError, TimeoutError):
                        await wire.send(data, timeout_s=timeout_s)
                    if end_after_s is not None:
                        await asyncio.wait([reading], timeout=end_after_s)
                        wire.end()
                    answer = await reading
                finally:
                    reading.cancel()
        except (OSError, TimeoutError):
            return Answer(0, _NO_HEADERS, b"", 0.0), True
        return answer, not answer.error.startswith("no whole answer")

    async def _write(
        self, wire: Wire, first: bytes, body: Body | None, length: int | None, reading: "asyncio.Future[Answer]"
    ) -> None:
        """Send head and body. A backend that answers and closes before the end is heard all the same."""
        with contextlib.suppress(OSError):
            await wire.send(first + body if isinstance(body, bytes) else first, timeout_s=3600)
            if body is None or isinstance(body, bytes):
                return
            async for piece in body:
                if reading.done():
                    return
                await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece) if length == -1 else piece, timeout_s=3600)
            if length == -1:
                await wire.send(b"0\r\n\r\n")


def _named(failure: OSError) -> str:
    return failure.strerror or type(failure).__name__
