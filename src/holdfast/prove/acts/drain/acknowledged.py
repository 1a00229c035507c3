"""What a backend has taken when SIGTERM comes, and whether it is there after the restart: rows, and work for later.

And what becomes of a download where whoever stops it is in a hurry: it may be cut, and must not look whole then.
"""

import asyncio
import signal
import time
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken
from holdfast.prove.acts.drain.jobs import Job, Peace, in_peace, kinds, lost, until_refused
from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.props.underway import parsed
from holdfast.prove.running import App, AppFailed
from holdfast.prove.sending import request
from holdfast.prove.stage import Stage, send

ROWS: Final = 12_000
_MARKED: Final = 2_000
_FEW: Final = 20
WORD: Final = "marked"
_FIRST: Final = "first"
_SHOWN_S: Final = 10.0
_BOUND_S: Final = 30.0
_BEGUN_S: Final = 0.3
_HURRY_S: Final = 0.1
_SIGNALS: Final = 5
_HURRIED_S: Final = 10.0
_HIGH_TIME: Final = 2
_SMALL: Final = 8192
_WINDOW: Final = 1 << 16
_PACE_S: Final = 0.01
MEND_WORK: Final = "Keep acknowledged work where a restart finds it, before the answer."
_MEND_CUT: Final = "Where an answer in chunks is cut, close the connection without the last chunk."


class Acknowledged(msgspec.Struct, frozen=True):
    """What was taken before SIGTERM, and what was there after it."""

    again: str = ""
    """Why it did not start again; empty where it did."""
    marked: int = 0
    """Rows that were acknowledged just before."""
    found: int = 0
    """Of these, those that are exported after the restart."""
    jobs: int = 0
    """Pieces of work that were accepted and not done yet, around SIGTERM."""
    undone: str = ""
    """What became of one of them, where it was not done after the restart."""
    hurried: str = ""
    """What was wrong with a download that was under way when it was told to stop several times."""


def missing(found: Acknowledged, number: str) -> Judgement | None:
    """What is broken of it; None where nothing is."""
    if found.hurried:
        return broken(f"{found.hurried}.", number, mend=_MEND_CUT, certain=True)
    if found.found < found.marked:
        lost = found.marked - found.found
        why = f"Of {found.marked} rows acknowledged just before SIGTERM {lost} are not exported after the restart."
        return broken(why, f"{lost} rows lost", mend=MEND_WORK)
    if found.undone:
        return broken(f"{found.undone}.", number, mend=MEND_WORK)
    return None


async def acknowledged(stage: Stage, soon: asyncio.Event) -> Acknowledged:
    """SIGTERM as soon as rows are acknowledged, with work accepted: what of it is there later.

    It is `soon` over once another instance, which was told to stop at about the same time, takes nothing more.

    Rows are not looked for where it is not seen that rows that are filled in are exported at all.
    """
    fill = _fill_of(stage.target.export)
    if fill is None and not stage.target.schema:
        return Acknowledged()
    rows = ROWS // 4 if stage.quick else ROWS
    async with stage.app() as app:
        shows = await _shows(app, stage.target.export, fill, rows)
        peaces = await in_peace(app, await _kinds(app, stage))
        if not shows and not peaces:
            return Acknowledged()
        going = asyncio.create_task(until_refused(app, peaces, soon))
        try:
            answer = await filled(app, fill, WORD, _MARKED) if shows and fill else await asyncio.sleep(_BEGUN_S)
            app.signal(signal.SIGTERM)
            ended = await app.ended(_BOUND_S)
            jobs = await going
        finally:
            going.cancel()
        if not ended or (answer is not None and not answer.good):
            return Acknowledged()
        return await _afterwards(app, stage.target.export if answer is not None else None, jobs, peaces)


async def _afterwards(app: App, export: Template | None, jobs: list[Job], peaces: list[Peace]) -> Acknowledged:
    """Start it again, and look up what was taken; then stop it in a hurry."""
    await app.kill()
    if failed := await again(app):
        return Acknowledged(again=failed, marked=_MARKED if export else 0, jobs=len(jobs))
    found, whole = await exported(app, export, WORD, _MARKED) if export else (0, None)
    marked = _MARKED if whole is not None and whole.good else 0  # an export that fails says nothing of its rows
    undone = await lost(app, jobs, peaces)
    hurried = await _hurried(app, export, whole.body.count(b"\n")) if export and whole and whole.good else ""
    return Acknowledged("", marked, found, len(jobs), undone, hurried)


async def again(app: App) -> str:
    """Start it again: why it did not; empty where it did."""
    try:
        await app.start()
    except AppFailed as error:
        return str(error).partition("\n")[0]
    return ""


async def _kinds(app: App, stage: Stage) -> list[Template]:
    if not stage.target.schema:
        return []
    answer = await app.client.ask("GET", stage.target.schema)
    return kinds(answer.json()) if answer.good else []


# -- rows --


def _fill_of(export: Template | None) -> Template | None:
    return export.fill if export and export.fill and takes_tables(export.fill) else None


def takes_tables(fill: Template) -> bool:
    """Whether what fills the export takes a table of ours."""
    return bool(fill.file) or fill.body == "csv"


async def _shows(app: App, export: Template | None, fill: Template | None, rows: int) -> bool:
    """Whether rows that are filled in are exported."""
    if export is None or fill is None:
        return False
    await filled(app, fill, _FIRST, rows)
    shown, _ = await exported(app, export, _FIRST, rows)
    return shown >= rows


async def filled(app: App, fill: Template, word: str, rows: int) -> Answer:
    """Fill in so many rows with a word, long ones."""
    note = "so long that a download of many rows does not fit into what the system keeps for it " * 3
    lines = [
        "row,name,city,amount,note",
        *(f"{at},{word} {at},Town {at % 97},{at},{note}" for at in range(1, rows + 1)),
    ]
    kind = {} if fill.file else {"Content-Type": "text/csv"}
    template = fill._replace(headers={**kind, **fill.headers})
    _, answer = await send(app, template, {"rows": str(rows)}, content=("\n".join(lines) + "\n").encode())
    return answer


async def exported(app: App, export: Template, word: str, rows: int) -> tuple[int, Answer]:
    """How many rows with a word are exported, as soon as they are as many, or no more have come for some time."""
    most, until = 0, time.monotonic() + _SHOWN_S
    while True:
        _, answer = await send(app, export, timeout_s=_SHOWN_S)
        found = answer.body.count(f"{word} ".encode()) if answer.good else 0
        if found > most:
            most, until = found, time.monotonic() + _SHOWN_S
        if found >= rows or time.monotonic() > until:
            return min(found, rows), answer
        await asyncio.sleep(0.15)


# -- in a hurry --


async def _hurried(app: App, export: Template, lines: int) -> str:
    """SIGTERM again and again while an export is read: what is wrong with what came of it; empty where nothing is.

    It may be cut, as the connection's end or a missing last chunk shows. It may not look whole with lines missing.
    """
    sent = request(export, app.names)
    came = bytearray()
    hurried = asyncio.Event()
    stopping: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(_HURRIED_S), app.client.wire(receive_bytes=_WINDOW) as wire:
            await wire.send(app.client.head(sent.method, sent.path, {"Connection": "close", **sent.headers}))
            while piece := await wire.receive(_WINDOW if hurried.is_set() else _SMALL):
                stopping = stopping or asyncio.create_task(_stop(app, hurried))
                came += piece
                await asyncio.sleep(_PACE_S)
    except (OSError, TimeoutError):
        return ""  # nobody takes that for whole
    finally:
        if stopping is not None:
            stopping.cancel()
    answer = parsed(bytes(came))
    found = answer.body.count(b"\n")
    if not answer.good or found >= lines:
        return ""
    return f"{export.shown} looked whole when it was told to stop several times, and had {found} of {lines} lines"


async def _stop(app: App, hurried: asyncio.Event) -> None:
    """SIGTERM again and again; after some of them it is high time to read what it still says."""
    for number in range(_SIGNALS):
        if app.alive:
            app.signal(signal.SIGTERM)
            if number == _HIGH_TIME:
                hurried.set()
            await asyncio.sleep(_HURRY_S)
    hurried.set()
