"""A light, steady load from this process, for as long as it is wanted, and what became of each request.

async with steady(app, request) as load:
    ...
load.asked
"""

import asyncio
import contextlib
import errno
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from typing import Final

import msgspec

from holdfast.prove.http import Answer, Wire
from holdfast.prove.running import App
from holdfast.prove.sending import Request

_MOST: Final = 5_000
_PATIENCE_S: Final = 20.0
_MOST_OPEN: Final = 64
_KEPT: Final = 4
"""Clients that keep their connections."""
_PAUSE_S: Final = 0.2
"""Between two requests of one of them."""
_EVERY_S: Final = 0.05
"""Between two requests on new connections."""


class Fate(StrEnum):
    """What became of a request."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """No connection, and so nothing was promised; or 503 or 429 in a whole answer."""
    FAILED = "failed"
    """Answered with 5xx."""
    LOST = "lost"
    """A connection came about, and no whole answer did."""


class Asked(msgspec.Struct, frozen=True):
    """One request."""

    at: float
    """When it was sent, by the monotonic clock."""
    ended: float
    fate: Fate
    kind: str
    """What it was, and over what connection: `on a new connection`."""
    why: str = ""
    status: int = 0


class Load:
    """A load under way."""

    def __init__(self, app: App, request: Request) -> None:
        """It asks `request` of `app`."""
        self.asked: list[Asked] = []
        self.refused_at: float = 0.0
        """When a connection was first refused."""
        self.refused: asyncio.Event = asyncio.Event()
        """Set at that moment."""
        self._app = app
        self._request = request
        self._ended = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()

    def note(self, at: float, answer: Answer, kind: str) -> None:
        """What an answer makes of a request."""
        fate, why = fate_of(answer)
        if fate is Fate.REFUSED and not answer.status and not self.refused_at:
            self.refused_at = time.monotonic()
            self.refused.set()
        if len(self.asked) < _MOST:
            self.asked.append(Asked(at, time.monotonic(), fate, kind, why, answer.status))

    async def once(self, kind: str = "on a new connection") -> None:
        """Ask on a connection of its own."""
        at, sent = time.monotonic(), self._request
        self.note(at, await fresh(self._app, sent), kind)

    # -- how they ask --

    async def anew(self) -> None:
        """Ask on new connections until it is over."""
        while not self._ended.is_set():
            if len(self._open) < _MOST_OPEN:
                task = asyncio.create_task(self.once())
                self._open.add(task)
                task.add_done_callback(self._open.discard)
            await self._pause(_EVERY_S)

    async def kept(self, number: int) -> None:
        """Ask on one connection again and again, and on another once it was closed, until it is over."""
        await self._pause(_PAUSE_S * number / _KEPT)
        while not self._ended.is_set():
            try:
                async with self._app.client.wire() as wire:
                    await self._on(wire)
            except (OSError, TimeoutError) as failure:
                self.note(time.monotonic(), unconnected(failure), "on a new connection")
                await self._pause(_PAUSE_S)

    async def _on(self, wire: Wire) -> None:
        sent, used = self._request, False
        data = self._app.client.head(sent.method, sent.path, sent.headers) + (sent.body or b"")
        while not self._ended.is_set():
            if used and await over(wire, _PAUSE_S):
                return
            at = time.monotonic()
            answer = await _exchange(wire, sent.method, data)
            kind = "on a kept connection" if used else "on a new connection"
            if used and not answer.status and not answer.error.startswith("no whole answer within"):
                answer = await fresh(self._app, sent)  # it was closed as this was on its way: any client sends again
            self.note(at, answer, kind)
            used = True
            if answer.error or answer.headers.get("connection", "").lower() == "close":
                return

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    async def end(self) -> None:
        """Send nothing more, and wait for what is under way."""
        self._ended.set()
        if self._open:
            await asyncio.wait(set(self._open), timeout=_PATIENCE_S)


async def over(wire: Wire, within_s: float) -> bool:
    """Whether the other side closes a connection on which nothing is under way."""
    try:
        return not await wire.receive(1, timeout_s=within_s)
    except TimeoutError:
        return False
    except OSError:
        return True


async def _exchange(wire: Wire, method: str, data: bytes) -> Answer:
    try:
        await wire.send(data)
    except (OSError, TimeoutError) as failure:
        return Answer(0, {}, b"", 0.0, error=f"the connection ended ({type(failure).__name__})")
    return await wire.answer(method, timeout_s=_PATIENCE_S)


async def fresh(app: App, sent: Request) -> Answer:
    """The answer on a connection of its own; `refused` stands in its error where there was none."""
    try:
        async with app.client.wire() as wire:
            head = app.client.head(sent.method, sent.path, {"Connection": "close", **sent.headers})
            return await _exchange(wire, sent.method, head + (sent.body or b""))
    except (OSError, TimeoutError) as failure:
        return unconnected(failure)


def unconnected(failure: BaseException) -> Answer:
    """What stands for an answer where no connection came about."""
    refused = isinstance(failure, OSError) and failure.errno == errno.ECONNREFUSED
    return Answer(0, {}, b"", 0.0, error="refused" if refused else f"no connection ({type(failure).__name__})")


def fate_of(answer: Answer) -> tuple[Fate, str]:
    """What became of a request, and why, in words."""
    if answer.error == "refused":
        return Fate.REFUSED, ""
    if answer.error or not answer.status:
        begun = f"; {answer.status} was begun" if answer.status else ""
        return Fate.LOST, f"{answer.error or 'no answer'}{begun}"
    if answer.status in {429, 503}:
        return Fate.REFUSED, ""
    if answer.status >= 500:
        return Fate.FAILED, f"answered with {answer.status}"
    return Fate.ANSWERED, ""


@asynccontextmanager
async def steady(app: App, request: Request) -> AsyncGenerator[Load]:
    """About 40 requests a second, half of them on new connections, half on kept ones, until the block is left."""
    load = Load(app, request)
    async with AsyncExitStack() as stack:
        tasks = [asyncio.create_task(load.anew()), *(asyncio.create_task(load.kept(n)) for n in range(_KEPT))]
        stack.callback(lambda: [task.cancel() for task in tasks])
        try:
            yield load
        finally:
            await load.end()
            await asyncio.wait(tasks, timeout=_PATIENCE_S)
