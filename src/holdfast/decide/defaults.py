"""Which bodies of an error are a framework's own default, and so nobody's words.

Only an exact match counts: a body that the application wrote itself is never taken for a default.
"""

from typing import Final

STATUSES: Final = frozenset({404, 405, 500})
MAX_BYTES: Final = 512
"""No default below is longer; an answer that announces more is passed on at once."""

_PHRASES: Final = {404: b"Not Found", 405: b"Method Not Allowed", 500: b"Internal Server Error"}
_DJANGO: Final = (
    b'\n<!doctype html>\n<html lang="en">\n<head>\n  <title>%(title)s</title>\n</head>\n<body>\n'
    b"  <h1>%(title)s</h1><p>%(details)s</p>\n</body>\n</html>\n"
)


def _bodies(status: int, phrase: bytes) -> frozenset[bytes]:
    code = str(status).encode()
    known = {
        phrase,  # Starlette, uvicorn
        b'{"detail":"%s"}' % phrase,  # FastAPI
        b'{"status_code":%s,"detail":"%s"}' % (code, phrase),  # Litestar
        b'{"title": "%s %s"}' % (code, phrase),  # Falcon
    }
    if status == 404:
        known |= {
            _DJANGO % {b"title": b"Not Found", b"details": b"The requested resource was not found on this server."},
            b"Resource not found",  # BlackSheep
        }
    if status == 500:
        known.add(_DJANGO % {b"title": b"Server Error (500)", b"details": b""})
    return frozenset(known)


_KNOWN: Final = {status: _bodies(status, phrase) for status, phrase in _PHRASES.items()}


def is_default(status: int, body: bytes) -> bool:
    """Whether `body` is what some framework answers with `status` when nobody wrote an answer."""
    return body in _KNOWN.get(status, frozenset()) or (status == 405 and not body)


def may_be_default(status: int, content_length: int | None) -> bool:
    """Whether an answer that begins so is worth a look at its body."""
    return status in STATUSES and (content_length is None or content_length <= MAX_BYTES)
