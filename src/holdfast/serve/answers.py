"""Answers that are written without an application: refusals, and what is told of them."""

import time

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from holdfast.asgi import Headers
from holdfast.events import Outcome, RequestFinished
from holdfast.problems import Refusal


class Prepared:
    """An answer of which only the request ID differs, and once a second the date."""

    def __init__(self, refusal: Refusal, *more: tuple[bytes, bytes]) -> None:
        """The answer that `refusal` gives, with the headers `more` besides."""
        self._refusal = refusal
        self._more = more
        self._default: Headers | None = None
        self._head = b""

    def written(self, request_id: str, default: Headers) -> bytes:
        """The bytes for the request with this ID, with the server's own headers."""
        if default is not self._default:
            self._default, self._head = default, self._head_with(default)
        told = request_id.encode()
        before, after = self._refusal.around
        return b"".join((self._head, told, b"\r\n\r\n", before, told, after))

    def _head_with(self, default: Headers) -> bytes:
        pairs = [*default, *self._refusal.headers, *self._more]
        lines = [name + b": " + value + b"\r\n" for name, value in pairs]
        return b"".join([STATUS_LINE[self._refusal.status], *lines, b"x-request-id: "])


def refused_fact(refusal: Refusal, request_id: str, client: str | None, method: str, path: str) -> RequestFinished:
    """What is told of a request that had no context yet."""
    return RequestFinished(
        at=time.time(),
        request_id=request_id,
        client_request_id=None,
        trace_id=None,
        trace_link=None,
        client=client,
        kind="http",
        method=method,
        path=path,
        query="",
        route=None,
        status=refusal.status,
        duration_ms=0.0,
        bytes_out=len(refusal.body(request_id)),
        actor=None,
        action=None,
        outcome=Outcome.REFUSED,
        problem=refusal.code,
    )
