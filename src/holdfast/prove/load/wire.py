"""As much of HTTP/1.1 as a generator needs: what it sends, and whether an answer is whole."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from holdfast.prove.load.job import Template

_BODILESS: Final = frozenset({204, 304})
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_LONGEST_HEAD: Final = 1 << 18
_CONNECTION: Final = re.compile(rb"\r\nconnection:([^\r]*)")
_CODING: Final = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:([^\r]*)")


class Malformed(ValueError):
    """What came is no answer of HTTP/1.1."""


# -- what is sent --


class _Text:
    """Bytes in which `{n}` and `{request_id}` stand for something."""

    def __init__(self, text: bytes) -> None:
        self._by_id = [piece.split(b"{n}") for piece in text.split(b"{request_id}")]
        self._plain = text if len(self._by_id) == len(self._by_id[0]) == 1 else None

    def of(self, number: bytes, request_id: bytes) -> bytes:
        if self._plain is not None:
            return self._plain
        return request_id.join(number.join(pieces) for pieces in self._by_id)


class Prepared:
    """A template, taken apart so that a request is made of it quickly."""

    def __init__(self, template: Template, host: str) -> None:
        """`host` is what the header of this name says."""
        given = {name.lower() for name, _ in template.headers}
        lines = [f"{template.method} {template.path} HTTP/1.1"]
        lines += [] if "host" in given else [f"Host: {host}"]
        lines += ["X-Request-ID: {request_id}"] if template.request_id else []
        lines += [f"{name}: {value}" for name, value in template.headers]
        self._counts = "content-length" not in given and "transfer-encoding" not in given
        self._counts &= bool(template.body) or template.method in _WITH_BODY
        self._head = _Text("\r\n".join(lines).encode("latin-1"))
        self._body = _Text(template.body)
        self._exactly = None if template.exactly is None else _Text(template.exactly)
        self._containing = None if template.containing is None else _Text(template.containing)
        self.bodiless: bool = template.method == "HEAD"
        """Whether answers have no body, whatever their head says."""
        self.repeatable: bool = template.repeatable
        self.judges_bodies: bool = self._exactly is not None or self._containing is not None
        """Whether what is in a body matters."""

    def request(self, number: bytes, request_id: bytes) -> bytes:
        """The bytes of a request."""
        body = self._body.of(number, request_id)
        length = b"\r\nContent-Length: %d" % len(body) if self._counts else b""
        return b"%b%b\r\n\r\n%b" % (self._head.of(number, request_id), length, body)

    def is_right(self, body: bytes, number: bytes, request_id: bytes) -> bool:
        """Whether this is the body of a good answer."""
        if self._exactly is not None and body != self._exactly.of(number, request_id):
            return False
        return self._containing is None or self._containing.of(number, request_id) in body


# -- what comes --


class Answer(NamedTuple):
    """An answer that has come whole."""

    status: int
    body: bytes
    """Empty where nobody wanted it."""
    closes: bool
    """Whether the connection is of no use after it."""


class Reader:
    """Reads one answer, in whatever pieces it comes."""

    __slots__ = ("_chunked", "_closes", "_data", "_head_only", "_keeps", "_left", "_pieces", "_status")

    def __init__(self, *, head_only: bool = False, keeps: bool = True) -> None:
        """`head_only`: the request was a HEAD. `keeps`: the body is wanted."""
        self._head_only = head_only
        self._keeps = keeps
        self._data = b""
        self._status = 0
        self._closes = False
        self._chunked: _Chunks | None = None
        self._left = 0
        """Bytes of the body that are to come; -1: until the connection ends."""
        self._pieces: list[bytes] = []

    @property
    def began(self) -> bool:
        """Whether anything has come."""
        return bool(self._status or self._data)

    def feed(self, data: bytes) -> Answer | None:
        """The answer, if it is whole with this piece; no data: no more will come. Raises Malformed."""
        if not self._status:
            if not data:
                return None
            data = self._head(self._data + data)
            if not self._status:
                return None
        elif not data:
            return self._whole(b"") if self._left < 0 else None
        return self._body(data)

    def _head(self, data: bytes) -> bytes:
        """Read the head, once it is there: what follows it. Interim answers (1xx) are passed over."""
        while True:
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found:
                if len(data) > _LONGEST_HEAD or not data.startswith(b"HTTP/1."[: len(data)]):
                    raise Malformed("no head of an answer")
                self._data = data
                return b""
            status = _status(head)
            if status >= 200:
                break
            data = rest
            if not data:
                self._data = b""
                return b""
        self._data = b""
        self._begin(status, head.lower())
        return rest

    def _begin(self, status: int, head: bytes) -> None:
        self._status = status
        said = _CONNECTION.search(head)
        connection = said[1] if said else b""
        self._closes = b"close" in connection or (head.startswith(b"http/1.0") and b"keep-alive" not in connection)
        if self._head_only or status in _BODILESS:
            self._left = 0
        elif _CODING.search(head):
            self._chunked = _Chunks()
        else:
            length = _LENGTH.search(head)
            self._left = _number(length[1], 10) if length else -1

    def _body(self, data: bytes) -> Answer | None:
        if self._chunked is not None:
            pieces, rest = self._chunked.feed(data)
            if self._keeps:
                self._pieces += pieces
            return None if rest is None else self._whole(rest)
        if self._left < 0:
            self._keep(data)
            return None
        self._keep(data[: self._left])
        rest = data[self._left :]
        self._left -= len(data) - len(rest)
        return None if self._left else self._whole(rest)

    def _keep(self, data: bytes) -> None:
        if self._keeps and data:
            self._pieces.append(data)

    def _whole(self, rest: bytes) -> Answer:
        """The answer; a `rest` behind it was not asked for, so nothing on this connection can be relied upon."""
        closes = self._closes or bool(rest) or self._left < 0
        return Answer(self._status, b"".join(self._pieces), closes)


class _Chunks:
    """Takes chunks apart."""

    __slots__ = ("_data", "_left", "_trailing")

    def __init__(self) -> None:
        self._data = b""
        self._left = 0
        """Bytes of the chunk that are to come, with the end of its line."""
        self._trailing = False

    def feed(self, data: bytes) -> tuple[Sequence[bytes], bytes | None]:
        """What is in the chunks, and what follows the last one if it has come."""
        data = self._data + data
        found: list[bytes] = []
        while True:
            if self._left:
                piece = data[: self._left]
                found.append(piece[: max(0, self._left - 2)])
                self._left -= len(piece)
                data = data[len(piece) :]
                if self._left:
                    self._data = b""
                    return found, None
            line, end, rest = data.partition(b"\r\n")
            if not end:
                self._data = data
                return found, None
            data = rest
            if self._trailing:
                if not line:
                    return found, data
                continue
            size = _number(line.partition(b";")[0], 16)
            self._left, self._trailing = (size + 2, False) if size else (0, True)


def _status(head: bytes) -> int:
    if not head.startswith(b"HTTP/1.") or head[8:9] != b" ":
        raise Malformed("no status line")
    return _number(head[9:12], 10)


def _number(digits: bytes, radix: int) -> int:
    digits = digits.strip()
    if not digits.isalnum():
        raise Malformed("no number where one is to be")
    try:
        return int(digits, radix)
    except ValueError as error:
        raise Malformed("no number where one is to be") from error
