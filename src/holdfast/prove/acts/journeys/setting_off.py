"""What a request sets off and that goes on once it is answered: lines that name what it made, and whose they are."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from holdfast.prove.acts.journeys.journey import Asked, id_of
from holdfast.prove.config import Template
from holdfast.prove.props.outputs import log_lines
from holdfast.prove.running import App
from holdfast.prove.sending import found_in, table
from holdfast.prove.stage import Target, send

_ROWS: Final = 5
_LOOK_S: Final = 0.1
_QUIET_S: Final = 0.4
_MOST_S: Final = 2.0
_DISTINCT: Final = re.compile(r"(?=.*[A-Za-z])[\w-]{8,}|[\w-]{16,}")
"""A name that stands in no line by chance."""
_SHOWN: Final = 160


class SetOff(msgspec.Struct, frozen=True):
    """What was written of a thing after the request that made it was answered."""

    kind: str
    """The request, in words."""
    lines: int = 0
    """Lines that name the thing."""
    found: int = 0
    """Those of them that have the request's ID."""
    example: str = ""
    """One that has not."""


async def set_off(app: App, target: Target) -> list[tuple[Asked, SetOff | None]]:
    """Make things, ask for nothing else until the log is quiet, and see whose the lines are that came meanwhile.

    None stands for a thing that cannot be told from others in a line.
    """
    found: list[tuple[Asked, SetOff | None]] = []
    for name, template in (("the upload", target.upload), ("the write", target.write)):
        if template is not None:
            found.append(await _one(app, name, template, table(_ROWS) if template is target.upload else None))
    return found


async def _one(app: App, name: str, template: Template, content: bytes | None) -> tuple[Asked, SetOff | None]:
    sent, answer = await send(app, template, content=content)
    asked = Asked(kind=f"{name}, {template.shown}", path=sent.path, answer=answer)
    made = found_in(answer, template.id).rstrip("/").rpartition("/")[2] if template.id and answer.good else ""
    if not _DISTINCT.fullmatch(made) or made in sent.path or not id_of(answer):
        return asked, None
    before = _naming(made, log_lines(app))
    return asked, _whose(app, asked.kind, id_of(answer), await _quiet(app, made, before))


async def _quiet(app: App, made: str, before: Iterable[str]) -> list[str]:
    """The lines that name it beside those that did `before`, once no more come."""
    began = still = time.monotonic()
    lines: list[str] = []
    while time.monotonic() - still < _QUIET_S and time.monotonic() - began < _MOST_S:
        await asyncio.sleep(_LOOK_S)
        now = list((Counter(_naming(made, log_lines(app))) - Counter(before)).elements())
        if now != lines:
            lines, still = now, time.monotonic()
    return lines


def _naming(made: str, lines: Iterable[str]) -> list[str]:
    return [line for line in lines if made in line]


def _whose(app: App, kind: str, request: str, lines: list[str]) -> SetOff:
    others = [line for line in lines if request not in line]
    return SetOff(
        kind, len(lines), len(lines) - len(others), app.without_secrets(others[0].strip())[:_SHOWN] if others else ""
    )
