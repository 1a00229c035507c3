"""What makes a backend call a neighbour, and whether it was seen to: at the proxy that stands before each."""

import asyncio
import time
from typing import Final

from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.neighbours import Neighbour
from holdfast.prove.running import App
from holdfast.prove.sending import table
from holdfast.prove.stage import Target, send

BOUND_S: Final = 10.0
"""For an answer while something is wrong."""
_LOOK_S: Final = 0.3
_GLANCE_S: Final = 0.05
_QUIET_S: Final = 0.4
_READS: Final = 8
_ROWS: Final = 50


def calling(target: Target) -> list[Template]:
    """What may need a neighbour."""
    found = [target.calls_out, target.write, target.upload]
    return list({one.shown: one for one in found if one is not None}.values())[:2]


async def do(app: App, target: Target, template: Template, timeout_s: float = BOUND_S) -> Answer:
    """Send it; an upload carries a table."""
    content = table(_ROWS) if template.file or (template is target.upload and not template.body) else None
    _, answer = await send(app, template, content=content, timeout_s=timeout_s)
    return answer


def traffic(neighbour: Neighbour) -> int:
    """How much has been said to it."""
    return sum(proxy.seen.bytes_up for proxy in neighbour.proxies)


async def needs(app: App, target: Target, neighbour: Neighbour) -> bool:
    """Whether every read talks to it; what is said while nothing is asked is taken off."""
    begin = traffic(neighbour)
    await asyncio.sleep(_QUIET_S)
    quiet = traffic(neighbour) - begin
    heard = 0
    for _ in range(_READS):
        before = traffic(neighbour)
        await send(app, target.read)
        heard += traffic(neighbour) > before + quiet
    return heard > _READS / 2


async def talks(app: App, target: Target, neighbour: Neighbour) -> bool:
    """Whether what may need it talks to it."""
    before = traffic(neighbour)
    for each in calling(target):
        await do(app, target, each)
    return await talked(neighbour, before, within_s=3.0)


async def talked(neighbour: Neighbour, before: int, within_s: float) -> bool:
    """Whether it is talked to within some time: what is sent in the background comes a little later."""
    for _ in range(round(within_s / _GLANCE_S)):
        if traffic(neighbour) > before:
            return True
        await asyncio.sleep(_GLANCE_S)
    return traffic(neighbour) > before


async def back(app: App, target: Target, neighbour: Neighbour, *, needed: bool, within_s: float) -> float | None:
    """From when on it is used again, and what uses it is answered well; None: not within that time."""
    began = time.monotonic()
    trying = target.read if needed else next(iter(calling(target)), target.read)
    while time.monotonic() - began < within_s:
        before = traffic(neighbour)
        answer = await do(app, target, trying, within_s)
        if answer.good and await talked(neighbour, before, within_s=0.6):
            return time.monotonic() - began
        await asyncio.sleep(_LOOK_S)
    return None
