"""Clients that leave in the middle: of a head, a body, an answer that they wait for, one that they read, a stream."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from holdfast.prove.config import Template
from holdfast.prove.http import Wire
from holdfast.prove.props.resumable import address, creation, piece
from holdfast.prove.running import App
from holdfast.prove.sending import filled, found_in, request, table
from holdfast.prove.stage import Target, send

ANNOUNCED: Final = 1 << 20
"""Of each body; at most half of it comes."""
_PIECE: Final = 1 << 14
_RECEIVE: Final = 4096
"""So small a buffer for what comes, that the backend is still sending when the client leaves."""
_PATIENCE_S: Final = 3.0
_LINGER_S: Final = 0.25
_ROWS: Final = 1_000
_FILLER: Final = b" that goes on and on" * 420
"""So that 8 MB are downloaded: the kernel alone takes 2.6 of them from the backend before the client has read any."""
_LARGE: Final = 12
_STALLED: Final = 4
_STALLED_S: Final = 1.2
"""What is made faster than it is read is somewhere by then."""
_HASTY: Final = 1_500
_HASTY_AT_ONCE: Final = 6
_HASTE_S: Final = 0.003
_UPGRADE: Final[Mapping[str, str]] = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "aG9sZGZhc3QtcHJvdmUtMQ==",
}


class Departure(NamedTuple):
    """How a client left."""

    middle: bool
    """Something was still to come when it did."""
    sent: int = 0
    """Bytes of a body."""


Leaving = Callable[[Wire, random.Random], Awaitable[Departure]]
"""What a client does until it leaves."""


class Way(NamedTuple):
    """A way of leaving."""

    name: str
    leaving: Leaving
    receive_bytes: int = 0
    resumable: bool = False
    """What came is kept on purpose."""
    most: int = 1 << 30
    """Who leaves like this takes his time, or makes much work, so that not more of them come."""


async def departed(app: App, way: Way, seed: int) -> Departure:
    """A client comes, and leaves: with a reset or in the usual way, as the seed says."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    found = Departure(middle=False)
    with contextlib.suppress(OSError, TimeoutError):
        async with app.client.wire(receive_bytes=way.receive_bytes) as wire:
            async with asyncio.timeout(_PATIENCE_S):
                found = await way.leaving(wire, chance)
            if chance.random() < 0.5:
                wire.reset()
    return found


async def ways(app: App, target: Target) -> list[Way]:
    """All the ways there are with this backend. What there is to download is sent to it first."""
    calls_out = [target.calls_out] if target.calls_out else []
    sockets = [target.socket] if target.socket else []
    for one in (*target.slow, *calls_out, *sockets):
        if "{id}" in one.path and "id" not in app.names:
            await send(app, one, timeout_s=_PATIENCE_S)  # which makes something that has one
    found = [Way("half a head", _half_head(app, target.read)), Way("a request", _unread(app, target.read))]
    found += [Way("a slow request", _unread(app, one)) for one in target.slow]
    found += [Way("a request that calls out", _unread(app, one)) for one in calls_out]
    found += [Way(f"half of {one.shown}", _half_body(app, one)) for one in (target.upload, target.write) if one]
    if target.upload is not None and not target.upload.file:
        found.append(Way("half a form", _half_body(app, target.upload._replace(file="file"))))
    if target.export is not None:
        found.append(Way("an export", _reading(app, target.export), _RECEIVE))
        stalled = _reading(app, target.export, _STALLED_S)
        found.append(Way("an export that waits for its reader", stalled, _RECEIVE, most=_STALLED))
    if content := await _content(app, target.upload):
        found.append(Way("a download", _reading(app, Template("GET", content)), _RECEIVE, most=_LARGE))
    for one in sockets:
        upgrade = one._replace(headers={**one.headers, **_UPGRADE})
        found += [Way("a stream", _reading(app, one), _RECEIVE), Way("a WebSocket", _reading(app, upgrade), _RECEIVE)]
    if target.upload is not None and target.upload.resumable:
        found.append(Way("a resumable upload", _half_resumed(app, target.upload.resumable), resumable=True))
    return found


async def in_haste(app: App, template: Template, chance: random.Random, within_s: float) -> int:
    """A great many ask, and leave with a reset some milliseconds later; how many came, and heard nothing.

    There are more than any usual number of places that a backend has for requests: one that is not given back each time
    leaves none.
    """
    until = time.monotonic() + within_s
    sent = request(template, app.names)
    data = app.client.head(sent.method, sent.path, sent.headers) + (sent.body or b"")
    left = 0

    async def one_after_the_other() -> None:
        nonlocal left
        while left < _HASTY and time.monotonic() < until:
            with contextlib.suppress(OSError, TimeoutError):
                async with app.client.wire(timeout_s=within_s) as wire:
                    await wire.send(data)
                    left += not await _heard(wire, chance.uniform(0.0005, _HASTE_S))
                    wire.reset()

    await asyncio.gather(*(one_after_the_other() for _ in range(_HASTY_AT_ONCE)))
    return left


async def _content(app: App, upload: Template | None) -> str:
    """The path of something large that was uploaded; empty where there is none."""
    if upload is None or not upload.content:
        return ""
    first, _, rows = table(_ROWS).partition(b"\n")
    content = first + b"\n" + rows.replace(b"\n", _FILLER + b"\n")
    sent, answer = await send(app, upload, content=content)
    named = found_in(answer, upload.id) if answer.good and upload.id else ""
    return filled(upload.content, {**app.names, **sent.names, "id": named}, quoted=True) if named else ""


# -- what each does --


def _half_head(app: App, template: Template) -> Leaving:
    async def leaving(wire: Wire, chance: random.Random) -> Departure:
        whole = _head(app, template)
        await wire.send(whole[: chance.randrange(1, len(whole) - 2)])
        return Departure(middle=not await _heard(wire, chance.random() * _LINGER_S))

    return leaving


def _unread(app: App, template: Template) -> Leaving:
    """Ask, and leave before the answer, or as it comes."""

    async def leaving(wire: Wire, chance: random.Random) -> Departure:
        sent = request(template, app.names)
        length = len(sent.body or b"") if sent.body is not None or sent.method != "GET" else None
        await wire.send(app.client.head(sent.method, sent.path, sent.headers, length=length) + (sent.body or b""))
        linger_s = chance.choice((0.0, 0.002, 0.01, 0.05))
        return Departure(middle=not (linger_s and await _heard(wire, linger_s)))

    return leaving


def _half_body(app: App, template: Template) -> Leaving:
    async def leaving(wire: Wire, chance: random.Random) -> Departure:
        sent = request(template, app.names, b"" if template.file else None)
        begun = b"".join((sent.body or b"").partition(b"\r\n\r\n")[:2]) if template.file else (sent.body or b"")[:1]
        await wire.send(app.client.head(sent.method, sent.path, sent.headers, length=ANNOUNCED) + begun)
        return await _half(wire, chance)

    return leaving


def _half_resumed(app: App, path: str) -> Leaving:
    """By tus: make an upload, send half of it, leave."""

    async def leaving(wire: Wire, chance: random.Random) -> Departure:
        first = creation(path, ANNOUNCED, "prove.csv")
        made = await app.client.ask(first.method, first.path, headers=first.headers, body=first.body)
        if not made.good or not address(made):
            return Departure(middle=False)
        sent = piece(address(made), 0, b"")
        await wire.send(app.client.head(sent.method, sent.path, sent.headers, length=ANNOUNCED))
        return await _half(wire, chance)

    return leaving


async def _half(wire: Wire, chance: random.Random) -> Departure:
    """Nothing of a body, or some of it, or half."""
    most = chance.choice((0, _PIECE, ANNOUNCED // 4, ANNOUNCED // 2))
    rows = table(_PIECE // 40)[:_PIECE]
    sent = 0
    while sent < most:
        await wire.send(rows)
        sent += len(rows)
    return Departure(middle=not await _heard(wire, chance.random() * _LINGER_S), sent=sent)


def _reading(app: App, template: Template, stays_s: float = 0.0) -> Leaving:
    """Read the head and a little of what is asked for, and leave some time later."""

    async def leaving(wire: Wire, chance: random.Random) -> Departure:
        await wire.send(_head(app, template))
        first = await wire.receive(_RECEIVE)
        await asyncio.sleep(stays_s + chance.random() * _LINGER_S)  # the moment of leaving
        return Departure(middle=first.startswith((b"HTTP/1.1 2", b"HTTP/1.1 101")))

    return leaving


def _head(app: App, template: Template) -> bytes:
    sent = request(template, app.names)
    return app.client.head(sent.method, sent.path, sent.headers)


async def _heard(wire: Wire, within_s: float) -> bool:
    """Whether anything comes, an end too."""
    try:
        await wire.receive(timeout_s=within_s)
    except TimeoutError:
        return False
    except OSError:
        return True
    return True
