"""What an error answer tells: enough for the caller to go on, and nothing of the inside. Pure."""

import re
from typing import Final

from holdfast.prove.http import Answer

_INSIDE: Final[tuple[tuple[str, re.Pattern[bytes]], ...]] = (
    ("a traceback", re.compile(rb'Traceback \(most recent call last\)|File "[^"\n]+", line \d+')),
    ("a stack trace", re.compile(rb"goroutine \d+ \[|\bat [\w.$<>]+ ?\([^()\n]+\.(?:js|ts|java|kt|cs|rb):\d+")),
    ("a stack trace", re.compile(rb"panicked at |\bstack backtrace:")),
    ("SQL", re.compile(rb"\b(?:SELECT\b.{1,400}?\bFROM|INSERT INTO|UPDATE\b.{1,200}?\bSET|DELETE FROM) ", re.DOTALL)),
    ("words of the database", re.compile(rb"sqlalchemy\.|sqlite3\.|psycopg\d?\.|asyncpg\.|django\.db|\bORA-\d{5}")),
    ("words of the database", re.compile(rb'near ".{1,40}": syntax error|UNIQUE constraint failed|no such table')),
    (
        "a path of the machine",
        re.compile(rb"/(?:home|usr|srv|app|opt|var|root|tmp|Users|work)/[\w./-]{3,200}\.\w{1,6}"),
    ),
    ("a path of the machine", re.compile(rb"site-packages|node_modules")),
)
_LINKS: Final = re.compile(rb"""(?:src|href|action)\s*=\s*(?:"[^"]*"|'[^']*')|url\([^)]*\)""", re.IGNORECASE)
"""What looks like a path in a page and is an address."""
_FAILURE: Final = re.compile(rb"\b[A-Z]\w{1,60}(?:Error|Exception)\b: |\[Errno \d+\]")
"""What a failure of the backend itself must not show besides: a refusal may name what of the caller's is wrong."""
_DIRECTIONS: Final = {401: "www-authenticate", 405: "allow", 416: "content-range", 426: "upgrade"}
"""Headers that say by themselves what to do (RFC 9110)."""
_WAIT: Final = "retry-after"
_PHRASES: Final = {"badrequest", "unprocessableentity", "unprocessablecontent", "400", "422"}
_REASONS_WANTED: Final = {400, 422}
_MOST: Final = 262_144
BUSY: Final = {429, 503}
"""What an answer says that refuses for now; it is no failure."""
_NO_FAILURE: Final = {501, 503, 505, 507}


def failed(status: int) -> bool:
    """Whether a status says that the backend itself failed; that it will not or cannot for now is no failure."""
    return status >= 500 and status not in _NO_FAILURE


def gives_away(answer: Answer, sent: bytes = b"") -> str:
    """What of its inside an error answer shows, in words; empty where nothing. What was `sent` may come back."""
    if answer.status < 400:
        return ""
    body = _LINKS.sub(b"", answer.body[:_MOST])
    for name, pattern in _INSIDE:
        found = pattern.search(body)
        if found and found[0] not in sent:
            return name
    return "the name of an exception" if failed(answer.status) and _FAILURE.search(body) else ""


def tells_nothing(answer: Answer, method: str = "GET") -> str:
    """Why the caller of an answer of 4xx or 5xx does not learn what to do; empty where it learns something."""
    if answer.status < 400 or answer.error or method == "HEAD":
        return ""
    if answer.headers.get(_DIRECTIONS.get(answer.status, _WAIT)) or answer.headers.get(_WAIT):
        return ""
    text = _text(answer.body[:_MOST])
    if not text:
        return f"an empty body with its {answer.status}"
    if not answer.headers.get("content-type"):
        return f"a body of no known kind with its {answer.status}"
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    if failed(answer.status) and plain in {"internalservererror", "500", "error", "500internalservererror"}:
        return f"nothing but {text[:30]!r} with its {answer.status}"
    if answer.status in _REASONS_WANTED and plain in _PHRASES:
        return f"nothing but {text[:30]!r} with its {answer.status}, and not what was wrong"
    return ""


def _text(body: bytes) -> str:
    """What can be read in a body: without tags, or empty where it is JSON that says nothing."""
    text = body.decode(errors="replace").strip()
    if text in {"{}", "[]", "null", '""'}:
        return ""
    return " ".join(re.sub(r"<[^<>]{0,500}>", " ", text).split())
