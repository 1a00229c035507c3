"""What is answered in place of what failed: documents, and those made once that are answered many times."""

import errno
from typing import Final, NamedTuple

import msgspec

from holdfast.asgi import Headers, Scope, Send, header
from holdfast.context import RequestContext, current
from holdfast.errors import HoldfastError, Unavailable, Unforeseen
from holdfast.problems.page import CSP, page, wants_page

TYPE: Final = "urn:holdfast:problem:"
_JSON: Final = (b"content-type", b"application/problem+json")
_HTML: Final = (b"content-type", b"text/html; charset=utf-8")
_NO_STORE: Final = (b"cache-control", b"no-store")
NOT_EXECUTED: Final = (b"holdfast-not-executed", b"1")
"""The header which says that a request was not begun, so that any may be sent again, also a POST."""
_OUT_OF: Final = frozenset({errno.EMFILE, errno.ENFILE})

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Problem(NamedTuple):
    """An answer that is a problem document, ready to be sent."""

    status: int
    headers: Headers
    body: bytes

    async def send(self, send: Send) -> None:
        """Send it as the whole answer."""
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": self.body})


def document(error: HoldfastError, request_id: str | None) -> dict[str, object]:
    """The members of the problem document of `error`."""
    return {
        "type": TYPE + error.code,
        "title": error.title(),
        "status": error.status,
        "detail": error.detail,
        "advice": error.advice,
        "request_id": request_id,
        **error.members,
    }


def problem(error: HoldfastError, scope: Scope | None = None, *, request_id: str | None = None) -> Problem:
    """The answer for `error`: a problem document, or a page where the client of `scope` is a browser that asks for one.

    The request ID is that of the present request unless one is given.
    """
    record = current()
    if record is not None:
        record.problem = error.code
        request_id = request_id or record.id
    members = document(error, request_id)
    as_page = scope is not None and wants_page(header(scope, b"accept"))
    body = page(members) if as_page else _encode(members)
    headers: Headers = [_HTML if as_page else _JSON, (b"content-length", str(len(body)).encode()), _NO_STORE]
    if as_page:
        headers.append(CSP)
    headers.extend((key.lower().encode("latin-1"), value.encode("latin-1")) for key, value in error.headers.items())
    return Problem(error.status, headers, body)


def told_as(error: BaseException) -> HoldfastError:
    """What the caller is told of an exception. One of ours speaks for itself; to have too many files open passes."""
    if isinstance(error, HoldfastError):
        return error
    if isinstance(error, OSError) and error.errno in _OUT_OF:
        return Unavailable(headers={"retry-after": "5"})
    return Unforeseen()


class Refusal:
    """A problem document made once, answered many times: only the request ID differs.

    A refusal is a value that a layer returns with, not an exception.
    """

    __slots__ = ("_after", "_before", "_headers", "code", "status")

    def __init__(self, error: HoldfastError, *headers: tuple[bytes, bytes]) -> None:
        """Prepare the bytes for `error`; `headers` are sent beside its own."""
        marker = "00000000-0000-7000-8000-000000000000"
        made = problem(error, request_id=marker)
        before, _, after = made.body.partition(marker.encode())
        self._before, self._after = before, after
        self._headers: Headers = [*made.headers, *headers]
        self.status: int = made.status
        self.code: str = error.code

    def body(self, request_id: str) -> bytes:
        """The body for the request with this ID, which is 36 characters long."""
        return self._before + request_id.encode() + self._after

    @property
    def around(self) -> tuple[bytes, bytes]:
        """What stands before and after the ID in the body."""
        return self._before, self._after

    @property
    def headers(self) -> Headers:
        """The headers, with the body's length."""
        return list(self._headers)

    async def answer(self, record: RequestContext, send: Send) -> None:
        """Refuse the request of `record`."""
        record.refused = True
        record.problem = self.code
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body(record.id)})
