"""Requests while the database is held by somebody else: what is waited for, for whom, and for how long.

Those that say how long they wait are told apart from those that say nothing, and some have left meanwhile.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast

import msgspec

from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.props.locking import databases, held
from holdfast.prove.props.outputs import log_lines
from holdfast.prove.running import App
from holdfast.prove.sending import request, table
from holdfast.prove.stage import Target, send

GIVEN_S: Final = 0.5
"""What they say who say how long they wait."""
HURRIED: Final[Mapping[str, str]] = {"Holdfast-Timeout-Ms": "500", "grpc-timeout": "500m"}
OVER: Final[Mapping[str, str]] = {"Holdfast-Timeout-Ms": "0", "grpc-timeout": "0m"}
"""Their time is over before they are there."""
NOT_EXECUTED: Final = "holdfast-not-executed"
HOLDFAST: Final = "urn:holdfast:problem:"
"""How a backend that is Holdfast's begins the type of each problem document."""
_LEAVERS: Final = 3
_LEAVE_S: Final = 0.2
_LOOK_S: Final = 0.05
_TOLD_S: Final = 0.5
"""How long it may take until the line of an ordinary request is in the log."""
_AFTER_S: Final = 2.0
_ID: Final = "X-Request-ID"


class Said(msgspec.Struct, frozen=True):
    """A request, and what it was answered."""

    what: str
    header: str = ""
    """What it said of its patience, if anything: name and value."""
    status: int = 0
    took_s: float = 0.0
    problem: str = ""
    """The type of the problem document."""
    not_executed: bool = False
    """Whether the answer says that it was not begun."""

    @property
    def name(self) -> str:
        """Of the header."""
        return self.header.partition(":")[0]


class Overdue(msgspec.Struct, frozen=True):
    """What became of requests that had no time, and of those that waited for a database."""

    databases: tuple[str, ...] = ()
    """Which were held."""
    held_s: float = 0.0
    """For how long."""
    patience_s: float = 0.0
    well: str = ""
    over: tuple[Said, ...] = ()
    """Before: those whose time was over at once."""
    waited: tuple[Said, ...] = ()
    """Those that were asked while it was held."""
    read: str = ""
    left: int = 0
    """Clients that left while it was held."""
    left_for_s: float = 0.0
    """For how long it was held after they had left."""
    lines_s: tuple[float, ...] = ()
    """After how long the line of each was in the log. None of those that had none."""

    @property
    def hung(self) -> bool:
        """Whether the database was waited for at all."""
        return any(not one.header and one.took_s > 2 * GIVEN_S for one in self.waited)

    @property
    def holdfasts(self) -> bool:
        """Whether the backend itself says that it keeps deadlines as Holdfast does."""
        return any(one.problem == f"{HOLDFAST}deadline-passed" for one in (*self.over, *self.waited))


async def overdue(app: App, target: Target, patience_s: float) -> Overdue:
    """Ask first without any time, and then while all databases in the backend's folder are held."""
    usual = await _asked(app, target.read)
    well = f"{target.read.shown} said {usual.status}" if 200 <= usual.status < 300 else ""
    asked = [one for one in (target.read, target.write or target.upload) if one is not None]
    over = [await _asked(app, each, f"{name}: {value}") for each in asked for name, value in OVER.items()]
    found = Overdue(well=well, over=tuple(over), patience_s=patience_s, read=target.read.shown)
    files = await asyncio.to_thread(databases, app.folder)
    return await _held(app, target.read, found, files) if files else found


async def _held(app: App, read: Template, found: Overdue, files: Sequence[Path]) -> Overdue:
    usual = await _usual_lines(app, read)
    async with held(files) as taken:
        if not taken:
            return found
        began = time.monotonic()
        headers = ["", *(f"{name}: {value}" for name, value in HURRIED.items())]
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(_asked(app, read, each, found.patience_s)) for each in headers]
            ids = await _leave(app, read)
            gone = time.monotonic()
            looking = asyncio.create_task(_lines_s(app, ids, usual, found.patience_s)) if usual else None
        over = time.monotonic()
    lines: tuple[float, ...] = ()
    if looking is not None:
        await asyncio.wait([looking], timeout=_AFTER_S)
        lines = looking.result() if looking.done() else ()
        looking.cancel()
    return msgspec.structs.replace(
        found,
        databases=tuple(str(path.relative_to(app.folder)) for path in taken),
        held_s=over - began,
        waited=tuple(one.result() for one in waiting),
        left=len(ids),
        left_for_s=over - gone,
        lines_s=lines,
    )


async def _asked(app: App, template: Template, header: str = "", timeout_s: float = 10.0) -> Said:
    name, _, value = header.partition(": ")
    hurried = template._replace(headers={**template.headers, name: value}) if header else template
    content = table(3) if template.method in {"POST", "PUT"} and template.json is None and not template.body else None
    _, answer = await send(app, hurried, content=content, timeout_s=timeout_s)
    return Said(template.shown, header, answer.status, answer.took_s, _problem(answer), NOT_EXECUTED in answer.headers)


def _problem(answer: Answer) -> str:
    found = answer.json() if "json" in answer.headers.get("content-type", "") else None
    return str(cast("dict[str, object]", found).get("type", "")) if isinstance(found, dict) else ""


# -- clients that leave --


async def _leave(app: App, read: Template) -> list[str]:
    """Ask, each with an ID of its own, and leave a moment later; every second one with a reset."""
    ids = [secrets.token_hex(12) for _ in range(_LEAVERS)]
    left: list[str] = []

    async def one(number: int, given: str) -> None:
        sent = request(read, app.names)
        with contextlib.suppress(OSError, TimeoutError):
            async with app.client.wire() as wire:
                await wire.send(app.client.head(sent.method, sent.path, {**sent.headers, _ID: given}))
                await asyncio.sleep(_LEAVE_S)
                left.append(given)
                if number % 2:
                    wire.reset()

    await asyncio.gather(*(one(number, given) for number, given in enumerate(ids)))
    return left


async def _usual_lines(app: App, read: Template) -> int:
    """How many lines of the log have the ID that the client of an ordinary request gave; 0 if it is not logged."""
    given = secrets.token_hex(12)
    await send(app, read._replace(headers={**read.headers, _ID: given}))
    await asyncio.sleep(_TOLD_S)
    return _count(await asyncio.to_thread(log_lines, app), given)


async def _lines_s(app: App, ids: Sequence[str], usual: int, patience_s: float) -> tuple[float, ...]:
    """After how long each has as many lines as an ordinary request has."""
    began = time.monotonic()
    found: dict[str, float] = {}
    while len(found) < len(ids) and time.monotonic() - began < patience_s + _AFTER_S:
        lines = await asyncio.to_thread(log_lines, app)
        for one in ids:
            if one not in found and _count(lines, one) >= usual:
                found[one] = time.monotonic() - began
        await asyncio.sleep(_LOOK_S)
    return tuple(found.values())


def _count(lines: Sequence[str], given: str) -> int:
    return sum(given in line for line in lines)
