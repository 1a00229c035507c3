"""Lists that are asked for whole, by a number that says how many are wanted, once there is much in them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, cast

import msgspec

from holdfast.decide.openapi import Operation, operations
from holdfast.decide.verdicts import Judgement, broken
from holdfast.prove.http import Answer
from holdfast.prove.running import App
from holdfast.prove.sending import Request, filled, fresh_names, table
from holdfast.prove.stage import Target, send

_SIZES: Final = frozenset(
    {"limit", "size", "count", "first", "top", "take", "max", "rows", "per_page", "page_size", "max_results"}
)
"""What such a number is called, in lower case; hyphens and capitals are taken for underscores."""
_WANTED: Final = 1_000_000
_PAGE: Final = 1_000
"""No page that somebody meant to be one is longer."""
_AT_ONCE: Final = 24
_FILES: Final = 50
"""In one form."""
_FORMS_AT_ONCE: Final = 4
_BOUNDARY: Final = "prove-boundary"
_FILLED_S: Final = 16.0
_MOST_LISTS: Final = 4
_MEND: Final = "Give a page at most so many, whatever is asked for: say a maximum for it, and where the next page is."


class Listed(msgspec.Struct, frozen=True):
    """A list that was asked for whole."""

    asked: str
    page: int
    """How many it has where nothing is said."""
    whole: int
    """How many it gave."""


async def lists(app: App, target: Target) -> list[Listed]:
    """Ask for all that there is. Only where it does not refuse that anyway, much is filled in before."""
    if not target.schema or not (target.write or target.upload):
        return []
    answer = await app.client.ask("GET", target.schema)
    known, _ = operations(answer.json())
    open_ended: list[tuple[str, str]] = []
    for one in known:
        path = _whole(one)
        if path and len(open_ended) < _MOST_LISTS and (await app.client.ask("GET", path)).good:
            open_ended.append((one.path, path))
    if not open_ended:
        return []
    await _filled(app, target, known)
    found: list[Listed] = []
    for plain, path in open_ended:
        usual, most = await app.client.ask("GET", plain), await app.client.ask("GET", path)
        found.append(Listed(f"GET {path}", _length(usual), _length(most)))
    return found


def _whole(operation: Operation) -> str:
    """Where more is asked for than a page has; empty where it takes no such number, or says a maximum."""
    if operation.method != "GET" or not operation.plain:
        return ""
    for name, most in operation.numbers.items():
        if _named(name) in _SIZES and (most is None or most >= _WANTED):
            return f"{operation.path}?{name}={_WANTED}"
    return ""


def _named(name: str) -> str:
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name).replace("-", "_").lstrip("_")


async def _filled(app: App, target: Target, known: Sequence[Operation]) -> None:
    """Make more things than a page has, as far as there is time: many at once, where a form may have many files."""
    until = time.monotonic() + _FILLED_S
    form = _form_of_many(app, target, known)
    if form is not None and (await _sent(app, form())).good:
        await _again(lambda: _sent(app, form()), _PAGE // _FILES, _FORMS_AT_ONCE, until)
    elif target.write is not None:
        write = target.write
        await _again(lambda: send(app, write, timeout_s=_FILLED_S), _PAGE, _AT_ONCE, until)
    elif target.upload is not None:
        upload, content = target.upload, table(1)
        await _again(lambda: send(app, upload, content=content, timeout_s=_FILLED_S), _PAGE, _AT_ONCE, until)


async def _again(once: Callable[[], Awaitable[object]], times: int, at_once: int, until: float) -> None:
    """Do it so often and a few times more, but begin none after `until`."""
    left = times + at_once

    async def some() -> None:
        nonlocal left
        while left > 0 and time.monotonic() < until:
            left -= 1
            await once()

    await asyncio.gather(*(some() for _ in range(at_once)))


def _form_of_many(app: App, target: Target, known: Sequence[Operation]) -> Callable[[], Request] | None:
    """A form with many small files, where the operation of an upload takes a form with a file."""
    upload = target.upload
    where = upload.path.partition("?")[0] if upload is not None else ""
    taking = next((one for one in known if one.file and one.method == "POST" and one.path == where), None)
    if upload is None or taking is None:
        return None
    kind = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}

    def form() -> Request:
        names = fresh_names(app.names)
        first = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{taking.file}"'
        parts = "".join(
            f'{first}; filename="{names["name"]}-{number}.bin"\r\n'
            f"Content-Type: application/octet-stream\r\n\r\n{names['name']}-{number}\r\n"
            for number in range(_FILES)
        )
        headers = {name: filled(value, names) for name, value in upload.headers.items()}
        return Request("POST", where, {**headers, **kind}, f"{parts}--{_BOUNDARY}--\r\n".encode(), names)

    return form


async def _sent(app: App, sent: Request) -> Answer:
    return await app.client.ask(sent.method, sent.path, headers=sent.headers, body=sent.body, timeout_s=_FILLED_S)


def _length(answer: Answer) -> int:
    """How many things are in an answer: it is a list, or has one."""
    said = answer.json() if answer.good else None
    values = cast("dict[str, object]", said).values() if isinstance(said, dict) else (said,)
    return max((len(cast("list[object]", each)) for each in values if isinstance(each, list)), default=0)


def endless(found: Sequence[Listed]) -> Judgement | None:
    """Broken where a list gives more in one answer than a page ever has."""
    worst = max(found, key=lambda one: one.whole, default=None)
    if worst is None or worst.whole <= max(_PAGE, 2 * worst.page):
        return None
    return broken(
        f"{worst.asked} gave {worst.whole} things in one answer, and {worst.page} where nothing is said: "
        "it grows with all that there is.",
        f"{worst.whole} in one answer",
        mend=_MEND,
        certain=True,
    )
