"""Answers that no application gives by itself: refusals of what is no request, and failures, provoked from outside."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from holdfast.prove.acts.journeys.journey import Asked
from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.props.hostility import Aim, hostilities
from holdfast.prove.props.locking import databases, held
from holdfast.prove.props.shortage import asked_without, shortage
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
_SHORT_S: Final = 1.5
_LOCKED_S: Final = 6.5
"""Many wait for a lock for five seconds by themselves."""

Way = Callable[[App, Stage], Awaitable[list[Asked]]]


async def at_the_door(app: App, stage: Stage) -> list[Asked]:
    """What is no request, or too large for one, as far as it is answered."""
    aim = Aim(app.client.headers, stage.target.read.path, "POST", stage.target.read.path)
    every = [each for each in hostilities(aim) if each.name in _DOOR]
    answers = await asyncio.gather(
        *(app.client.raw(each.method, each.data, timeout_s=_DOOR_S, end_after_s=_WAIT_S) for each in every)
    )
    return [
        Asked(kind=each.name, path="", answer=answer, door=True)
        for each, (answer, _) in zip(every, answers, strict=True)
        if answer.status and not answer.error
    ]


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
    """By a lack of file descriptors."""
    every = _requests(app, stage.target)
    answers: list[tuple[Request, Answer]] = []
    with contextlib.suppress(PermissionError):
        async with shortage() as lack:
            answers += await asked_without(lack, app, every, (0,), timeout_s=_SHORT_S, within_s=_SHORT_S * len(every))
    return [_called(each, "when no file can be opened", answer) for each, answer in answers]


async def _locked(app: App, stage: Stage) -> list[Asked]:
    """By databases that somebody else has locked, where they are files."""
    async with held(await asyncio.to_thread(databases, app.folder)) as taken:
        if not taken:
            return []
        every = _requests(app, stage.target)
        asking = (_asked(app, each, "when its database is locked", timeout_s=_LOCKED_S) for each in every)
        return list(await asyncio.gather(*asking))


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
