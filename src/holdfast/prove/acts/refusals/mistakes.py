"""Mistakes that clients of good will make every day, and what standards want of the answers. Pure."""

import base64
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlencode

from holdfast.prove.http import Answer

_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_NO_HEADERS: Final[Mapping[str, str]] = {}
_BEYOND: Final = "99999999999999999999"
"""More than 64 bits hold."""
_LONG: Final = 100_000
_METHODS: Final = ("PUT", "DELETE", "PATCH")
_PROBLEM: Final = "application/problem+json"
_WANTED: Final[Mapping[int, tuple[str, str]]] = {
    401: ("www-authenticate", "how to sign in"),
    405: ("allow", "which methods there are"),
}
"""Headers that an answer of a status must have (RFC 9110, 11.6.1 and 15.5.6), and what they say."""


class Mistake(NamedTuple):
    """A request with something wrong in it."""

    name: str
    method: str
    path: str
    headers: Mapping[str, str] = _NO_HEADERS
    body: bytes | None = None
    stranger: bool = False
    """Whether it is sent by one who is not signed in."""


class Known(NamedTuple):
    """Where mistakes can be made."""

    read: str
    """A path that answers GET."""
    missing: str
    """A path that is not there."""
    methods: frozenset[str] = frozenset()
    """What the path that answers GET is said to take."""
    numbers: tuple[tuple[str, str], ...] = ()
    """Path and name of parameters that are whole numbers."""
    content: str = ""
    """The path of something that was uploaded."""
    resumable: str = ""
    """Where uploads are begun that can be gone on with."""
    form: tuple[str, str] = ("", "")
    """Where a form is sent to, and a field of it."""


def mistakes(known: Known) -> Iterator[Mistake]:
    """All that can be made there."""
    yield Mistake("a path that is not there", "GET", known.missing)
    yield Mistake("a POST to a path that is not there", "POST", known.missing, body=b"")
    for method in [method for method in _METHODS if method not in known.methods][:1]:
        yield Mistake(f"{method} where one reads", method, known.read, body=None if method == "DELETE" else b"")
    yield Mistake("no credentials", "GET", known.read, stranger=True)
    wrong = {"Authorization": "Bearer of-nobody"}
    yield Mistake("credentials of nobody", "GET", known.read, wrong, stranger=True)
    for path, name in known.numbers:
        for kind, value in (("a word for the number", "none"), ("a number beyond 64 bits in", _BEYOND)):
            yield Mistake(f"{kind} {name}", "GET", f"{path}?{name}={value}")
    if known.content:
        yield Mistake("a range that is none", "GET", known.content, {"Range": "bytes=abc"})
        yield Mistake("a range behind the end", "GET", known.content, {"Range": f"bytes={10**12}-"})
    yield from _of_uploads(known.resumable)
    if known.form[0]:
        body = urlencode({known.form[1]: "a" * _LONG}).encode()
        yield Mistake(f"a form of {_LONG:,} bytes", "POST", known.form[0], _FORM, body, stranger=True)


def _of_uploads(where: str) -> Iterator[Mistake]:
    """Of tus 1.0."""
    if not where:
        return
    said = {"Tus-Resumable": "1.0.0"}
    name = base64.b64encode(b"prove").decode()
    for what, headers in (
        ("an upload whose metadata is not base64", {**said, "Upload-Length": "5", "Upload-Metadata": "filename a"}),
        (
            "an upload of a length that is none",
            {**said, "Upload-Length": "five", "Upload-Metadata": f"filename {name}"},
        ),
        ("an upload without a length", {**said, "Upload-Metadata": f"filename {name}"}),
    ):
        yield Mistake(what, "POST", where, headers, b"")


def lacks(answer: Answer) -> str:
    """Which header an answer must have by the standard and has not, in words; empty where none."""
    header, what = _WANTED.get(answer.status, ("", ""))
    if not header or answer.headers.get(header):
        return ""
    return f"a {answer.status} that does not say {what}: RFC 9110 wants {header.title()}"


def is_problem(answer: Answer) -> bool | None:
    """Whether a refusal in JSON is a problem document (RFC 9457); None of what is no refusal in JSON."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if answer.status < 400 or not answer.body or not kind.endswith(("/json", "+json")):
        return None
    return kind == _PROBLEM
