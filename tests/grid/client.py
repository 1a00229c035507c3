"""A client that does as it is told: bytes go out as they are, and answers are read one by one."""

import json
import select
import socket
import time
from typing import Self

PATIENCE_S = 10.0


class Answer:
    """One answer, as far as it has been read."""

    def __init__(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status = status
        self.headers = headers
        self.body = b""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def __getitem__(self, name: str) -> str | None:
        found = self.all(name)
        return found[0] if found else None

    @property
    def id(self) -> str:
        found = self.all("x-request-id")
        assert len(found) == 1, f"one request ID, not {found}"
        assert len(found[0]) == 36, found[0]
        return found[0]

    @property
    def json(self) -> dict:
        return json.loads(self.body)


class Connection:
    """A connection to the server."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.ended = False
        self._framing: tuple[str, int] = ("none", 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> "Connection":
        self.socket.sendall(data)
        return self

    def ask(self, method: str, path: str, *headers: str, body: bytes | None = None) -> Answer:
        """Ask and read the whole answer; the connection stays as the server leaves it."""
        self.send(request(method, path, *headers, body=body))
        return self.read(method)

    def send_until_stuck(self, piece: bytes, most: int, stuck_s: float = 0.4) -> int:
        """Send `piece` again and again until the server takes no more; how many bytes it took."""
        taken = 0
        self.socket.setblocking(False)
        try:
            while taken < most and select.select([], [self.socket], [], stuck_s)[1]:
                taken += self.socket.send(piece[: most - taken])
        finally:
            self.socket.settimeout(PATIENCE_S)
        return taken

    def _more(self) -> bool:
        """Read what has come; False at the end of the connection."""
        try:
            received = self.socket.recv(262_144)
        except ConnectionResetError:
            received = b""
        self.buffer += received
        self.ended = not received
        return bool(received)

    def _line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            assert self._more(), f"the connection ended in a line: {self.buffer[:200]!r}"
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def head(self, method: str = "GET") -> Answer:
        """The head of the next answer, such as 100 Continue."""
        version, _, rest = self._line().partition(b" ")
        assert version == b"HTTP/1.1", version
        headers: list[tuple[str, str]] = []
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            headers.append((name.lower(), value.strip()))
        answer = Answer(int(rest[:3]), headers)
        lengths, codings = answer.all("content-length"), answer.all("transfer-encoding")
        assert len(lengths) + len(codings) <= 1, f"one framing, not {lengths + codings}"
        if answer.status < 200 or answer.status in {204, 304} or method == "HEAD":
            self._framing = ("none", 0)
        elif codings:
            self._framing = ("chunked", 0)
        else:
            self._framing = ("length", int(lengths[0])) if lengths else ("end", 0)
        return answer

    def piece(self) -> bytes:
        """The next bytes of the body; empty at its end. Fails where the connection ends before the body does."""
        kind, left = self._framing
        if kind == "none" or (kind == "length" and not left):
            return b""
        if kind == "chunked":
            return self._chunk()
        if not self.buffer and not self._more():
            assert kind == "end", "the connection ended before the body"
            return b""
        found, self.buffer = (self.buffer, b"") if kind == "end" else (self.buffer[:left], self.buffer[left:])
        self._framing = (kind, left - len(found))
        return found

    def _chunk(self) -> bytes:
        size = int(self._line(), 16)
        while len(self.buffer) < size + 2:
            assert self._more(), "the connection ended before the body"
        found, self.buffer = self.buffer[:size], self.buffer[size + 2 :]
        if not size:
            self._framing = ("none", 0)
        return found

    def rest(self) -> bytes:
        """All that is left of the body."""
        pieces = []
        while piece := self.piece():
            pieces.append(piece)
        return b"".join(pieces)

    def read(self, method: str = "GET") -> Answer:
        """The next answer, whole."""
        answer = self.head(method)
        answer.body = self.rest()
        return answer

    def is_closed(self) -> bool:
        """Whether the server closes the connection without another byte."""
        while not self.buffer and self._more():
            pass
        return self.ended and not self.buffer

    def quiet(self, seconds: float) -> bool:
        """Whether nothing more comes for a while."""
        return not self.buffer and not select.select([self.socket], [], [], seconds)[0]


def request(method: str, path: str, *headers: str, body: bytes | None = None) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "host: shop.test", *headers]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def chunk(data: bytes) -> bytes:
    """A chunk of a body that is sent in chunks; the last one is empty."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def eventually(holds, what: str, patience_s: float) -> None:
    """Wait until `holds()` is true."""
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.005)
