"""Requests that are under way while something happens to the backend: they begin before it, and are gone on with after.

Each is begun, says so, waits for a word, goes on, and tells in words what was wrong with its answer, if anything was.
"""

import asyncio
import base64
import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import Final

import h11
import msgspec

from holdfast.prove.config import Template
from holdfast.prove.http import Answer, Wire
from holdfast.prove.props.steady import Fate, fate_of, unconnected
from holdfast.prove.running import App
from holdfast.prove.sending import found_in, request, table

_PATIENCE_S: Final = 27.0
_SMALL: Final = 4096
_LITTLE: Final = 256
_STEP_S: Final = 0.1
_MOST: Final = 64 << 20
_UPLOAD_ROWS: Final = 4_000
_CLOSE: Final = 8
UNANSWERED: Final = "no whole answer within"


class Underway(msgspec.Struct, frozen=True):
    """A request that was under way, and what became of it."""

    kind: str
    """In words; empty where it was not under way at all."""
    wrong: str = ""
    """What is wrong with what came, in words; empty where it was answered as it should be."""
    certain: bool = True
    """Whether no machine can be too slow for it."""
    id: str = ""
    """What was made, where that is known: `header` or JSON of the answer named it."""
    body: bytes = b""
    """What was sent, to be compared with what is there later."""


Begun = Callable[[], None]
Going = Callable[[Begun, asyncio.Event], Awaitable[Underway]]
"""Calls the first once it is under way, keeps it so until the second is set, and lets it end."""


def ended(kind: str, answer: Answer) -> Underway:
    """What an answer makes of a request that was under way: anything but 2xx to 4xx is wrong."""
    fate, why = fate_of(answer)
    if fate is Fate.REFUSED:
        return Underway(kind, f"answered with {answer.status}" if answer.status else "refused", certain=False)
    if fate is Fate.ANSWERED and not answer.good:
        return Underway(kind, f"answered with {answer.status}", certain=False)
    return Underway(kind, why, certain=not why.startswith(UNANSWERED))


def plain(app: App, template: Template, kind: str) -> Going:
    """A request that is sent whole, and answered when it is."""

    async def going(begun: Begun, goes_on: asyncio.Event) -> Underway:
        del goes_on
        return ended(kind, await _sent(app, template, begun))

    return going


async def _sent(app: App, template: Template, begun: Begun) -> Answer:
    sent = request(template, app.names)
    head = app.client.head(sent.method, sent.path, sent.headers, length=len(sent.body) if sent.body else None)
    try:
        async with app.client.wire() as wire:
            await wire.send(head + (sent.body or b""))
            begun()
            return await wire.answer(sent.method, timeout_s=_PATIENCE_S)
    except (OSError, TimeoutError) as failure:
        return unconnected(failure)
    finally:
        begun()


def download(app: App, export: Template, lines: int) -> Going:
    """An export that its client reads slowly, through a window that holds little. It has at least so many lines."""

    async def going(begun: Begun, goes_on: asyncio.Event) -> Underway:
        kind = f"the download of {export.shown}"
        sent = request(export, app.names)
        try:
            async with app.client.wire(receive_bytes=_SMALL) as wire:
                await wire.send(app.client.head(sent.method, sent.path, {"Connection": "close", **sent.headers}))
                answer = await _slowly(wire, begun, goes_on)
        except (OSError, TimeoutError) as failure:
            answer = unconnected(failure)
        finally:
            begun()
        came = ended(kind, answer)
        found = answer.body.count(b"\n")
        if not came.wrong and found < lines:
            return Underway(kind, f"looked whole, and had {found} of {lines} lines")
        return came

    return going


async def _slowly(wire: Wire, begun: Begun, goes_on: asyncio.Event) -> Answer:
    """Read a little now and then, and the rest at once after a word."""
    came = bytearray(await wire.receive(_SMALL))
    begun()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while piece := await wire.receive(_SMALL if not goes_on.is_set() else 1 << 20):
                came += piece
                if not await is_set(goes_on, _STEP_S) and len(came) > _MOST:
                    break
    except TimeoutError:
        return Answer(0, {}, b"", 0.0, error=f"{UNANSWERED} {_PATIENCE_S:g} s")
    except OSError as failure:
        return Answer(0, {}, bytes(came), 0.0, error=f"the connection ended in the middle ({type(failure).__name__})")
    return parsed(bytes(came))


async def is_set(event: asyncio.Event, within_s: float) -> bool:
    """Whether an event is set, waited for a while."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), within_s)
    return event.is_set()


def parsed(data: bytes) -> Answer:
    """The answer to a GET in all the bytes that came until the other side closed."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    parser.send(h11.EndOfMessage())
    status, body = 0, bytearray()
    try:
        parser.receive_data(data)
        parser.receive_data(b"")
        while not isinstance(event := parser.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
    except h11.RemoteProtocolError:
        return Answer(status, {}, bytes(body), 0.0, len(body), "the connection ended without a whole answer")
    return Answer(status, {}, bytes(body), 0.0, len(body))


def upload(app: App, template: Template) -> Going:
    """An upload of which half is sent before, and half after."""

    async def going(begun: Begun, goes_on: asyncio.Event) -> Underway:
        kind = f"the upload by {template.shown}, of which half was sent"
        content = table(_UPLOAD_ROWS)
        sent = request(template, app.names, content)
        body = sent.body or b""
        head = app.client.head(sent.method, sent.path, sent.headers, length=len(body))
        try:
            async with app.client.wire() as wire:
                await wire.send(head + body[: len(body) // 2])
                begun()
                answer = await _rest(wire, sent.method, body[len(body) // 2 :], goes_on)
        except (OSError, TimeoutError) as failure:
            answer = unconnected(failure)
        finally:
            begun()
        name = found_in(answer, template.id) if answer.good and template.id else ""
        return msgspec.structs.replace(ended(kind, answer), id=name, body=content if name else b"")

    return going


async def _rest(wire: Wire, method: str, rest: bytes, goes_on: asyncio.Event) -> Answer:
    """Send a little now and then, and the rest at once after a word; the answer, also one that comes before."""
    reading = asyncio.ensure_future(wire.answer(method, timeout_s=_PATIENCE_S))
    with contextlib.suppress(OSError, TimeoutError):
        while len(rest) > _LITTLE and not reading.done() and not await is_set(goes_on, _STEP_S):
            await wire.send(rest[:_LITTLE])
            rest = rest[_LITTLE:]
        await wire.send(rest)
    return await reading


def socket(app: App, template: Template) -> Going:
    """A WebSocket that is open; it is to be told that it ends."""

    async def going(begun: Begun, goes_on: asyncio.Event) -> Underway:
        kind = f"the WebSocket of {template.shown}"
        key = base64.b64encode(os.urandom(16)).decode()
        more = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
        }
        try:
            async with app.client.wire() as wire:
                await wire.send(app.client.head("GET", request(template, app.names).path, more))
                first = await wire.receive()
                begun()
                if b" 101 " not in first.partition(b"\r\n")[0]:
                    return Underway("")  # it is no WebSocket, or not for us
                await goes_on.wait()
                rest = await wire.until_closed(timeout_s=_PATIENCE_S)
        except (OSError, TimeoutError) as failure:
            return Underway(kind, f"ended ({type(failure).__name__})", certain=False)
        finally:
            begun()
        if rest is None:
            return Underway(kind, f"not closed within {_PATIENCE_S:g} s", certain=False)
        told = _CLOSE in opcodes(first.partition(b"\r\n\r\n")[2] + rest)
        return Underway(kind, "" if told else "cut without a close frame")

    return going


def opcodes(data: bytes) -> list[int]:
    """Those of the WebSocket frames in what a server sent (RFC 6455, section 5.2)."""
    found: list[int] = []
    at = 0
    while at + 2 <= len(data):
        found.append(data[at] & 0x0F)
        length, skipped = data[at + 1] & 0x7F, 2
        if length >= 126:
            wide = 2 if length == 126 else 8
            length = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
            skipped += wide
        at += skipped + length
    return found
