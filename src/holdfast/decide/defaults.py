"""Which bodies of an error are a framework's own default, and so nobody's words.

Only an exact match counts: a body that the application wrote itself is never taken for a default. The grid of the tests
holds these to the frameworks that are installed.
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
_WERKZEUG: Final = b"<!doctype html>\n<html lang=en>\n<title>%s %s</title>\n<h1>%s</h1>\n<p>%s</p>\n"
_WERKZEUG_SAYS: Final = {
    404: b"The requested URL was not found on the server. If you entered the URL manually please check your spelling "
    b"and try again.",
    405: b"The method is not allowed for the requested URL.",
    500: b"The server encountered an internal error and was unable to complete your request. Either the server is "
    b"overloaded or there is an error in the application.",
}


def _bodies(status: int, phrase: bytes) -> frozenset[bytes]:
    code = str(status).encode()
    known = {
        phrase,  # Starlette, uvicorn; BlackSheep, but for 404
        b'{"detail":"%s"}' % phrase,  # FastAPI
        b'{"status_code":%s,"detail":"%s"}' % (code, phrase),  # Litestar
        b'{"title": "%s %s"}' % (code, phrase),  # Falcon
        b'<?xml version="1.0" encoding="UTF-8"?><error><title>%s %s</title></error>' % (code, phrase),  # to a browser
        _WERKZEUG % (code, phrase, phrase, _WERKZEUG_SAYS[status]),  # Quart, Flask
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
