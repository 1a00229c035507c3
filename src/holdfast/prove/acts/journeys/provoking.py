"""Answers that no application gives by itself: refusals of what is no request, and failures, provoked from outside."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from holdfast.prove.acts.journeys.journey import Asked
from holdfast.prove.config import Template
from holdfast.prove.counters import counted
from holdfast.prove.http import Answer, Wire
from holdfast.prove.props.hostility import Aim, Hostile, hostilities
from holdfast.prove.props.shortage import serving, shortage
from holdfast.prove.running import App
from holdfast.prove.sending import Request, request, table
from holdfast.prove.stage import Stage, Target

_DOOR: Final = {
    "no HTTP at all",
    "a request line without a version",
    "a header without a colon",
    "a length that is no number",
    "a header of 1 MB",
    "an address of 100,000 bytes",
}
"""What is refused before there is a request, and so by another part of most servers."""
_DOOR_S: Final = 2.0
_WAIT_S: Final = 0.5
"""For an answer to what may not be whole."""
_IMPATIENT: Final[Mapping[str, str]] = {
    "Holdfast-Timeout-Ms": "1",
    "grpc-timeout": "1m",
    "X-Envoy-Expected-Rq-Timeout-Ms": "1",
    "X-YaTaxi-Client-TimeoutMs": "1",
}
"""The ways in which a client says that it waits for a millisecond; who knows one answers 504."""
_ODD: Final = ("%00", "%ff%fe", "99999999999999999999", "9" * 400, "'", "..%2f..%2f", "a" * 3000)
_BODIES: Final = (
    b"[" * 100_000,
    b'{"name": "\\ud800"}',
    b'{"name": "\\u0000"}',
    b'{"name": ' + b"9" * 5000 + b"}",
    b"5",
)
_ROWS: Final = 5
_ACCEPTED_S: Final = 0.1
_SHORT_S: Final = 1.5
_LOCKED_S: Final = 6.5
"""Many wait for a lock for five seconds by themselves."""
_SQLITE: Final = b"SQLite format 3\0"
_MOST_FILES: Final = 2_000

Way = Callable[[App, Stage], Awaitable[list[Asked]]]


async def at_the_door(app: App, stage: Stage) -> list[Asked]:
    """What is no request, or too large for one, as far as it is answered."""
    aim = Aim(app.client.headers, stage.target.read.path, "POST", stage.target.read.path)
    every = [each for each in hostilities(aim) if each.name in _DOOR]
    answers = await asyncio.gather(*(_raw(app, each) for each in every))
    return [
        Asked(kind=each.name, path="", answer=answer, door=True)
        for each, answer in zip(every, answers, strict=True)
        if answer.status and not answer.error
    ]


async def _raw(app: App, each: Hostile) -> Answer:
    try:
        async with app.client.wire() as wire:
            reading = asyncio.ensure_future(wire.answer(each.method, timeout_s=_DOOR_S))
            try:
                with contextlib.suppress(OSError, TimeoutError):
                    await wire.send(each.data, timeout_s=_DOOR_S)
                await asyncio.wait([reading], timeout=_WAIT_S)
                wire.end()
                return await reading
            finally:
                reading.cancel()
    except (OSError, TimeoutError):
        return Answer(0, {}, b"", 0.0)


async def failures(app: App, stage: Stage) -> list[Asked]:
    """Answers of 5xx, of the first way that provokes any; that which harms most comes last."""
    ways: tuple[Way, ...] = (_impatient, _odd, _without_descriptors, _locked)
    for way in ways:
        if failed := [one for one in await way(app, stage) if one.answer is not None and _failed(one.answer)]:
            return failed
    return []


def _failed(answer: Answer) -> bool:
    """Whether it is a failure; not a refusal for want of room, for many of these may be told together."""
    return answer.status >= 500 and not (answer.status == 503 and "retry-after" in answer.headers)


async def _impatient(app: App, stage: Stage) -> list[Asked]:
    """By clients that hardly wait."""
    return [
        await _asked(app, each, "of a client that waits for a millisecond", headers=_IMPATIENT, timeout_s=_SHORT_S)
        for each in _requests(app, stage.target)
    ]


async def _odd(app: App, stage: Stage) -> list[Asked]:
    """By what few expect in a path, a query or a body."""
    base = stage.target.read.path.partition("?")[0].rstrip("/")
    tries = [Request("GET", f"{base}/{one}", {}, None, {}) for one in _ODD]
    tries += [Request("GET", f"{base}?q={one}&limit={one}&id={one}", {}, None, {}) for one in _ODD]
    if stage.target.write:
        json = {"Content-Type": "application/json"}
        tries += [Request("POST", stage.target.write.path, json, body, {}) for body in _BODIES]
    for each in tries:
        asked = await _asked(app, each, "of what is odd")
        if asked.answer is not None and _failed(asked.answer):
            return [asked]
    return []


async def _without_descriptors(app: App, stage: Stage) -> list[Asked]:
    """By a lack of file descriptors: those who ask have their connections already."""
    every = _requests(app, stage.target)
    pids = serving(await asyncio.to_thread(counted, app.pid), app.port)
    found: list[Asked] = []
    with contextlib.suppress(OSError, TimeoutError):  # it may not be lowered, or nobody is let in
        async with AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(app.client.wire()) for _ in every]
            await asyncio.sleep(_ACCEPTED_S)
            async with shortage() as lack:
                lack.leave(pids, 0)
                answers = await asyncio.gather(*(_on(app, wire, each) for wire, each in zip(wires, every, strict=True)))
            why = "when no file can be opened"
            found = [_called(each, why, answer) for each, answer in zip(every, answers, strict=True)]
    return found


async def _on(app: App, wire: Wire, each: Request) -> Answer:
    length = None if each.body is None else len(each.body)
    with contextlib.suppress(OSError, TimeoutError):
        await wire.send(app.client.head(each.method, each.path, each.headers, length=length) + (each.body or b""))
    return await wire.answer(each.method, timeout_s=_SHORT_S)


async def _locked(app: App, stage: Stage) -> list[Asked]:
    """By databases that somebody else has locked, where they are files."""
    async with _locks(app.folder) as number:
        if not number:
            return []
        every = _requests(app, stage.target)
        asking = (_asked(app, each, "when its database is locked", timeout_s=_LOCKED_S) for each in every)
        return list(await asyncio.gather(*asking))


@asynccontextmanager
async def _locks(folder: Path) -> AsyncGenerator[int]:
    """All databases of SQLite in a folder, locked for as long as the block lasts; how many."""
    connections: list[sqlite3.Connection] = []
    try:
        for path in await asyncio.to_thread(_databases, folder):
            with contextlib.suppress(sqlite3.Error):
                connection = sqlite3.connect(f"file:{path}?mode=rw", timeout=0.5, isolation_level=None, uri=True)
                connection.execute("BEGIN EXCLUSIVE")
                connections.append(connection)
        yield len(connections)
    finally:
        for connection in connections:
            connection.close()  # which undoes it


def _databases(folder: Path) -> Sequence[Path]:
    found: list[Path] = []
    for number, path in enumerate(folder.rglob("*")):
        if number > _MOST_FILES:
            break
        with contextlib.suppress(OSError):
            if path.is_file():
                with path.open("rb") as file:
                    found += [path] if file.read(len(_SQLITE)) == _SQLITE else []
    return found


def _requests(app: App, target: Target) -> list[Request]:
    """One for each role, the one that does most last."""
    templates: list[Template | None] = [target.read, target.export, target.write, target.upload]
    return [
        request(each, app.names, table(_ROWS) if each is target.upload else None)
        for each in templates
        if each is not None and "{" not in each.path.replace("{name}", "").replace("{n}", "")
    ]


async def _asked(
    app: App, each: Request, why: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = 30.0
) -> Asked:
    more = {**each.headers, **(headers or {})}
    answer = await app.client.ask(each.method, each.path, headers=more, body=each.body, timeout_s=timeout_s)
    return _called(each, why, answer)


def _called(each: Request, why: str, answer: Answer) -> Asked:
    return Asked(kind=f"{each.method} {each.path.partition('?')[0][:40]} {why}", path=each.path, answer=answer)
