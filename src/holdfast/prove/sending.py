"""Requests made of templates: the texts filled in, the bodies built, what came back found in the answer."""

import json
import random
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import count
from typing import Final, NamedTuple, cast
from urllib.parse import quote, urlencode

from holdfast.prove.config import Template
from holdfast.prove.http import Answer

_BOUNDARY: Final = "holdfast-prove-boundary"
_NUMBERS: Final = count(1)
_BLOCK: Final = 65_536
_COLUMNS: Final = ("row", "name", "city", "amount", "note")


class Request(NamedTuple):
    """A request that is ready to be sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    names: Mapping[str, str]
    """What was filled in."""


class Streamed(NamedTuple):
    """A request whose body is made while it is sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    length: int
    pieces: AsyncIterator[bytes]
    names: Mapping[str, str]


def filled(text: str, names: Mapping[str, str], *, quoted: bool = False) -> str:
    """`text` with what stands in braces filled in, as far as it is known; `quoted` for a place in an address."""
    return re.sub(
        r"\{(\w+)\}",
        lambda found: (
            (quote(names[found[1]], safe="") if quoted else names[found[1]]) if found[1] in names else found[0]
        ),
        text,
    )


def fresh_names(known: Mapping[str, str] | None = None) -> dict[str, str]:
    """A name that nothing has yet, and a number, beside what is known."""
    return {"name": f"prove-{secrets.token_hex(6)}", "n": str(next(_NUMBERS)), "rows": "10", **(known or {})}


def request(template: Template, known: Mapping[str, str] | None = None, content: bytes | None = None) -> Request:
    """A request of a template. `content` is the file that it carries, or its whole body."""
    names = fresh_names(known)
    headers = {name: filled(value, names) for name, value in template.headers.items()}
    kind, body = _body(template, names, content)
    if kind and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = kind
    return Request(template.method, filled(template.path, names, quoted=True), headers, body, names)


def _body(template: Template, names: Mapping[str, str], content: bytes | None) -> tuple[str, bytes | None]:
    if template.json is not None:
        return "application/json", json.dumps(_filled_in(template.json, names)).encode()
    if template.file:
        content = table(int(names["rows"])) if content is None else content
        first, last = _form(template, names)
        return f"multipart/form-data; boundary={_BOUNDARY}", first + content + last
    if template.form is not None:
        fields = {name: filled(value, names) for name, value in template.form.items()}
        return "application/x-www-form-urlencoded", urlencode(fields).encode()
    if content is not None:
        return "application/octet-stream", content
    if template.body == "csv":
        return "text/csv", table(int(names["rows"]))
    if template.body == "bytes":
        return "application/octet-stream", chance_bytes(1024, int(names["n"]))
    return ("text/plain", filled(template.body, names).encode()) if template.body else ("", None)


def _form(template: Template, names: Mapping[str, str]) -> tuple[bytes, bytes]:
    """What stands before and after the file in a multipart form."""
    fields = "".join(
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{filled(value, names)}\r\n'
        for name, value in (template.form or {}).items()
    )
    first = (
        f'{fields}--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{template.file}"; '
        f'filename="{names["name"]}.csv"\r\nContent-Type: text/csv\r\n\r\n'
    )
    return first.encode(), f"\r\n--{_BOUNDARY}--\r\n".encode()


def streamed(
    template: Template, pieces: Iterator[bytes], size: int, known: Mapping[str, str] | None = None
) -> Streamed:
    """An upload of `size` bytes that are made while they are sent, so that the sender needs no memory for them."""
    names = fresh_names(known)
    headers = {name: filled(value, names) for name, value in template.headers.items()}
    first, last = _form(template, names) if template.file else (b"", b"")
    kind = f"multipart/form-data; boundary={_BOUNDARY}" if template.file else "application/octet-stream"
    headers.setdefault("Content-Type", kind)
    path = filled(template.path, names, quoted=True)
    return Streamed(template.method, path, headers, len(first) + size + len(last), _around(first, pieces, last), names)


async def _around(first: bytes, pieces: Iterator[bytes], last: bytes) -> AsyncIterator[bytes]:
    if first:
        yield first
    for piece in pieces:
        yield piece
    if last:
        yield last


def _filled_in(value: object, names: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return filled(value, names)
    if isinstance(value, dict):
        return {key: _filled_in(each, names) for key, each in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_filled_in(each, names) for each in cast("list[object]", value)]
    return value


def found_in(answer: Answer, where: str) -> str:
    """What an answer names: `where` is a dotted path in its JSON, or `header:Name`. Empty where it is not there."""
    if where.lower().startswith("header:"):
        return answer.headers.get(where[7:].strip().lower(), "")
    value = answer.json()
    for key in where.split(".") if where else ():
        if isinstance(value, dict):
            value = cast("dict[str, object]", value).get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(cast("list[object]", value)):
            value = cast("list[object]", value)[int(key)]
        else:
            return ""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


# -- contents --


def table(rows: int, first: int = 1) -> bytes:
    """A CSV table of so many rows, each different."""
    lines = [",".join(_COLUMNS), *(_row(number) for number in range(first, first + rows))]
    return ("\n".join(lines) + "\n").encode()


def table_pieces(rows: int) -> Iterator[bytes]:
    """The same table in pieces."""
    yield (",".join(_COLUMNS) + "\n").encode()
    for begin in range(1, rows + 1, 1000):
        yield "".join(_row(number) + "\n" for number in range(begin, min(begin + 1000, rows + 1))).encode()


def _row(number: int) -> str:
    return f"{number},Person {number},Town {number % 977},{number * 7 % 100_000},a note about number {number}"


def chance_bytes(size: int, seed: int) -> bytes:
    """So many bytes of chance, the same for a seed."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - to be told apart, not to be secret


def chance_pieces(size: int, seed: int) -> Iterator[bytes]:
    """So many bytes of chance, in pieces."""
    chance = random.Random(seed)  # noqa: S311 - as above
    for begin in range(0, size, _BLOCK):
        yield chance.randbytes(min(_BLOCK, size - begin))
