"""What a backend can be given to do, as far as it is known: each kind of work by itself, to be done again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from holdfast.decide.openapi import operations
from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.props.canary import used
from holdfast.prove.props.filling import filled
from holdfast.prove.running import App
from holdfast.prove.sending import found_in, request, table
from holdfast.prove.stage import Target, send

_LIMIT_S: Final = 8.0
"""How long one piece of it may take; it is left after that."""
_MOST_READS: Final = 12
_IDLE: Final = 0.15
"""The share of a core below which a backend is called idle."""
_LOOK_S: Final = 0.12
_LOOKS: Final = 2
_LESS_ROWS: Final = 2_000
_FEW_ROWS: Final = 200
_EXPORTED_ROWS: Final = 20_000
_FILLED_S: Final = 6.0


class Work(NamedTuple):
    """One kind of work."""

    shown: str
    once: Callable[[], Awaitable[Answer]]
    at_once: int = 3
    """How many do it at the same time."""
    times: int = 10
    """How often each does it, at most: what goes on in the background afterwards should have an end."""
    slowly: bool = False
    """Whether what the backend depends on is to be slow meanwhile."""


def _sent(app: App, template: Template, content: bytes | None = None) -> Callable[[], Awaitable[Answer]]:
    async def once() -> Answer:
        _, answer = await send(app, template, content=content, timeout_s=_LIMIT_S)
        return answer

    return once


async def slow_routes(app: App, target: Target) -> list[Work]:
    """Those that were called slow."""
    return [Work(each.shown, _sent(app, each)) for each in target.slow]


async def uploads(app: App, target: Target, rows: int) -> list[Work]:
    """A table of so many rows, or of less where that is too much; and fetching it again."""
    upload = target.upload
    if upload is None:
        return []
    content = table(rows)
    sent, answer = await send(app, upload, content=content, timeout_s=_LIMIT_S)
    if not answer.good:
        content = table(_LESS_ROWS)
        sent, answer = await send(app, upload, content=content, timeout_s=_LIMIT_S)
    found = [Work(upload.shown, _sent(app, upload, content), at_once=2, times=1)]
    made = found_in(answer, upload.id) if upload.id else ""
    if upload.content and made:
        path = request(Template("GET", upload.content), {**app.names, **sent.names, "id": made}).path
        found.append(Work(f"GET {upload.content}", _sent(app, Template("GET", path))))
    return found


async def exports(app: App, target: Target) -> list[Work]:
    """The export, with many rows if they can be filled in."""
    if target.export is None:
        return []
    await filled(app, target, _EXPORTED_ROWS, within_s=_FILLED_S)
    return [Work(target.export.shown, _sent(app, target.export))]


async def sign_ins(app: App, target: Target) -> list[Work]:
    """Signing in, where passwords are hashed; by somebody who is not signed in."""
    signing = target.config.sign_in
    if signing is None:
        return []

    async def once() -> Answer:
        sent = request(signing.request, app.names)
        return await app.stranger.ask(sent.method, sent.path, headers=sent.headers, body=sent.body, timeout_s=_LIMIT_S)

    return [Work(signing.request.shown, once)]


async def writes(app: App, target: Target) -> list[Work]:
    """Making something new."""
    return [Work(target.write.shown, _sent(app, target.write))] if target.write else []


async def calls(app: App, target: Target) -> list[Work]:
    """What makes the backend call what it depends on, which is slow meanwhile: what is known to, or what may."""
    slow = bool(app.neighbours)
    if target.calls_out is not None:
        return [Work(target.calls_out.shown, _sent(app, target.calls_out), times=3, slowly=slow)]
    if not slow:
        return []
    works = [Work(target.write.shown, _sent(app, target.write), times=3, slowly=True)] if target.write else []
    if target.upload is not None:
        works.append(Work(target.upload.shown, _sent(app, target.upload, table(_FEW_ROWS)), times=3, slowly=True))
    return works


async def reads(app: App, target: Target, but: Sequence[Template]) -> list[Work]:
    """All that can be asked for without knowing anything, `but` some."""
    known = list(target.reads or (target.read,))
    if target.schema:
        answer = await app.client.ask("GET", target.schema)
        known += [
            Template("GET", one.path) for one in operations(answer.json())[0] if one.plain and one.method == "GET"
        ]
    left = {each.path: each for each in known if "{" not in each.path and each.path not in {one.path for one in but}}
    return [Work(each.shown, _sent(app, each), times=30) for each in list(left.values())[:_MOST_READS]]


async def kept_at(work: Work, until: float) -> list[Answer]:
    """Do it, some at the same time, again and again, and begin nothing more after a moment of the monotonic clock."""

    async def one() -> list[Answer]:
        answers = [await work.once()]
        while time.monotonic() < until and len(answers) < work.times:
            answers.append(await work.once())
        return answers

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(work.at_once)]
    return [answer for task in tasks for answer in task.result()]


class Calm(NamedTuple):
    """How a backend came to rest."""

    spent_s: float
    """CPU time until then."""
    idle: bool
    """Whether it did, as long as was waited."""


async def calm(app: App, within_s: float) -> Calm:
    """Wait until the backend has hardly anything to do any more, and does not stand in line for a core either."""
    first = last = await asyncio.to_thread(used, app.pid)
    idle = 0
    while idle < _LOOKS and last.at - first.at < within_s:
        await asyncio.sleep(_LOOK_S)
        now = await asyncio.to_thread(used, app.pid)
        wanted = now.backend_s - last.backend_s + max(0.0, now.queued_s - last.queued_s)
        idle = idle + 1 if wanted < _IDLE * (now.at - last.at) else 0
        last = now
    return Calm(max(0.0, last.backend_s - first.backend_s), idle >= _LOOKS)
