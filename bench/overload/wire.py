"""As much of HTTP/1.1 as the generator needs: what it sends, and whether an answer is whole."""

from typing import NamedTuple

CLASS = b"Holdfast-Priority: critical\r\nX-Priority: high\r\n"
"""What a request of the highest class carries: for `holdfast run`, and for aioresilience."""


class Answer(NamedTuple):
    """An answer that has come whole."""

    status: int
    body: bytes
    closes: bool
    """Whether the server closes the connection after it."""


def request(path: str, number: int, *, critical: bool) -> bytes:
    """A GET that asks for its own number back."""
    head = f"GET {path}?n={number} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/plain\r\n".encode()
    return head + (CLASS if critical else b"") + b"\r\n"


def right_body(number: int) -> bytes:
    """What the applications answer to it."""
    return b"done %d" % number


def answer(data: bytes, *, ended: bool = False) -> Answer | None:
    """The answer in `data`, if it is whole; `ended`: no more will come."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return None
    head = head.lower()
    status = int(head[9:12])
    closes = b"\r\nconnection: close" in head or ended
    _, length, rest = head.partition(b"\r\ncontent-length:")
    if length:
        return Answer(status, body, closes) if len(body) >= int(rest.split(b"\r\n", 1)[0]) else None
    if b"\r\ntransfer-encoding: chunked" in head:
        return Answer(status, body, closes) if body.endswith(b"0\r\n\r\n") else None
    return Answer(status, body, closes) if ended else None
