"""Single requests that may be dear to a backend, although each of them looks harmless: kinds of them, one by one.

Passwords and cookies are hashed, what was made is looked at and deleted, and heads are taken apart by expressions that
try everything before they give up.
"""

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast

from holdfast.decide.openapi import operations
from holdfast.prove.config import Template
from holdfast.prove.http import Answer, Client
from holdfast.prove.props.sign_in_pages import Page, sign_in_page, sign_in_pages
from holdfast.prove.running import App
from holdfast.prove.sending import found_in, request, table
from holdfast.prove.stage import Target

TIMES: Final = 4
"""How often each kind can be asked for."""
_LIMIT_S: Final = 3.0
_MOST_OPERATIONS: Final = 8
_ROWS: Final = 20
_PAIRS: Final = "\\a" * 40
"""Quoted pairs: an expression that can read each in two ways tries a million millions of them."""


class Heavy(NamedTuple):
    """One kind of request."""

    shown: str
    once: Callable[[], Awaitable[Answer]]
    method: str = "GET"
    again: bool = True
    """Whether it may be asked for as often as one likes."""


def _asking(client: Client, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Heavy:
    async def once() -> Answer:
        return await client.ask(method, path, headers=headers, body=body, timeout_s=_LIMIT_S)

    return Heavy(f"{method} {path}", once, method)


async def kinds(app: App, target: Target) -> AsyncGenerator[Heavy]:
    """All of them, those that leave least behind first."""
    document = (await app.client.ask("GET", target.schema)).json() if target.schema else None
    pages = await sign_in_pages(app)
    for one in _credentials(app, target, _cookies(document) | {page.cookie for page in pages if page.cookie}):
        yield one
    for page in pages:
        yield _form(app, page)
    async for one in _made(app, target, document):
        yield one


# -- who one is --


def _credentials(app: App, target: Target, cookies: set[str]) -> Iterator[Heavy]:
    """A read with credentials that are wrong, in each way in which they may be given."""
    path = request(target.read, app.names).path
    wrong = secrets.token_urlsafe(32)
    for what, headers in (
        *((f"a wrong cookie {name}", {"Cookie": f"{name}={wrong}"}) for name in sorted(cookies)),
        ("a wrong bearer token", {"Authorization": f"Bearer {wrong}"}),
        ("a wrong password by HTTP", {"Authorization": "Basic cHJvdmU6cHJvdmUtcGFzc3dvcmQ="}),
    ):
        asking = _asking(app.stranger, target.read.method, path, headers)
        yield asking._replace(shown=f"{asking.shown} with {what}")


def _cookies(document: object) -> set[str]:
    """The cookies by which, as an OpenAPI document says, one is known."""
    schemes = _within(_within(document, "components"), "securitySchemes")
    found = [cast("dict[str, object]", each) for each in schemes.values() if isinstance(each, dict)]
    return {str(each.get("name")) for each in found if each.get("in") == "cookie"}


def _within(value: object, key: str) -> dict[str, object]:
    found = cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def _form(app: App, shown: Page) -> Heavy:
    """The form as a browser sends it, with a name that nobody has, another each time: who fails often is sent away."""

    async def once() -> Answer:
        page = shown
        if page.cookie or page.form.hidden:  # they belong to the page as it was just shown
            page = await sign_in_page(app, page.path) or page
        sent = page.filled(f"prove-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(16))
        return await app.stranger.ask(sent.method, sent.path, headers=sent.headers, body=sent.body, timeout_s=_LIMIT_S)

    return Heavy(f"POST {shown.form.action} from the form on the page {shown.path}", once, "POST")


# -- what was made --


async def _made(app: App, target: Target, document: object) -> AsyncGenerator[Heavy]:
    """What an API says can be done to something that was made just before: looking at it first, deleting it last."""
    known = operations(document)[0] if document is not None else []
    for making in [one for one in (target.upload, target.write) if one is not None and one.id]:
        base = making.path.partition("?")[0].rstrip("/")
        mine = [
            one
            for one in known
            if one.method in {"GET", "DELETE"}
            and len(one.parameters) == 1
            and not one.required
            and one.path.startswith(f"{base}/{{")
        ]
        mine.sort(key=lambda one: one.method == "DELETE")
        for one in mine[:_MOST_OPERATIONS]:
            yield await _done(app, making, one.method, one.path, one.parameters[0])


async def _done(app: App, making: Template, method: str, path: str, parameter: str) -> Heavy:
    """One operation, to something else each time."""
    ids = [await _id(app, making) for _ in range(TIMES)]

    async def once() -> Answer:
        where = path.replace(f"{{{parameter}}}", ids.pop() if ids else "none")
        return await app.client.ask(method, where, timeout_s=_LIMIT_S)

    return Heavy(f"{method} {path}", once, method, again=False)


async def _id(app: App, making: Template) -> str:
    sent = request(making, app.names, None if making.json is not None else table(_ROWS))
    answer = await app.client.ask(sent.method, sent.path, headers=sent.headers, body=sent.body, timeout_s=_LIMIT_S)
    return found_in(answer, making.id) or "none"


# -- heads --


def heads(app: App, target: Target) -> Sequence[Heavy]:
    """Heads on which expressions run wild: quoted texts that do not end, and long rows of what may be repeated."""
    read = request(target.read, app.names)
    made = [_asking(app.client, read.method, read.path, {**read.headers, name: value}) for name, value in _READING]
    shown = [
        one._replace(shown=f"{one.shown} with a {name} that does not end")
        for one, (name, _) in zip(made, _READING, strict=True)
    ]
    taking = target.upload or target.write
    if taking is None:
        return shown
    sent = request(taking, app.names, None if taking.json is not None else table(2))
    bare = sent.path.partition("?")[0]  # where the address names what comes, its head is not looked at
    for name, value in _TAKING:
        for path in dict.fromkeys((sent.path, bare)) if name == "Content-Disposition" else (sent.path,):
            one = _asking(app.client, sent.method, path, {**_but(sent.headers, name), name: value}, sent.body)
            shown.append(one._replace(shown=f"{one.shown} with a {name} that does not end"))
    if taking.file and sent.body is not None:
        named = f'filename="{sent.names["name"]}.csv"'.encode()
        body = sent.body.replace(named, f'filename="{_PAIRS}'.encode(), 1)
        one = _asking(app.client, sent.method, sent.path, sent.headers, body)
        shown.append(one._replace(shown=f"{one.shown} with a file name that does not end"))
    return shown


def _but(headers: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key.lower() != name.lower()}


_READING: Final = (
    ("Cookie", f'a="{_PAIRS}'),
    ("Cookie", 'a="' + "\\" * 4000),
    ("Accept", f'text/html;level="{_PAIRS}'),
    ("Accept-Language", "en" + ";q" * 2000 + "!"),
    ("Range", "bytes=" + "0-" * 2000 + "x"),
    ("If-None-Match", f'W/"{_PAIRS}'),
    ("Forwarded", f'for="{_PAIRS}'),
    ("X-Forwarded-For", "1." * 2000 + "x"),
    ("User-Agent", "Mozilla/5.0 " + "(" * 2000),
)
_TAKING: Final = (
    ("Content-Disposition", f'attachment; filename="{_PAIRS}'),
    ("Content-Disposition", "attachment; filename" + " " * 3000 + "x"),
    ("Content-Type", f'multipart/form-data; boundary="{_PAIRS}'),
    ("Content-Type", 'application/x-www-form-urlencoded; !="' + "\\" * 120),
    ("Content-Type", "text/plain" + ";" * 3000 + "x"),
)
"""The last but one stopped many a Python backend (CVE-2024-24762)."""
