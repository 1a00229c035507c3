"""Requests that no client of good will sends: each a name, and the bytes. Pure."""

import gzip
import json
import secrets
import zlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

MARK: Final = "x-prove-injected"
"""A header that no answer has unless what was sent was taken for a part of it."""
_BOUNDARY: Final = "prove-boundary"
_JSON: Final = "application/json"


class Hostile(NamedTuple):
    """Something hostile."""

    name: str
    method: str
    data: bytes
    told: bool = False
    """Whether an application that refuses it can say why; below that, servers do with a bare 400."""
    whole: bool = True
    """Whether a server must know that nothing more comes."""


class Aim(NamedTuple):
    """Where it is sent."""

    headers: Mapping[str, str]
    """Of every request: the host, and what signs in."""
    read: str
    """A path that answers GET."""
    method: str
    """Of what takes a body."""
    write: str
    upload: str = ""


def hostilities(aim: Aim) -> list[Hostile]:
    """All of them."""
    return [*_lines(aim), *_heads(aim), *_lengths(aim), *_paths(aim), *_methods(aim), *_bodies(aim), *_forms(aim)]


def _head(aim: Aim, method: str, path: str, more: str = "", *, host: bool = True) -> bytes:
    kept = "".join(f"{name}: {value}\r\n" for name, value in aim.headers.items() if host or name.lower() != "host")
    return f"{method} {path} HTTP/1.1\r\n{kept}Connection: close\r\n{more}\r\n".encode("latin-1", "replace")


def _lines(aim: Aim) -> Iterator[Hostile]:
    rest = _head(aim, "GET", "/").partition(b"\r\n")[2]
    for name, line in (
        ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)),
        ("a request line of one word", b"GET"),
        ("a request line without a version", b"GET /"),
        ("a version that is not there", b"GET / HTTP/9.9"),
        ("a version that is none", b"GET / HTPP/1.1"),
        ("a method with a blank", b"GE T / HTTP/1.1"),
        ("a method of 10,000 letters", b"G" * 10_000 + b" / HTTP/1.1"),
        ("a NUL in the request line", b"GET /\x00 HTTP/1.1"),
        ("a path without a slash", b"GET index HTTP/1.1"),
        ("the path of an asterisk", b"GET * HTTP/1.1"),
        ("an address of another host", b"GET http://elsewhere.invalid/ HTTP/1.1"),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0"),
    ):
        yield Hostile(name, "GET", line + b"\r\n" + rest, whole=False)
    yield Hostile("an address of 100,000 bytes", "GET", _head(aim, "GET", "/" + "a" * 100_000))
    yield Hostile("a query of 60,000 bytes", "GET", _head(aim, "GET", f"{aim.read}?{'a=b&' * 15_000}"))


def _heads(aim: Aim) -> Iterator[Hostile]:
    read = aim.read
    many = "".join(f"X-Prove-{number}: 1\r\n" for number in range(10_000))
    for name, more in (
        ("10,000 headers", many),
        ("a header of 1 MB", f"X-Prove: {'a' * 1_000_000}\r\n"),
        ("a header without a colon", "X-Prove\r\n"),
        ("a header without a name", ": value\r\n"),
        ("a blank before the colon", "X-Prove : 1\r\n"),
        ("a folded header", "X-Prove: 1\r\n  and more\r\n"),
        ("a NUL in a header", "X-Prove: a\x00b\r\n"),
        ("bytes above ASCII in a header", "X-Prove: \xff\xfe\x80\r\n"),
        ("two hosts", "Host: elsewhere.invalid\r\n"),
        ("an expectation that is none", "Expect: 999-nothing\r\n"),
        ("ranges that are none", "Range: bytes=9-1,-,a-b\r\n"),
        ("a thousand ranges", f"Range: bytes={','.join('0-1' for _ in range(1000))}\r\n"),
        ("dates that are none", "If-Modified-Since: yesterday\r\nIf-Range: \x7f\r\n"),
        ("a cookie that is none", 'Cookie: =;;=a; "; \xff=\xff; a\r\n'),
        ("a language that is none", "Accept-Language: ;q=,,*;q=9\r\nAccept: ///;q=a\r\nAccept-Encoding: ;;\r\n"),
        (
            "a forwarded that is none",
            'Forwarded: for="[";by=;;\r\nX-Forwarded-For: ,,\xff\r\nX-Forwarded-Proto: ://\r\n',
        ),
        ("a request ID of 5,000 letters", f"X-Request-ID: {'i' * 5000}\r\nTraceparent: 00-zz-zz-zz\r\n"),
        ("an upgrade to nothing", "Connection: upgrade\r\nUpgrade: nothing\r\n"),
        ("a WebSocket without a key", "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
    ):
        yield Hostile(name, "GET", _head(aim, "GET", read, more))
    yield Hostile("no host", "GET", _head(aim, "GET", read, host=False))
    for name, value in (
        ("credentials that are no base64", "Basic !!!!"),
        ("credentials that are no UTF-8", "Basic //79"),
        ("credentials above ASCII", "Bearer \xff\xfe"),
        ("credentials of no kind", "\x7f"),
        ("no credentials", "Bearer"),
    ):
        other = aim._replace(headers={k: v for k, v in aim.headers.items() if k.lower() != "authorization"})
        yield Hostile(name, "GET", _head(other, "GET", read, f"Authorization: {value}\r\n"))


def _lengths(aim: Aim) -> Iterator[Hostile]:
    chunked = "Transfer-Encoding: chunked\r\n"
    kind = f"Content-Type: {_JSON}\r\n"
    for name, more, body in (
        ("a negative length", "Content-Length: -5\r\n", b"{}"),
        ("a length with a plus", "Content-Length: +2\r\n", b"{}"),
        ("a length that is no number", "Content-Length: two\r\n", b"{}"),
        ("a length of thirty digits", f"Content-Length: {10**30}\r\n", b"{}"),
        ("two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n", b"{} "),
        ("a length and chunks", f"Content-Length: 2\r\n{chunked}", b"2\r\n{}\r\n0\r\n\r\n"),
        ("a body shorter than its length", "Content-Length: 200\r\n", b"{"),
        ("a chunk whose size is no number", chunked, b"zz\r\n{}\r\n0\r\n\r\n"),
        ("a chunk of a negative size", chunked, b"-2\r\n{}\r\n0\r\n\r\n"),
        ("a chunk of an endless size", chunked, b"F" * 40 + b"\r\n{}\r\n0\r\n\r\n"),
        ("a chunk longer than its size", chunked, b"1\r\n{}{}{}\r\n0\r\n\r\n"),
        ("chunks that do not end", chunked, b"2\r\n{}\r\n"),
        ("a chunk with 20,000 bytes of extensions", chunked, b"2;" + b"a" * 20_000 + b"\r\n{}\r\n0\r\n\r\n"),
        ("an encoding that is none", "Transfer-Encoding: nothing\r\n", b"{}"),
        ("chunks said twice", "Transfer-Encoding: chunked, chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
    ):
        data = _head(aim, aim.method, aim.write, kind + more) + body
        yield Hostile(name, aim.method, data, whole=False)


def _paths(aim: Aim) -> Iterator[Hostile]:
    base = aim.read.partition("?")[0].rstrip("/")
    nowhere = f"/no-such-{secrets.token_hex(4)}"
    for name, path in (
        ("a NUL in the path", f"{base}/%00"),
        ("bytes in the path that are no UTF-8", f"{base}/%ff%fe"),
        ("percents in the path that say nothing", f"{base}/%zz%"),
        ("a way out of the folder", f"{base}/..%2f..%2f..%2f..%2fetc%2fpasswd"),
        ("a way out of the folder, encoded twice", f"{base}/%252e%252e%252f%252e%252e%252fetc"),
        ("a line feed in the path", f"{base}/a%0d%0a{MARK}:%201"),
        ("a line feed and a slash at the end", f"{base}/a%0d%0a{MARK}:%201/"),
        ("a line feed in an unknown path", f"{nowhere}%0d%0a{MARK}:%201"),
        ("two slashes", f"//elsewhere.invalid{base}"),
        ("a number of 400 digits in the path", f"{base}/{'9' * 400}"),
        ("a number beyond 64 bits in the path", f"{base}/99999999999999999999"),
        ("a quote in the path", f"{base}/'%20OR%201=1;--"),
        ("a name of 5,000 bytes in the path", f"{base}/{'n' * 5000}"),
        ("a NUL in the query", f"{base}?q=%00&limit=%00&page=%00&id=%00"),
        ("a query that is no UTF-8", f"{base}?q=%ff%fe&%ff=%fe"),
        ("percents in the query that say nothing", f"{base}?q=%&%zz&=&&&%"),
        ("numbers beyond 64 bits in the query", f"{base}?limit={'9' * 30}&offset=-{'9' * 30}&page=1e999&size=NaN"),
        ("a number of 5,000 digits in the query", f"{base}?limit={'9' * 5000}"),
        ("a route that is not there", nowhere),
    ):
        yield Hostile(name, "GET", _head(aim, "GET", path), told=True)


def _methods(aim: Aim) -> Iterator[Hostile]:
    nowhere = f"/no-such-{secrets.token_hex(4)}"
    for method in ("PATCH", "PUT", "DELETE", "TRACE", "PROPFIND", "FOO", "get", "HEAD", "OPTIONS"):
        yield Hostile(f"{method} where one reads", method, _head(aim, method, aim.read), told=method != "TRACE")
    yield Hostile("POST where nothing is", "POST", _head(aim, "POST", nowhere, "Content-Length: 0\r\n"), told=True)
    yield Hostile("CONNECT", "CONNECT", _head(aim, "CONNECT", "elsewhere.invalid:443"), whole=False)


def _bodies(aim: Aim) -> Iterator[Hostile]:
    deep = b"[" * 100_000
    for name, body in (
        ("JSON that ends too soon", b'{"name": "'),
        ("an empty body that is to be JSON", b""),
        ("JSON in UTF-16", '{"name": "x"}'.encode("utf-16")),
        ("JSON in UTF-32", '{"name": "x"}'.encode("utf-32")),
        ("JSON with a byte order mark", b'\xef\xbb\xbf{"name": "x"}'),
        ("JSON that is no UTF-8", b'{"name": "\xff\xfe\x80"}'),
        ("NULs for JSON", bytes(1000)),
        ("JSON with a NUL in a text", b'{"name": "a\\u0000b", "id": "\\u0000"}'),
        ("JSON with half a character", b'{"name": "\\ud800", "\\udfff": 1}'),
        ("100,000 brackets", deep),
        ("100,000 brackets that are closed", deep + b"]" * 100_000),
        ("100,000 braces", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        ("a number of 5,000 digits", b'{"name": ' + b"9" * 5000 + b', "id": ' + b"9" * 5000 + b"}"),
        ("a number beyond all numbers", b'{"name": 1e99999, "id": -1e99999, "count": 1e999}'),
        ("numbers that are none", b'{"name": NaN, "id": Infinity, "count": -Infinity}'),
        ("a list where an object is wanted", b"[]"),
        ("a number where an object is wanted", b"5"),
        ("null where an object is wanted", b"null"),
        ("a text where an object is wanted", b'"text"'),
        ("an object with 20,000 keys", json.dumps({f"k{number}": number for number in range(20_000)}).encode()),
    ):
        yield _posted(aim, name, _JSON, body)
    bomb = gzip.compress(bytes(10_000_000))
    yield _posted(aim, "10 MB that come as 10 KB", _JSON, bomb, "Content-Encoding: gzip\r\n")
    yield _posted(aim, "gzip that is none", _JSON, b'{"name": "x"}', "Content-Encoding: gzip\r\n")
    yield _posted(
        aim, "zlib for an encoding that is none", _JSON, zlib.compress(b"{}"), "Content-Encoding: nothing\r\n"
    )
    yield _posted(aim, "a kind of content that is none", ";;=/", b'{"name": "x"}')
    yield _posted(aim, "a character set that is none", f"{_JSON}; charset=nothing", b'{"name": "x"}')
    yield _posted(aim, "a form where JSON is wanted", "application/x-www-form-urlencoded", b"%zz=%&&=%ff&a" * 50)
    yield _posted(aim, "a form of 5,000 fields", "application/x-www-form-urlencoded", b"a=1&" * 5000)


def _posted(aim: Aim, name: str, kind: str, body: bytes, more: str = "", path: str = "") -> Hostile:
    head = _head(aim, aim.method, path or aim.write, f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}")
    return Hostile(name, aim.method, head + body, told=True)


def _forms(aim: Aim) -> Iterator[Hostile]:
    path = aim.upload or aim.write
    kind = f"multipart/form-data; boundary={_BOUNDARY}"
    part = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'.encode()
    end = f"\r\n--{_BOUNDARY}--\r\n".encode()
    for name, said, body in (
        ("a form that ends too soon", kind, part + b"1,2"),
        ("a form without a boundary", "multipart/form-data", part + b"1,2" + end),
        ("a form with another boundary", f"{kind}-other", part + b"1,2" + end),
        ("a form of nothing", kind, b""),
        ("a form whose part has no name", kind, part.replace(b'; name="file"', b"") + b"1,2" + end),
        ("a form whose file has a NUL in its name", kind, part.replace(b"a.csv", b"a\x00/../b.csv") + b"1,2" + end),
        ("a form of 3,000 fields", kind, (part.replace(b'; filename="a.csv"', b"") + b"1\r\n") * 3000 + end[2:]),
        (
            "a form whose part has a head of 100,000 bytes",
            kind,
            part[:-2] + b"X: " + b"a" * 100_000 + b"\r\n\r\n" + end,
        ),
    ):
        yield _posted(aim, name, said, body, path=path)
